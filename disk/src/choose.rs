//! Which disk may be written: exactly one that fits the rules, or a refusal that shows every
//! candidate and why it does not fit.

use std::fmt;
use std::path::Path;

use ezio_image::conf::units::human_size;
use ezio_image::conf::{Bus, DiskRule, Pattern};
use thiserror::Error;

use crate::discover::Disk;

/// A disk that may not be written, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The disk, as people know it.
    pub disk: String,
    /// Everything that speaks against it.
    pub reasons: Vec<String>,
    /// It is its size alone: it would do for a smaller image.
    pub only_too_small: bool,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.disk, self.reasons.join(", "))
    }
}

/// No disk, or no single one, may be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChooseError {
    /// The machine has no disk at all, or the driver for its controller is missing.
    #[error("this machine shows no disk (is the driver for its controller loaded?)")]
    NoDisks,
    /// None fits.
    #[error("no disk fits{}", rows(.0.iter().map(ToString::to_string)))]
    NoneFits(Vec<Rejected>),
    /// Several fit where one was meant.
    #[error(
        "{} disks fit, and only one may: make the rules in [disk] narrower, or set all = true to write every one{}",
        .fits.len(),
        rows(.fits.iter().map(|d| format!("{d}: fits")).chain(.rejected.iter().map(ToString::to_string)))
    )]
    SeveralFit {
        /// Those that fit.
        fits: Vec<String>,
        /// The others.
        rejected: Vec<Rejected>,
    },
    /// All that fit were to be written, but some are too small.
    #[error("not every disk that fits the rules can hold the image{}", rows(.0.iter().map(ToString::to_string)))]
    SomeTooSmall(Vec<Rejected>),
}

impl ChooseError {
    /// Would a disk do for a smaller image?
    #[must_use]
    pub fn is_about_size(&self) -> bool {
        match self {
            Self::NoneFits(rejected) => rejected.iter().any(|disk| disk.only_too_small),
            Self::SomeTooSmall(_) => true,
            Self::NoDisks | Self::SeveralFit { .. } => false,
        }
    }
}

/// One line a disk.
fn rows(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| format!("\n  {line}")).collect()
}

/// Chooses the disks to write: the one that fits `rule` and has `needed` bytes, or with `all` every
/// one that fits the rule.
///
/// # Errors
/// None fits, several fit without `all`, or with `all` one that fits the rule is too small.
pub fn choose(disks: &[Disk], rule: &DiskRule, needed: u64, all: bool) -> Result<Vec<Disk>, ChooseError> {
    if disks.iter().all(|d| d.is_virtual && !is_named(d, rule)) {
        return Err(ChooseError::NoDisks);
    }
    let (mut fits, mut rejected, mut too_small) = (Vec::new(), Vec::new(), Vec::new());
    for disk in disks {
        let mut reasons = objections(disk, rule);
        // Unasked-for virtual devices would only make the list long.
        if disk.is_virtual && !is_named(disk, rule) {
            continue;
        }
        let small = too_small_by(disk.size, needed);
        let only_too_small = reasons.is_empty() && small.is_some();
        reasons.extend(small);
        if reasons.is_empty() {
            fits.push(disk.clone());
            continue;
        }
        let refused = Rejected { disk: disk.to_string(), reasons, only_too_small };
        if only_too_small {
            too_small.push(refused.clone());
        }
        rejected.push(refused);
    }
    match fits.len() {
        0 => Err(ChooseError::NoneFits(rejected)),
        _ if all && !too_small.is_empty() => Err(ChooseError::SomeTooSmall(too_small)),
        1 => Ok(fits),
        _ if all => Ok(fits),
        _ => Err(ChooseError::SeveralFit { fits: fits.iter().map(ToString::to_string).collect(), rejected }),
    }
}

/// `None` where `size` bytes suffice.
pub(crate) fn too_small_by(size: u64, needed: u64) -> Option<String> {
    let missing = needed.checked_sub(size).filter(|m| *m > 0)?;
    Some(format!(
        "too small by {missing} bytes ({}): has {}, needs {}",
        human_size(missing),
        human_size(size),
        human_size(needed)
    ))
}

/// Does the rule name this disk by its path, or by a link to it?
pub(crate) fn is_named(disk: &Disk, rule: &DiskRule) -> bool {
    let is_it = |path: &Path| disk.path == path || disk.links.iter().any(|link| link == path);
    rule.path.iter().any(|path| is_it(path))
}

/// Everything that speaks against a disk but its size for this image.
pub(crate) fn objections(disk: &Disk, rule: &DiskRule) -> Vec<String> {
    let mut reasons = Vec::new();
    let named = is_named(disk, rule);
    if !rule.path.is_empty() && !named {
        let wanted: Vec<_> = rule.path.iter().map(|p| p.display().to_string()).collect();
        reasons.push(format!("is not {}", wanted.join(" or ")));
    }
    if disk.size == 0 {
        reasons.push("has no medium in it".to_owned());
    }
    if disk.is_boot_medium {
        reasons.push("is the medium that this machine was started from".to_owned());
    }
    if let Some(how) = &disk.in_use {
        reasons.push(format!("is in use ({how})"));
    }
    if disk.read_only {
        reasons.push("is read-only".to_owned());
    }
    if disk.is_virtual && !named {
        reasons.push("is no disk of its own".to_owned());
    }
    reasons.extend(objection_to_removable(disk, rule, named));
    reasons.extend(objection_to_size(disk, rule));
    if !rule.bus.is_empty() && !disk.bus.is_some_and(|bus| rule.bus.contains(&bus)) {
        let wanted: Vec<_> = rule.bus.iter().map(ToString::to_string).collect();
        let is = disk.bus.map_or_else(|| "unknown".to_owned(), |bus| bus.to_string());
        reasons.push(format!("bus is {is}, not {}", wanted.join(" or ")));
    }
    for (what, patterns, spellings) in [
        ("model", &rule.model, disk.model.as_deref().map(spellings_of_model).unwrap_or_default()),
        ("serial", &rule.serial, disk.serial.iter().cloned().collect()),
        ("wwn", &rule.wwn, disk.wwn.as_deref().map(spellings_of_wwn).unwrap_or_default()),
    ] {
        reasons.extend(objection_to_text(what, patterns, &spellings));
    }
    reasons
}

/// A model as the disk says it, and as lsblk does, without blanks in a row.
fn spellings_of_model(model: &str) -> Vec<String> {
    let words: Vec<_> = model.split_whitespace().collect();
    vec![model.to_owned(), words.join(" ")]
}

/// A world-wide name as sysfs says it (`naa.5002…`), and as lsblk and udev do (`0x5002…`).
fn spellings_of_wwn(wwn: &str) -> Vec<String> {
    let by_udev = wwn.strip_prefix("naa.").map(|digits| format!("0x{digits}"));
    std::iter::once(wwn.to_owned()).chain(by_udev).collect()
}

/// USB disks count as removable, whatever they say: nobody deploys to one unless asked to.
fn objection_to_removable(disk: &Disk, rule: &DiskRule, named: bool) -> Option<String> {
    let removable = disk.removable || disk.bus == Some(Bus::Usb);
    match rule.removable {
        Some(wanted) if wanted == removable => None,
        Some(true) => Some("is not removable".to_owned()),
        Some(false) => Some("is removable".to_owned()),
        None if !removable || named => None,
        None if disk.bus == Some(Bus::Usb) && rule.bus.contains(&Bus::Usb) => None,
        None => Some("is removable (removable = true would allow it)".to_owned()),
    }
}

/// May the rule take a disk on USB? Where it may not, a disk that comes late on USB changes nothing.
pub fn allows_usb(rule: &DiskRule) -> bool {
    let named = rule.bus.contains(&Bus::Usb);
    (rule.bus.is_empty() || named) && rule.removable.unwrap_or(named || !rule.path.is_empty())
}

fn objection_to_size(disk: &Disk, rule: &DiskRule) -> Option<String> {
    let size = human_size(disk.size);
    match (rule.min_size, rule.max_size) {
        (Some(min), _) if disk.size < min => {
            Some(format!("{size} is below min-size {} by {} bytes", human_size(min), min - disk.size))
        }
        (_, Some(max)) if disk.size > max => {
            Some(format!("{size} is above max-size {} by {} bytes", human_size(max), disk.size - max))
        }
        _ => None,
    }
}

impl Disk {
    /// It gets this image: it is shown to those behind, with the reason why they do not get it.
    pub fn take_for(&mut self, image: &str) {
        self.in_use = Some(format!("it gets the image {image}"));
    }
}

fn objection_to_text(what: &str, patterns: &[Pattern], spellings: &[String]) -> Option<String> {
    if patterns.is_empty() || spellings.iter().any(|s| patterns.iter().any(|p| p.matches(s))) {
        return None;
    }
    let wanted: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
    let is = spellings.first().map_or_else(|| "unknown".to_owned(), |v| format!("{v:?}"));
    Some(format!("{what} is {is}, not {}", wanted.join(" or ")))
}

#[cfg(test)]
#[path = "choose_tests.rs"]
pub(crate) mod tests;
