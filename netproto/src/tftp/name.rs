//! Which file a client means by the name that it sends.
//!
//! Firmware that takes a boot file's name from a DHCP option or field and reads past its end asks for more than the
//! name: an end mark (0xff), padding, or code and length of the next option are still behind it. Other firmware writes
//! paths as its own file system does, with backslashes or in upper case, or joins folder and name with one slash too many.

/// Longest name that is looked up, in bytes: longer than any option or field that it was taken from.
const MAX_LEN: usize = 512;

/// The names that `written` may stand for, the most literal first. The first one that exists is meant. All are without
/// a slash at the front.
pub fn meanings(written: &str) -> impl Iterator<Item = String> {
    let written = written.split_at(written.floor_char_boundary(MAX_LEN)).0;
    let clean = written.find(|c: char| !c.is_ascii_graphic() && c != ' ').unwrap_or(written.len());
    // What follows a name may begin with printable bytes: the code of an option, such as B (66) or + (43), its length.
    // So of a name with garbage in it, every beginning may be the name; of a clean one, only the whole.
    let shortest = if clean < written.len() { 1 } else { clean };
    let literal = (clean < written.len()).then_some(written);
    let beginnings = (shortest..=clean).rev().filter_map(|end| written.get(..end));
    let spellings = |name: &str| {
        let name = slashed(name);
        let lower = name.to_ascii_lowercase();
        let other = (lower != name).then_some(lower);
        std::iter::once(name).chain(other)
    };
    literal.into_iter().chain(beginnings).flat_map(spellings).filter(|name| !name.is_empty())
}

/// The one way to write a path: parts that say something, joined by single slashes.
#[must_use]
pub fn slashed(path: &str) -> String {
    let parts = path.trim().split(['/', '\\']).filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "boot/amd64/shimx64.efi";

    fn found(written: &str) -> Option<String> {
        meanings(written).find(|name| [NAME, "images/Lab/disk.torrent"].contains(&name.as_str()))
    }

    #[test]
    fn a_name_is_found_however_its_path_is_written() {
        for written in [
            "boot/amd64/shimx64.efi",
            "/boot/amd64/shimx64.efi",
            "//boot//amd64/./shimx64.efi",
            "\\boot\\amd64\\shimx64.efi",
            "BOOT\\AMD64\\SHIMX64.EFI",
            "/Boot/amd64/shimX64.efi",
            " boot/amd64/shimx64.efi  ",
        ] {
            assert_eq!(found(written).as_deref(), Some(NAME), "{written:?}");
        }
        assert_eq!(found("images/Lab/disk.torrent").as_deref(), Some("images/Lab/disk.torrent"));
    }

    #[test]
    fn a_name_is_found_in_front_of_what_was_read_too_much() {
        for behind in [
            "\u{fffd}", // the end mark
            "\u{fffd}\u{fffd}\u{fffd}",
            "B\u{9}10.77.0.1\u{fffd}", // option 66
            "+\u{4}\u{6}\u{1}\u{8}\u{fffd}",
            "a\u{11}", // option 97 and its length; its first byte is a NUL
            "R!circuit id of a relay, 33 chars..\u{fffd}",
            "\t\r\n",
            " \u{1}",
        ] {
            assert_eq!(found(&format!("{NAME}{behind}")).as_deref(), Some(NAME), "{behind:?}");
            let upper = NAME.to_ascii_uppercase();
            assert_eq!(found(&format!("\\{upper}{behind}")).as_deref(), Some(NAME), "{behind:?}");
        }
    }

    #[test]
    fn a_clean_name_that_is_longer_is_another_name() {
        assert_eq!(found("boot/amd64/shimx64.efi.signed"), None);
        assert_eq!(meanings("").count(), 0);
        assert_eq!(meanings("///").count(), 0);
    }

    proptest! {
        #[test]
        fn any_garbage_behind_a_name_is_cut_off(behind in "\\PC{0,20}[\u{1}-\u{1f}\u{80}-\u{ff}].{0,80}") {
            prop_assume!(behind.chars().all(|c| c != '\0'));
            let found = found(&format!("{NAME}{behind}"));
            prop_assert_eq!(found.as_deref(), Some(NAME));
        }

        #[test]
        fn names_of_any_kind_have_few_meanings(written in ".{0,900}") {
            let names: Vec<String> = meanings(&written).collect();
            prop_assert!(names.len() <= 2 * (MAX_LEN + 1));
            prop_assert!(names.iter().all(|name| !name.is_empty() && !name.starts_with('/')));
        }
    }
}
