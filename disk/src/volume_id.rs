//! Ids of file systems that the kernel changes while they are mounted.

use std::fs::File;
use std::io;

use crate::ioctl;

/// Gives the mounted ext2/3/4 that this folder is in another id, in all copies of its superblock that count.
///
/// # Errors
/// What the kernel says: it is older than Linux 6.0, or the checksums of the file system begin with the id.
pub fn renew_mounted_id(folder: &File, uuid: [u8; 16]) -> io::Result<()> {
    Ok(ioctl::set_ext_uuid(folder, uuid)?)
}
