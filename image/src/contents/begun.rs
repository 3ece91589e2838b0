//! The mark of a deployment that is under way: it lies in the first sector, where nothing else is until all else is written.
//! So a disk that was left half written is known again, by the random name of the run that left it so.

use crate::layout::ReadAt;

/// No boot sector and no superblock begins like this.
const MAGIC: &[u8] = b"ezio: a deployment was begun here and has not ended: ";
/// The mark's length: a sector of the shortest kind.
pub const LENGTH: usize = 512;

/// What is written at the beginning of a target, in place of what makes it whole.
#[must_use]
pub fn mark(run: &str) -> [u8; LENGTH] {
    let mut sector = [0; LENGTH];
    let text = [MAGIC, run.as_bytes(), b"\n"].concat();
    let length = text.len().min(LENGTH);
    sector[..length].copy_from_slice(&text[..length]);
    sector
}

/// The run that began to write this target, and did not come to its end.
pub(super) fn run(device: &impl ReadAt) -> Option<String> {
    let sector = device.read_vec(0, LENGTH).ok()?;
    let name = sector.strip_prefix(MAGIC)?.split(|byte| *byte == b'\n').next()?;
    String::from_utf8(name.to_vec()).ok()
}
