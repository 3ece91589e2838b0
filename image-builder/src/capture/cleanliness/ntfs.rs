//! NTFS: the volume's dirty flag, and a hibernated Windows.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use ezio_image::layout::ReadAt;

/// Number of the `$Volume` record in the master file table.
const VOLUME_RECORD: u64 = 3;
/// Attribute `$VOLUME_INFORMATION`; its flags are 10 bytes into it, bit 0 is "dirty".
const VOLUME_INFORMATION: u32 = 0x70;

/// Is the volume marked dirty? What cannot be understood here is left to partclone.
pub(super) fn dirty(read: &impl ReadAt) -> std::io::Result<Option<String>> {
    let boot = read.read_vec(0, 512)?;
    let Some((offset, length)) = volume_record(&boot) else { return Ok(None) };
    let record = read.read_vec(offset, length)?;
    let dirty = "was not cleanly unmounted: start Windows and shut it down, or run chkdsk /f";
    Ok(flags(&record).is_some_and(|flags| flags & 1 != 0).then(|| dirty.to_owned()))
}

/// Byte offset and length of the `$Volume` record. Boot sector: bytes a sector at 0x0b, sectors a
/// cluster at 0x0d, first cluster of the MFT at 0x30, clusters a record at 0x40 (if negative, the
/// record has 2 to the power of its opposite bytes).
fn volume_record(boot: &[u8]) -> Option<(u64, usize)> {
    let sector = u64::from(number(boot, 0x0b, 2)?);
    let cluster = match *boot.get(0x0d)? {
        sectors @ 0..=128 => sector * u64::from(sectors),
        // Large clusters are told the same way as small records.
        power => sector.checked_shl(u32::from(power.wrapping_neg()))?,
    };
    let length = match boot.get(0x40)?.cast_signed() {
        clusters if clusters > 0 => cluster.checked_mul(u64::from(clusters.unsigned_abs()))?,
        power => 1u64.checked_shl(u32::from(power.unsigned_abs()))?,
    };
    let length = usize::try_from(length).ok().filter(|length| (256..=64 << 10).contains(length))?;
    let first = u64::from_le_bytes(boot.get(0x30..0x38)?.try_into().ok()?);
    let offset = first.checked_mul(cluster)?.checked_add(VOLUME_RECORD * length as u64)?;
    Some((offset, length))
}

/// Flags of the volume, out of its record: a header, then attributes, each with type and length.
fn flags(record: &[u8]) -> Option<u8> {
    if record.get(..4)? != b"FILE" {
        return None;
    }
    let mut at = number(record, 20, 2)? as usize;
    loop {
        let (kind, length) = (number(record, at, 4)?, number(record, at + 4, 4)? as usize);
        if kind == VOLUME_INFORMATION {
            let value = at + number(record, at + 20, 2)? as usize;
            return record.get(value + 10).copied();
        }
        if kind == u32::MAX || length < 8 {
            return None;
        }
        at = at.checked_add(length)?;
    }
}

/// Little-endian number of up to four bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b)))
}

/// Looks for a hibernated Windows, of which partclone knows nothing: fast start-up leaves one at every
/// shutdown. Its `hiberfil.sys` then begins with "hibr".
pub(super) fn hibernated(device: &Path) -> Result<Option<String>> {
    let Some(program) = crate::find_program("ntfscat") else {
        return Ok(Some(super::unchecked("a hibernated Windows", "ntfscat", "ntfs-3g")));
    };
    let mut command = Command::new(program);
    command.arg(device).arg("hiberfil.sys").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot run ntfscat")?;
    let mut magic = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(4).read_to_end(&mut magic).context("cannot read from ntfscat")?;
    }
    // The file is as large as the machine's memory; without a reader the rest ends in EPIPE.
    child.wait().context("cannot wait for ntfscat")?;
    let complaint = "holds a hibernated Windows (fast start-up does that): in Windows run \
        `shutdown /s /f /t 0`, or turn fast start-up off and shut down";
    Ok(magic.eq_ignore_ascii_case(b"hibr").then(|| complaint.to_owned()))
}
