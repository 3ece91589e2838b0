//! ATA: SMART (ATA8-ACS, 7.53), by way of the SCSI command ATA PASS-THROUGH (16) (SAT-4, 12.2.4).

use std::fs::File;

use ezio_contract::health::Health;

use super::{TIMEOUT, sectors};
use crate::ioctl::{self, SENSE, ScsiAnswer};

const SECTOR: usize = 512;
/// What the commands below are told by, in the registers for the middle and the high byte of an address.
const SMART_KEY: [u8; 2] = [0x4f, 0xc2];
/// What is there afterwards if the disk expects to fail.
const SMART_FAILS: [u8; 2] = [0xf4, 0x2c];

/// `page` is page 0x89 of the disk's vital product data.
pub(super) fn ask(device: &File, page: &[u8]) -> Option<Health> {
    let identity = Identity::read(page).filter(|identity| identity.smart)?;
    let status = ioctl::scsi(device, &smart(Command::ReturnStatus), &mut [], TIMEOUT).ok()?;
    let says_good = match registers(&status) {
        Some(SMART_KEY) => Some(true),
        Some(SMART_FAILS) => Some(false),
        _ => None,
    };
    let mut data = [0; SECTOR];
    let read = ioctl::scsi(device, &smart(Command::ReadData), &mut data, TIMEOUT);
    let attributes = read.ok().filter(|answer| answer.status == 0).and_then(|_| Attributes::read(&data));
    if says_good.is_none() && attributes.is_none() {
        return None;
    }
    Some(judge(says_good != Some(false), &attributes.unwrap_or_default(), identity.rotates))
}

/// What a disk says of itself when it is asked who it is (ATA8-ACS, 7.16.7).
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    /// It has SMART, and that is switched on.
    smart: bool,
    /// It has no media without moving parts, as far as it says.
    rotates: bool,
}

impl Identity {
    /// The answer is in page 0x89 from byte 60 on (SAT-4, 12.4.2).
    fn read(page: &[u8]) -> Option<Self> {
        let word = |number: usize| {
            let bytes = page.get(60 + 2 * number..)?.first_chunk()?;
            Some(u16::from_le_bytes(*bytes))
        };
        // Two bits of words 83 and 87 say that those beside them mean something.
        let is_valid = |number| Some(word(number)? & 0xc000 == 0x4000);
        let supported = is_valid(83)? && word(82)? & 1 != 0;
        let enabled = is_valid(87)? && word(85)? & 1 != 0;
        Some(Self { smart: supported && enabled, rotates: word(217)? != 1 })
    }
}

#[derive(Clone, Copy)]
enum Command {
    /// Whether it expects to fail, in the registers.
    ReturnStatus,
    /// A sector with its attributes.
    ReadData,
}

/// ATA PASS-THROUGH (16) with a command of SMART.
fn smart(command: Command) -> [u8; 16] {
    const SMART: u8 = 0xb0;
    let (protocol, transfer, feature, count) = match command {
        // No data; the registers are asked for (CK_COND).
        Command::ReturnStatus => (3 << 1, 1 << 5, 0xda, 0),
        // Data by PIO from the disk, in blocks, as many as the count says.
        Command::ReadData => (4 << 1, 1 << 3 | 1 << 2 | 2, 0xd0, 1),
    };
    let [middle, high] = SMART_KEY;
    [0x85, protocol, transfer, 0, feature, 0, count, 0, 0, 0, middle, 0, high, 0, SMART, 0]
}

/// The registers for the middle and the high byte of an address, as the sense data brings them back (SAT-4, 12.2.5 to 12.2.7).
fn registers(answer: &ScsiAnswer) -> Option<[u8; 2]> {
    /// "ATA pass-through information available": additional code and its qualifier.
    const AVAILABLE: [u8; 2] = [0x00, 0x1d];
    /// Descriptor with the registers, and the length that it says of itself.
    const DESCRIPTOR: [u8; 2] = [0x09, 0x0c];
    let sense: &[u8; SENSE] = &answer.sense;
    match sense[0] & 0x7f {
        0x72 => {
            let descriptor = sense[8..].first_chunk::<14>().filter(|bytes| bytes[..2] == DESCRIPTOR)?;
            Some([descriptor[9], descriptor[11]])
        }
        0x70 if sense[12..14] == AVAILABLE => Some([sense[10], sense[11]]),
        _ => None,
    }
}

/// Raw values of the attributes that most disks give the same meaning.
#[derive(Debug, Default, PartialEq, Eq)]
struct Attributes {
    reallocated: Option<u64>,
    hours: Option<u64>,
    temperature: Option<i32>,
    pending: Option<u64>,
    uncorrectable: Option<u64>,
}

impl Attributes {
    /// Thirty places of 12 bytes behind a version of two: number, flags, value, worst value, and six bytes of raw value. The
    /// sector's bytes add up to 0. None where it is no such sector.
    fn read(sector: &[u8; SECTOR]) -> Option<Self> {
        let sum = sector.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let places = sector[2..362].as_chunks::<12>().0;
        if sum != 0 || places.iter().all(|place| place[0] == 0) {
            return None;
        }
        // Makers keep other numbers in the higher bytes of some: the widths are those that smartctl has for most disks.
        let raw = |number: u8, width: usize| {
            let place = places.iter().find(|place| place[0] == number)?;
            let bytes = place[5..5 + width].iter().rev();
            Some(bytes.fold(0, |value, byte| value << 8 | u64::from(*byte)))
        };
        let celsius = |number| raw(number, 1).map(|raw| i32::from(raw as u8 as i8));
        Some(Self {
            reallocated: raw(5, 2),
            hours: raw(9, 3),
            temperature: celsius(194).or_else(|| celsius(190)),
            pending: raw(197, 6),
            uncorrectable: raw(198, 6),
        })
    }
}

fn judge(says_good: bool, attributes: &Attributes, rotates: bool) -> Health {
    let Attributes { reallocated, hours, temperature, pending, uncorrectable } = *attributes;
    // Disks without moving parts count other things by these numbers.
    let (pending, uncorrectable) = if rotates { (pending, uncorrectable) } else { (None, None) };
    let mut failing = Vec::new();
    if !says_good {
        failing.push("the disk says that it is failing (SMART)".to_owned());
    }
    if let Some(pending) = pending.filter(|number| *number > 0) {
        failing.push(sectors(pending, "waits for reallocation", "wait for reallocation"));
    }
    if let Some(uncorrectable) = uncorrectable.filter(|number| *number > 0) {
        failing.push(sectors(uncorrectable, "is beyond repair", "are beyond repair"));
    }
    Health {
        failing,
        power_on_hours: hours,
        temperature_celsius: temperature,
        reallocated_sectors: reallocated,
        pending_sectors: pending,
        uncorrectable_sectors: uncorrectable,
        ..Health::default()
    }
}

#[cfg(test)]
#[path = "ata_tests.rs"]
mod tests;
