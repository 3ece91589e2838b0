//! SCSI: the log page "Informational Exceptions" (SPC-5, 7.3.11), as SAS disks have it.

use std::fs::File;

use ezio_contract::health::Health;

use super::TIMEOUT;
use crate::ioctl;

const PAGE: u8 = 0x2f;
/// The header of the page, and of its first parameter, and the three bytes in that.
const LENGTH: usize = 4 + 4 + 3;

pub(super) fn ask(device: &File) -> Option<Health> {
    const LOG_SENSE: u8 = 0x4d;
    /// Which of its values are asked for, beside the number of the page: those since it was made.
    const CUMULATIVE: u8 = 1 << 6;
    let mut page = [0; LENGTH];
    let command = [LOG_SENSE, 0, CUMULATIVE | PAGE, 0, 0, 0, 0, 0, LENGTH as u8, 0];
    let answer = ioctl::scsi(device, &command, &mut page, TIMEOUT).ok()?;
    (answer.status == 0).then(|| read(&page)).flatten()
}

fn read(page: &[u8; LENGTH]) -> Option<Health> {
    /// Additional sense code: a limit was passed that foretells a failure.
    const FAILURE_FORETOLD: u8 = 0x5d;
    /// The disk does not know how warm it is.
    const UNKNOWN: u8 = 0xff;
    let [number, _, _, _, parameter_high, parameter_low, _, length, code, qualifier, temperature] = *page;
    if number & 0x3f != PAGE || [parameter_high, parameter_low] != [0, 0] || length < 3 {
        return None;
    }
    let fails = code == FAILURE_FORETOLD;
    let why = fails.then(|| format!("the disk foretells its failure (SCSI, {code:02x}/{qualifier:02x})"));
    Some(Health {
        failing: why.into_iter().collect(),
        // 0 is said by those that have no thermometer.
        temperature_celsius: (temperature != UNKNOWN && temperature > 0).then(|| i32::from(temperature)),
        ..Health::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foretold_failure_is_failing_and_another_page_says_nothing() {
        let page = |code, qualifier, temperature| [PAGE, 0, 0, 8, 0, 0, 3, 4, code, qualifier, temperature];
        let good = Health { temperature_celsius: Some(38), ..Health::default() };
        assert_eq!(read(&page(0, 0, 38)), Some(good));
        assert_eq!(read(&page(0, 0, 0xff)), Some(Health::default()));
        let fails = read(&page(0x5d, 0x10, 0)).unwrap();
        assert_eq!(fails.failing, ["the disk foretells its failure (SCSI, 5d/10)"]);
        assert_eq!(read(&[0; LENGTH]), None);
        let mut other = page(0x5d, 0x10, 0);
        other[5] = 1;
        assert_eq!(read(&other), None);
    }
}
