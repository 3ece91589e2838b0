//! What disks say of their own health. They are asked, and nothing is switched on or changed on them.
//!
//! NVMe has a page for it ([`nvme`]); ATA a status and a table of attributes ([`ata`]), which also come through controllers and
//! USB bridges that translate SCSI to ATA, and say so; SCSI has a page of exceptions ([`scsi`]). Other disks at USB are not asked
//! at all, for there are sticks that hang themselves up over a command that they do not know.

mod ata;
mod nvme;
mod scsi;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use ezio_contract::health::Health;
use ezio_image::conf::Bus;

use crate::discover::Disk;

/// After so long the kernel gives up one question, and resets the disk, which nobody wants of one that is only slow: an answer
/// takes milliseconds. (Of SCSI commands it takes no bound below seven seconds.)
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the disk says; none where it has no such thing, or does not answer. One that hangs may take half a minute: whoever
/// cannot wait for so long has a bound of their own. `sys` is where sysfs is mounted.
#[must_use]
pub fn health(sys: &Path, disk: &Disk) -> Option<Health> {
    let bus = disk.bus?;
    if bus == Bus::Nvme {
        return nvme::ask(&File::open(&disk.path).ok()?);
    }
    if !disk.name.starts_with("sd") {
        return None;
    }
    // Who translates to ATA has this page, with the disk's own description of itself in it.
    match fs::read(sys.join("block").join(&disk.name).join("device/vpd_pg89")) {
        Ok(page) => ata::ask(&File::open(&disk.path).ok()?, &page),
        Err(_) if bus == Bus::Scsi => scsi::ask(&File::open(&disk.path).ok()?),
        Err(_) => None,
    }
}

/// "1 sector waits", "128 sectors wait".
fn sectors(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 sector {one}") } else { format!("{number} sectors {many}") }
}
