//! `ezio.conf`: which image goes to which disk of which machine, and what follows.
//!
//! TOML. Keys at the top are the default for every machine; each `[[machine]]` changes some of them
//! for the machines that it matches. The first `[[machine]]` that matches is taken, later ones are
//! not looked at. A machine that none matches gets the default, if that has an image, and is refused
//! otherwise. `[disk]`, `[seed]`, `[write]`, `[hooks]`, `[uefi]`, `[identity]` and `[windows]` are replaced as a
//! whole, not key by key.
//!
//! ```toml
//! image = "debian-12"            # name on this server, URL, magnet link, or path of a .torrent
//! target = "disk"                # or /dev/sda, /dev/sda1, LABEL=…, PARTUUID=…
//! # partition = "sda1"           # of the image, where the target is a partition
//! grow = "last"                  # fills a larger disk; or the partition's name in the image; none by default
//! end = "reboot"                 # poweroff, shell, hold
//! on-error = "hold"
//! # report = "http://…"          # where reports go, if not to the server of this file
//!
//! [disk]                         # exactly one disk must fit, unless all = true
//! min-size = "100G"              # also max-size, path, bus, model, serial, wwn, removable, all
//! overwrite = "ours"             # or only what is "blank", or "any": else the machine waits for a person's word
//!
//! # [[disk]]                     # or several, each for another disk: the rules as in [disk], and an image
//! # image = "windows-11"
//! # bus = "nvme"
//!
//! [seed]                         # until the first of: ratio, idle, time, until-released
//! until-released = true
//! idle = "15m"
//!
//! [write]
//! reuse = "auto"                 # what a disk holds of the image already stays there; never, always
//! verify = "read-back"           # all is read from the disk once more; "written": not. Neither: while others are served
//!
//! [hooks]
//! before = []
//! after = ["echo \"$EZIO_IMAGE is on $EZIO_DISKS\""]
//!
//! [uefi]
//! entries = true                 # boot entries in the firmware of UEFI machines
//!
//! [identity]                     # of the clone; all but host name and regenerate is on unless switched off
//! hostname = "lab-{{counter:2}}" # also mac, serial, uuid, product, or a column of hosts = "FILE.csv"
//! machine-id = true              # also ssh-host-keys, random-seed, regenerate = ["disk-guid"]
//!
//! [windows]
//! unattend = "unattend.xml"      # template, beside this file; also join = "join/{{hostname}}.txt"
//!
//! [[group]]
//! name = "room-2"
//! macs = ["52:54:00:*"]          # also uuids, serials, products
//!
//! [[machine]]
//! match.group = "room-2"         # also mac, uuid, serial, product
//! image = "windows-11"
//! ```

use ezio_contract::MachineId;
pub use ezio_contract::inventory::Overwrite;
use serde::Serialize;

mod error;
mod grow;
mod identity;
mod list;
mod machine;
mod orders;
mod over;
mod pattern;
mod settings;
mod two_key;
pub mod units;
mod writing;

#[cfg(test)]
mod tests;

pub use error::{ConfError, NoOrders};
pub use grow::Grow;
pub use identity::{Identity, Regenerate, Windows};
pub use machine::{Group, MacPattern, Match};
pub use orders::{
    Bus, DiskRule, EndAction, Hooks, ImageRef, Orders, PartitionSelector, SeedPolicy, Target, Uefi, Write,
};
pub use over::Over;
pub use pattern::Pattern;
pub use settings::{DiskSetting, Settings, TargetSetting, names_a_partition};
pub use writing::{Reuse, Verify, Writing};

use crate::names::is_safe_name;
use settings::TopLevel;

/// A checked `ezio.conf`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conf {
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    #[serde(flatten)]
    default: Settings,
    #[serde(rename = "group", skip_serializing_if = "Vec::is_empty")]
    groups: Vec<Group>,
    #[serde(rename = "machine", skip_serializing_if = "Vec::is_empty")]
    machines: Vec<Machine>,
}

/// One `[[machine]]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Machine {
    #[serde(rename = "match")]
    conditions: Match,
    /// Who says so, where that is not the file: an order on the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(flatten)]
    settings: Settings,
}

impl Conf {
    /// Reads either form.
    ///
    /// # Errors
    /// The first mistake, with its line and column.
    pub fn parse(text: &str) -> Result<Self, ConfError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if two_key::is_two_key(text) {
            let default = two_key::parse(text)?;
            return Ok(Self { report: None, default, groups: Vec::new(), machines: Vec::new() });
        }
        let top: TopLevel = toml::from_str(text).map_err(|e| ConfError::from_toml(text, &e))?;
        Self::check(text, &top)
    }

    /// A conf that gives one image, and these settings, to every machine.
    #[must_use]
    pub fn for_image(image: ImageRef, settings: Settings) -> Self {
        let default = Settings { image: Some(image), ..settings };
        Self { report: None, default, groups: Vec::new(), machines: Vec::new() }
    }

    /// Which `[[machine]]` of the file this machine's orders stand in, counted from 0; none: at its top.
    #[must_use]
    pub fn entry_for(&self, machine: &MachineId) -> Option<usize> {
        let group = self.group_of(machine, None).ok()?;
        self.machines.iter().position(|m| m.conditions.holds(machine, group))
    }

    /// Address for reports, if one is set.
    #[must_use]
    pub fn report(&self) -> Option<&str> {
        self.report.as_deref()
    }

    /// Every image that it names, each once.
    #[must_use]
    pub fn images(&self) -> Vec<&ImageRef> {
        let mut images = Vec::new();
        let settings = std::iter::once(&self.default).chain(self.machines.iter().map(|m| &m.settings));
        for image in settings.flat_map(Settings::images) {
            if !images.contains(&image) {
                images.push(image);
            }
        }
        images
    }

    /// Settings of all levels, each merged with what is above it: what some machine may be told.
    pub fn levels(&self) -> impl Iterator<Item = Settings> + '_ {
        let machines = self.machines.iter().map(|machine| machine.settings.or(&self.default));
        std::iter::once(self.default.clone()).chain(machines)
    }

    /// The conf as TOML, which [`Conf::parse`] reads as the same conf.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every field is text, a number, a list or a table: all that TOML knows.
        toml::to_string(self).expect("a conf consists of what TOML can say")
    }

    /// What this machine is told. `group` is the group that it was started with, if any; it then
    /// stands for what the groups say.
    ///
    /// # Errors
    /// The machine is not listed and there is no default, or its group is unclear or unknown.
    pub fn orders_for(&self, machine: &MachineId, group: Option<&str>) -> Result<Orders, NoOrders> {
        let group = self.group_of(machine, group)?;
        let found = self.machines.iter().find(|m| m.conditions.holds(machine, group));
        let (settings, chosen_by) = match found {
            Some(Machine { by: Some(by), settings, .. }) => (settings.or(&self.default), by.clone()),
            Some(Machine { conditions, settings, .. }) => {
                (settings.or(&self.default), format!("ezio.conf, its entry for {conditions}"))
            }
            None => (self.default.clone(), "ezio.conf, its top for all machines".to_owned()),
        };
        settings
            .orders(self.report.clone(), chosen_by)
            .ok_or_else(|| NoOrders::NotListed(Box::new(machine.clone())))
    }

    /// The group of this machine, if it is in one: the one that it was started with, else the one that names it.
    ///
    /// # Errors
    /// There is no such group, or two name it.
    pub fn group_of<'a>(
        &'a self,
        machine: &MachineId,
        told: Option<&str>,
    ) -> Result<Option<&'a str>, NoOrders> {
        if let Some(name) = told {
            let known = || self.groups.iter().map(|g| g.name.clone()).collect();
            let group = self.groups.iter().find(|g| g.name == name);
            let group =
                group.ok_or_else(|| NoOrders::UnknownGroup { name: name.to_owned(), known: known() })?;
            return Ok(Some(&group.name));
        }
        let mut members = self.groups.iter().filter(|g| g.contains(machine));
        match (members.next(), members.next()) {
            (Some(first), Some(second)) => Err(NoOrders::TwoGroups {
                machine: Box::new(machine.clone()),
                first: first.name.clone(),
                second: second.name.clone(),
            }),
            (first, _) => Ok(first.map(|g| g.name.as_str())),
        }
    }

    fn check(text: &str, top: &TopLevel) -> Result<Self, ConfError> {
        let default = top.settings();
        if let Some(report) = &top.report {
            let url = url::Url::parse(report.get_ref());
            if !url.is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host()) {
                let message = format!("report: {:?} is not an http:// or https:// URL", report.get_ref());
                return Err(ConfError::at(text, report.span().start, message));
            }
        }
        if let Some(message) = default.contradiction().or_else(|| bad_partition(&default)) {
            return Err(ConfError::at(text, place_of_table(text, "disk"), message));
        }
        if let Some((table, message)) = identity_mistake(&default) {
            return Err(ConfError::at(text, place_of_table(text, table), message));
        }
        let groups = check_groups(text, top)?;
        let machines = check_machines(text, top, &default, &groups)?;
        if !default.has_images() && machines.is_empty() {
            let message =
                "no image: set image = \"…\" for all machines, or [[machine]] entries with one each";
            return Err(ConfError::at(text, 0, message));
        }
        Ok(Self { report: top.report.as_ref().map(|r| r.get_ref().clone()), default, groups, machines })
    }
}

fn bad_partition(settings: &Settings) -> Option<String> {
    let name = settings.partition.as_ref().filter(|name| !is_safe_name(name))?;
    Some(format!("partition: {name:?} is not the name of a partition in an image, such as \"sda1\""))
}

/// What is wrong with a clone's identity, and in which table.
fn identity_mistake(settings: &Settings) -> Option<(&'static str, String)> {
    let identity =
        settings.identity.as_ref().and_then(|identity| Some(("identity", identity.contradiction()?)));
    identity.or_else(|| Some(("windows", settings.windows.as_ref()?.contradiction()?)))
}

/// Where `[name]` stands, as the place of a mistake between keys.
fn place_of_table(text: &str, name: &str) -> usize {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let line_start = line.trim_start();
        let is_header = line_start.strip_prefix('[').is_some_and(|rest| rest.starts_with(name));
        if is_header || line_start.starts_with(name) {
            return offset + line.len() - line_start.len();
        }
        offset += line.len();
    }
    0
}

fn check_groups(text: &str, top: &TopLevel) -> Result<Vec<Group>, ConfError> {
    let mut groups: Vec<Group> = Vec::new();
    for placed in &top.group {
        let group = placed.get_ref();
        let refuse = |message: String| Err(ConfError::at(text, placed.span().start, message));
        if !is_safe_name(&group.name) {
            return refuse(format!("group name {:?}: use letters, digits, '.', '_' and '-'", group.name));
        }
        for earlier in &groups {
            if earlier.name == group.name {
                return refuse(format!("group {:?} is there twice", group.name));
            }
            if let Some(member) = earlier.shared_member(group) {
                return refuse(format!("{member} is in two groups, {:?} and {:?}", earlier.name, group.name));
            }
        }
        groups.push(group.clone());
    }
    Ok(groups)
}

fn check_machines(
    text: &str,
    top: &TopLevel,
    default: &Settings,
    groups: &[Group],
) -> Result<Vec<Machine>, ConfError> {
    let mut machines: Vec<Machine> = Vec::new();
    for placed in &top.machine {
        let level = placed.get_ref();
        let conditions = level.conditions.get_ref();
        let refuse = |at: usize, message: String| Err(ConfError::at(text, at, message));
        let match_at = level.conditions.span().start;
        if conditions.is_empty() {
            return refuse(
                match_at,
                "match: no condition: give mac, uuid, serial, product or group; what is for all machines stands at \
                 the top of the file"
                    .to_owned(),
            );
        }
        if let Some(unknown) = conditions.group.iter().find(|name| groups.iter().all(|g| g.name != **name)) {
            return refuse(match_at, format!("match.group: there is no [[group]] with the name {unknown:?}"));
        }
        if let Some(index) = machines.iter().position(|m| m.conditions == *conditions) {
            return refuse(
                match_at,
                format!(
                    "match: the same conditions as in [[machine]] {}: this one would never be used",
                    index + 1
                ),
            );
        }
        let settings = level.settings();
        let merged = settings.or(default);
        if let Some(message) = merged.contradiction().or_else(|| bad_partition(&merged)) {
            return refuse(placed.span().start, format!("[[machine]] {}: {message}", machines.len() + 1));
        }
        if let Some((table, message)) = identity_mistake(&merged) {
            return refuse(
                placed.span().start,
                format!("[[machine]] {}: {table}: {message}", machines.len() + 1),
            );
        }
        if !merged.has_images() {
            return refuse(
                placed.span().start,
                format!("[[machine]] {}: no image, and no default image at the top", machines.len() + 1),
            );
        }
        machines.push(Machine { conditions: conditions.clone(), by: level.by.clone(), settings });
    }
    Ok(machines)
}
