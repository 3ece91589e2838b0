//! What board makers leave in SMBIOS fields that they do not fill. Machines that share such a value are not one
//! machine because of it.

use uuid::Uuid;

/// Texts that say nothing, in lower case, letters and digits only.
const TEXTS: &[&str] = &[
    "baseboardserialnumber",
    "blank",
    "boardserialnumber",
    "chassisserialnumber",
    "default",
    "defaultstring",
    "empty",
    "filledbyoem",
    "invalid",
    "mb1234567890",
    "na",
    "none",
    "noserial",
    "noserialnumber",
    "notapplicable",
    "notavailable",
    "notdefined",
    "notpresent",
    "notset",
    "notspecified",
    "null",
    "oem",
    "productname",
    "serial",
    "serialnumber",
    "sn",
    "standard",
    "system",
    "systemname",
    "systemproductname",
    "systemserialnumber",
    "tobedefinedbyoem",
    "tobefilled",
    "tobefilledbyoem",
    "undefined",
    "unknown",
    "unspecified",
];

/// Digits as people count, who type the first thing that comes to mind.
const COUNTS: [&str; 2] = ["012345678901234567890123456789", "0123456789abcdef"];
/// Shortest counting, and shortest repetition, that nobody numbers machines by.
const SHORTEST: usize = 5;

/// Does a serial number or a product name say nothing?
pub(crate) fn is_placeholder_text(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let first = plain.chars().next();
    let repeats = plain.chars().all(|c| Some(c) == first)
        && (plain.len() >= SHORTEST || matches!(first, None | Some('0' | 'x')));
    let counts = || {
        let counts = COUNTS.iter().any(|count| count.starts_with(&plain) || count[1..].starts_with(&plain));
        counts && plain.len() >= SHORTEST
    };
    repeats || TEXTS.contains(&plain.as_str()) || counts()
}

/// UUIDs that whole series of boards share, besides those that repeat one byte.
const UUIDS: &[&str] = &[
    // The template of AMI's firmware, before a maker puts a MAC address into it.
    "03000200-0400-0500-0006-000700080009",
    "00010203-0405-0607-0809-0a0b0c0d0e0f",
    "01234567-89ab-cdef-0123-456789abcdef",
    "07090201-0103-0301-0807-060504030201",
    "11111111-2222-3333-4444-555555555555",
    "12345678-1234-1234-1234-123456789abc",
    "12345678-1234-5678-1234-567812345678",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "deadbeef-dead-beef-dead-beefdeadbeef",
    // They look random, and were given to one board after the other.
    "890e2d14-cacd-45d1-ae66-bc80e8bfeb0f",
    "8e275844-178f-44a8-aceb-a7d7e5178c63",
    "dc698397-fa54-4cf2-82c8-b1b5307a6a7f",
    // Dell makes the UUID of the service tag: here it is blank, as on a spare board.
    "4c4c4544-0000-2010-8020-80c04f202020",
    "4c4c4544-0020-2010-8020-a0c04f202020",
];

/// Does a UUID say nothing? Before SMBIOS 2.6 nobody agreed on the order of its bytes, so both count.
pub(crate) fn is_placeholder_uuid(uuid: &Uuid) -> bool {
    let bytes = uuid.as_bytes();
    let repeats = bytes.iter().all(|byte| *byte == bytes[0]);
    // The half that tells machines apart was never written: erased flash is ff, cleared memory 00.
    let is_half_empty = matches!(bytes[8..], [0 | 0xff, ..]) && bytes[8..].iter().all(|b| *b == bytes[8]);
    let is_listed = |uuid: Uuid| UUIDS.contains(&uuid.to_string().as_str());
    repeats || is_half_empty || is_listed(*uuid) || is_listed(Uuid::from_bytes_le(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makers_forget_says_nothing() {
        for text in [
            "",
            " ",
            ".",
            "To Be Filled By O.E.M.",
            "To be filled by O.E.M",
            "Default string",
            "Default_string",
            "System Serial Number",
            "System Product Name",
            "Not Specified",
            "N/A",
            "None",
            "O.E.M.",
            "INVALID",
            "0",
            "0000-0000",
            "XXXXXXX",
            "x.x",
            "1111111",
            "........",
            "0123456789",
            "123456789",
            "1234567890",
            "12345678901234567890",
            "0123456789ABCDEF",
            "MB-1234567890",
        ] {
            assert!(is_placeholder_text(text), "{text:?}");
        }
    }

    #[test]
    fn what_makers_fill_in_says_something() {
        for text in
            ["B5BMM02", "S1", "7", "12", "1234", "5678901", "OptiPlex 7060", "Standard PC (Q35 + ICH9, 2009)"]
        {
            assert!(!is_placeholder_text(text), "{text:?}");
        }
    }

    #[test]
    fn shared_uuids_say_nothing_in_either_byte_order() {
        let is_placeholder = |text: &str| is_placeholder_uuid(&Uuid::try_parse(text).unwrap());
        for text in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "11111111-1111-1111-1111-111111111111",
            "fefefefe-fefe-fefe-fefe-fefefefefefe",
            "4d325344-ffff-ffff-ffff-ffffffffffff",
            "2e4f2079-2e45-0000-0000-000000000000",
            "03000200-0400-0500-0006-000700080009",
            "00020003-0004-0005-0006-000700080009",
            "12345678-1234-5678-90AB-CDDEEFAABBCC",
            "78563412-3412-7856-90ab-cddeefaabbcc",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in [
            "4c4c4544-0042-3510-8052-b4c04f4d3032",
            // AMI's template with a MAC address in it.
            "03d40274-0435-05dc-8506-010700080009",
            // Supermicro's: zeros and a MAC address.
            "00000000-0000-0000-0000-0cc47a123456",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn the_lists_hold_what_can_match() {
        for text in TEXTS {
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{text}");
        }
        for text in UUIDS {
            assert_eq!(Uuid::try_parse(text).unwrap().to_string(), *text);
        }
    }
}
