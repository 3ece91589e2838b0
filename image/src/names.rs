//! Names that become file names and parts of URLs: nothing in them may lead elsewhere.

/// Longest name we accept, in bytes.
pub const MAX_NAME: usize = 100;

/// Is this a name for an image or a partition: letters, digits, `.`, `_` and `-`, not starting with
/// a dot or a hyphen, at most [`MAX_NAME`] bytes?
#[must_use]
pub fn is_safe_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Is this a name for an image on a server: one of a directory, or those of a set and of a disk of it (`lab/sda`)?
#[must_use]
pub fn is_image_name(name: &str) -> bool {
    let (set, disk) = name.split_once('/').unwrap_or((name, name));
    is_safe_name(set) && is_safe_name(disk)
}

/// A name that [`is_safe_name`], as close to this one as can be.
#[must_use]
pub fn safe_name(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = text.chars().map(safe).take(MAX_NAME).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "partition".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for good in ["debian", "Debian-12.5_lab", "sda1", "nvme0n1p2", "a..b"] {
            assert!(is_safe_name(good) && is_image_name(good), "{good}");
        }
        assert!(is_image_name("lab/sda") && !is_image_name("lab/sda/1") && !is_image_name("/sda"));
        for text in ["../x", "a/b", ".hidden", "a b", "ä", "", "-o", &"x".repeat(101)] {
            assert!(is_safe_name(&safe_name(text)), "{text}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "-o", ".hidden", "a b", "a\0", "ä", &"x".repeat(101)] {
            assert!(!is_safe_name(bad), "{bad}");
            assert!(bad == "a/b" || !is_image_name(bad), "{bad}");
        }
    }
}
