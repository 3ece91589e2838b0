//! The ioctls of Linux block devices (`linux/fs.h`, `linux/blkpg.h`) and of file systems that grow while they are mounted
//! (`fs/ext4/ext4.h`, `fs/xfs/libxfs/xfs_fs.h`, `linux/btrfs.h`), each behind a safe function.

// Every ioctl is an unsafe call: the kernel writes through a raw pointer, or takes one. Each
// function below passes a pointer to a live value of the very type that the ioctl is defined with.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc::{c_char, c_int, c_void};

mod raw {
    use nix::libc::{c_int, c_void, size_t};

    nix::ioctl_read!(blkgetsize64, 0x12, 114, size_t);
    nix::ioctl_read_bad!(blksszget, nix::request_code_none!(0x12, 104), c_int);
    nix::ioctl_none!(blkrrpart, 0x12, 95);
    nix::ioctl_none!(blkflsbuf, 0x12, 97);
    nix::ioctl_write_ptr_bad!(blkpg, nix::request_code_none!(0x12, 105), super::BlkpgArgument);
    nix::ioctl_write_ptr_bad!(blkdiscard, nix::request_code_none!(0x12, 119), [u64; 2]);
    nix::ioctl_write_ptr!(ext4_resize_fs, b'f', 16, u64);
    // The number is that of a structure that ends where the id begins.
    nix::ioctl_write_ptr_bad!(ext4_setfsuuid, nix::request_code_write!(b'f', 44, 8), super::ExtUuid);
    nix::ioctl_write_ptr!(xfs_growfs_data, b'X', 110, super::XfsGrowfsData);
    nix::ioctl_write_ptr!(btrfs_resize, 0x94, 3, super::BtrfsVolArgs);

    const _: () = assert!(size_of::<size_t>() == 8, "BLKGETSIZE64 is defined with size_t but writes 64 bits");
    const _: () = assert!(size_of::<*mut c_void>() == 8);
}

const BLKPG_ADD_PARTITION: c_int = 1;
const BLKPG_DEL_PARTITION: c_int = 2;
const BLKPG_RESIZE_PARTITION: c_int = 3;

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
pub(crate) struct BlkpgArgument {
    operation: c_int,
    flags: c_int,
    length: c_int,
    data: *mut c_void,
}

/// `struct blkpg_partition`.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: c_int,
    device_name: [c_char; 64],
    volume_name: [c_char; 64],
}

/// `struct fsuuid` with an id behind it.
#[repr(C)]
pub(crate) struct ExtUuid {
    length: u32,
    flags: u32,
    uuid: [u8; 16],
}

/// `struct xfs_growfs_data`.
#[repr(C)]
pub(crate) struct XfsGrowfsData {
    blocks: u64,
    inode_percentage: u32,
    // The kernel's structure ends with the same four bytes of padding, which count in the number of the ioctl.
    padding: u32,
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
pub(crate) struct BtrfsVolArgs {
    descriptor: i64,
    name: [u8; 4088],
}

/// Size of a block device in bytes.
pub(crate) fn size(device: &File) -> Result<u64, Errno> {
    let mut bytes = 0;
    // SAFETY: the descriptor is open, and `bytes` has the 64 bits that the kernel writes.
    unsafe { raw::blkgetsize64(device.as_raw_fd(), &raw mut bytes) }?;
    Ok(bytes as u64)
}

/// Bytes of a logical sector.
pub(crate) fn sector_size(device: &File) -> Result<u32, Errno> {
    let mut bytes: c_int = 0;
    // SAFETY: the descriptor is open, and `bytes` is the int that the kernel writes.
    unsafe { raw::blksszget(device.as_raw_fd(), &raw mut bytes) }?;
    u32::try_from(bytes).map_err(|_| Errno::EINVAL)
}

/// Makes the kernel read the partition table again.
pub(crate) fn reread(device: &File) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the ioctl takes no argument.
    unsafe { raw::blkrrpart(device.as_raw_fd()) }.map(drop)
}

/// Writes out and forgets what the kernel has cached of the device.
pub(crate) fn flush(device: &File) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the ioctl takes no argument.
    unsafe { raw::blkflsbuf(device.as_raw_fd()) }.map(drop)
}

/// Tells the device that these bytes are not needed.
pub(crate) fn discard(device: &File, offset: u64, length: u64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the range is two 64-bit numbers as the kernel reads them.
    unsafe { raw::blkdiscard(device.as_raw_fd(), &[offset, length]) }.map(drop)
}

/// Tells the kernel of a partition; bytes on the disk.
pub(crate) fn add_partition(device: &File, number: u32, start: u64, length: u64) -> Result<(), Errno> {
    partition(device, BLKPG_ADD_PARTITION, number, start, length)
}

/// Makes a partition that the kernel knows longer or shorter; bytes on the disk. It may be in use.
pub(crate) fn resize_partition(device: &File, number: u32, start: u64, length: u64) -> Result<(), Errno> {
    partition(device, BLKPG_RESIZE_PARTITION, number, start, length)
}

/// Makes the kernel forget a partition.
pub(crate) fn delete_partition(device: &File, number: u32) -> Result<(), Errno> {
    partition(device, BLKPG_DEL_PARTITION, number, 0, 0)
}

/// Makes the ext2/3/4 that is mounted at this folder so many blocks long.
pub(crate) fn resize_ext(folder: &File, blocks: u64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and `blocks` is the 64-bit number that the kernel reads.
    unsafe { raw::ext4_resize_fs(folder.as_raw_fd(), &raw const blocks) }.map(drop)
}

/// Gives the ext2/3/4 that is mounted at this folder another id.
pub(crate) fn set_ext_uuid(folder: &File, uuid: [u8; 16]) -> Result<(), Errno> {
    let wanted = ExtUuid { length: 16, flags: 0, uuid };
    // SAFETY: the descriptor is open; `wanted` lives until the call returns and has the kernel's layout.
    unsafe { raw::ext4_setfsuuid(folder.as_raw_fd(), &raw const wanted) }.map(drop)
}

/// Makes the XFS that is mounted at this folder so many blocks long.
pub(crate) fn resize_xfs(folder: &File, blocks: u64, inode_percentage: u32) -> Result<(), Errno> {
    let wanted = XfsGrowfsData { blocks, inode_percentage, padding: 0 };
    // SAFETY: the descriptor is open; `wanted` lives until the call returns and has the kernel's layout.
    unsafe { raw::xfs_growfs_data(folder.as_raw_fd(), &raw const wanted) }.map(drop)
}

/// Makes the btrfs that is mounted at this folder as long as its device.
pub(crate) fn resize_btrfs(folder: &File) -> Result<(), Errno> {
    let mut name = [0; 4088];
    name[..3].copy_from_slice(b"max");
    let wanted = BtrfsVolArgs { descriptor: 0, name };
    // SAFETY: the descriptor is open; `wanted` lives until the call returns and has the kernel's layout.
    unsafe { raw::btrfs_resize(folder.as_raw_fd(), &raw const wanted) }.map(drop)
}

fn partition(device: &File, operation: c_int, number: u32, start: u64, length: u64) -> Result<(), Errno> {
    let signed = |n: u64| i64::try_from(n).map_err(|_| Errno::EINVAL);
    let mut partition = BlkpgPartition {
        start: signed(start)?,
        length: signed(length)?,
        number: c_int::try_from(number).map_err(|_| Errno::EINVAL)?,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let argument = BlkpgArgument {
        operation,
        flags: 0,
        length: size_of::<BlkpgPartition>() as c_int,
        data: (&raw mut partition).cast(),
    };
    // SAFETY: the descriptor is open; `argument` and the `partition` that it points to live until
    // the call returns and have the layout of the kernel's structures.
    unsafe { raw::blkpg(device.as_raw_fd(), &raw const argument) }.map(drop)
}
