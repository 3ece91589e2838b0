//! NVMe: the log page "SMART / Health Information" (NVM Express Base Specification 2.0, 5.16.1.3).

use std::fs::File;

use ezio_contract::health::Health;

use super::TIMEOUT;
use crate::ioctl;

/// Number of the log page.
const PAGE: u8 = 2;
const LENGTH: usize = 512;
/// What it counts temperatures from, in kelvins: 0 °C.
const CELSIUS: i32 = 273;

/// Bit of "Critical Warning" that spare blocks run out.
const SPARE_LOW: u8 = 0;
/// The other bits that say so of the disk itself. Bit 1 is left out: it is too hot or too cold, which passes.
const WARNINGS: [(u8, &str); 4] = [
    (2, "the disk says that it is no longer reliable, after errors of its media or its own"),
    (3, "the disk takes no more writes: its media can only be read"),
    (4, "the disk says that a power cut costs data: the backup of its memory has failed"),
    (5, "the disk says that its persistent memory is no longer reliable"),
];

pub(super) fn ask(device: &File) -> Option<Health> {
    let mut page = [0; LENGTH];
    ioctl::nvme_log_page(device, PAGE, &mut page, TIMEOUT).ok()?;
    Some(read(&page))
}

fn read(page: &[u8; LENGTH]) -> Health {
    let (warnings, spare, threshold, used) = (page[0], page[3], page[4], page[5]);
    let warns = |bit: u8| warnings & (1 << bit) != 0;
    let mut failing = Vec::new();
    if spare < threshold {
        failing.push(format!("{spare} % of spare blocks left, below the threshold of {threshold} %"));
    } else if warns(SPARE_LOW) {
        failing.push("the disk says that its spare blocks run out".to_owned());
    }
    failing.extend(WARNINGS.iter().filter(|(bit, _)| warns(*bit)).map(|(_, why)| (*why).to_owned()));
    let kelvin = i32::from(u16::from_le_bytes([page[1], page[2]]));
    Health {
        failing,
        power_on_hours: Some(number(page, 128)),
        // 0: it does not say.
        temperature_celsius: (kelvin > 0).then(|| kelvin - CELSIUS),
        endurance_used_percent: Some(used),
        spare_percent: Some(spare),
        spare_threshold_percent: Some(threshold),
        media_errors: Some(number(page, 160)),
        ..Health::default()
    }
}

/// A number of 16 bytes; what does not fit into eight is as large as can be.
fn number(page: &[u8; LENGTH], at: usize) -> u64 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&page[at..at + 16]);
    u128::from_le_bytes(bytes).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page as the specification lays it out.
    fn page(warnings: u8, spare: u8, threshold: u8) -> [u8; LENGTH] {
        let mut page = [0; LENGTH];
        page[0] = warnings;
        page[1..3].copy_from_slice(&314_u16.to_le_bytes());
        (page[3], page[4], page[5]) = (spare, threshold, 103);
        page[128..144].copy_from_slice(&70_000_u128.to_le_bytes());
        page[160..176].copy_from_slice(&u128::MAX.to_le_bytes());
        page
    }

    #[test]
    fn a_good_disk_has_its_numbers() {
        let wanted = Health {
            power_on_hours: Some(70_000),
            temperature_celsius: Some(41),
            endurance_used_percent: Some(103),
            spare_percent: Some(100),
            spare_threshold_percent: Some(10),
            media_errors: Some(u64::MAX),
            ..Health::default()
        };
        // Worn out and hot, but not failing.
        assert_eq!(read(&page(0, 100, 10)), wanted);
        assert_eq!(read(&page(1 << 1, 100, 10)), wanted);
        assert_eq!(read(&[0; LENGTH]).temperature_celsius, None);
    }

    #[test]
    fn each_warning_is_said_in_words() {
        let failing = |warnings, spare| read(&page(warnings, spare, 10)).failing;
        assert_eq!(failing(0, 4), ["4 % of spare blocks left, below the threshold of 10 %"]);
        assert_eq!(failing(1, 4), failing(0, 4));
        assert_eq!(failing(0, 10), [""; 0]);
        assert_eq!(failing(1, 10), ["the disk says that its spare blocks run out"]);
        for (bit, why) in WARNINGS {
            assert_eq!(failing(1 << bit, 100), [why]);
        }
        assert_eq!(failing(0xff, 4).len(), 1 + WARNINGS.len());
    }
}
