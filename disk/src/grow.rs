//! File systems that the kernel makes longer while they are mounted.

use std::fs::File;
use std::io;

use ezio_image::filesystem::Resize;

use crate::ioctl;

/// Makes the mounted file system that this folder is in as long as `resize` says. Returns when the kernel has done it; what
/// it has written is on the medium once the file system is unmounted.
///
/// # Errors
/// What the kernel says. The file system is as it was before, and whole.
pub fn grow_mounted(folder: &File, resize: Resize) -> io::Result<()> {
    Ok(match resize {
        Resize::Ext { blocks } => ioctl::resize_ext(folder, blocks),
        Resize::Xfs { blocks, inode_percentage } => ioctl::resize_xfs(folder, blocks, inode_percentage),
        Resize::Btrfs => ioctl::resize_btrfs(folder),
    }?)
}
