//! The ioctls of Linux block devices (`linux/fs.h`, `linux/blkpg.h`), of file systems that grow while they are mounted
//! (`fs/ext4/ext4.h`, `fs/xfs/libxfs/xfs_fs.h`, `linux/btrfs.h`), and those that pass a command on to a disk
//! (`linux/nvme_ioctl.h`, `scsi/sg.h`), each behind a safe function.

// Every ioctl is an unsafe call: the kernel writes through a raw pointer, or takes one. Each
// function below passes a pointer to a live value of the very type that the ioctl is defined with.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

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
    nix::ioctl_readwrite!(nvme_admin_command, b'N', 0x41, super::NvmeCommand);
    nix::ioctl_readwrite_bad!(sg_io, 0x2285, super::SgHeader);

    const _: () = assert!(size_of::<size_t>() == 8, "BLKGETSIZE64 is defined with size_t but writes 64 bits");
    const _: () = assert!(size_of::<*mut c_void>() == 8);
    // Its size is part of the number of the ioctl.
    const _: () = assert!(size_of::<super::NvmeCommand>() == 72);
    const _: () = assert!(size_of::<super::SgHeader>() == 88);
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

/// `struct nvme_passthru_cmd`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct NvmeCommand {
    opcode: u8,
    flags: u8,
    reserved: u16,
    namespace: u32,
    words_2_3: [u32; 2],
    metadata: u64,
    address: u64,
    metadata_length: u32,
    data_length: u32,
    words_10_15: [u32; 6],
    timeout_ms: u32,
    result: u32,
}

/// `struct sg_io_hdr`.
#[repr(C)]
pub(crate) struct SgHeader {
    interface: c_int,
    direction: c_int,
    command_length: u8,
    sense_length: u8,
    segments: u16,
    data_length: u32,
    data: *mut c_void,
    command: *const u8,
    sense: *mut u8,
    timeout_ms: u32,
    flags: u32,
    packet: c_int,
    own: *mut c_void,
    status: u8,
    masked_status: u8,
    message_status: u8,
    sense_written: u8,
    host_status: u16,
    driver_status: u16,
    missing: c_int,
    duration_ms: u32,
    info: u32,
}

/// What a disk says of a SCSI command that it was sent.
#[derive(Debug, Clone)]
pub(crate) struct ScsiAnswer {
    /// Of the command; 0 is good.
    pub(crate) status: u8,
    /// Why it is not; zeros where nothing is said.
    pub(crate) sense: [u8; SENSE],
}

/// Bytes of sense data that are asked for: a header, and the descriptor of an ATA disk's registers.
pub(crate) const SENSE: usize = 32;

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

/// Asks the controller of an NVMe disk for the beginning of one of its log pages.
pub(crate) fn nvme_log_page(
    device: &File,
    page: u8,
    data: &mut [u8; 512],
    timeout: Duration,
) -> Result<(), Errno> {
    const GET_LOG_PAGE: u8 = 2;
    const ALL_NAMESPACES: u32 = u32::MAX;
    // Words of 32 bits that are wanted, less one.
    const WORDS: u32 = 512 / 4 - 1;
    let mut command = NvmeCommand {
        opcode: GET_LOG_PAGE,
        namespace: ALL_NAMESPACES,
        address: data.as_mut_ptr() as u64,
        data_length: data.len() as u32,
        words_10_15: [u32::from(page) | WORDS << 16, 0, 0, 0, 0, 0],
        timeout_ms: milliseconds(timeout)?,
        ..NvmeCommand::default()
    };
    // SAFETY: the descriptor is open; `command` has the kernel's layout; it and `data`, whose address and length it has, and
    // which nobody else can use meanwhile, live until the call returns.
    match unsafe { raw::nvme_admin_command(device.as_raw_fd(), &raw mut command) }? {
        0 => Ok(()),
        // The controller's own status.
        _ => Err(Errno::EIO),
    }
}

/// Sends a disk a SCSI command that brings so many bytes from it, or none.
pub(crate) fn scsi(
    device: &File,
    command: &[u8],
    data: &mut [u8],
    timeout: Duration,
) -> Result<ScsiAnswer, Errno> {
    const NOTHING: c_int = -1;
    const FROM_DEVICE: c_int = -3;
    let mut sense = [0; SENSE];
    let mut header = SgHeader {
        interface: b'S'.into(),
        direction: if data.is_empty() { NOTHING } else { FROM_DEVICE },
        command_length: u8::try_from(command.len()).map_err(|_| Errno::EINVAL)?,
        sense_length: SENSE as u8,
        segments: 0,
        data_length: u32::try_from(data.len()).map_err(|_| Errno::EINVAL)?,
        data: data.as_mut_ptr().cast(),
        command: command.as_ptr(),
        sense: sense.as_mut_ptr(),
        timeout_ms: milliseconds(timeout)?,
        flags: 0,
        packet: 0,
        own: ptr::null_mut(),
        status: 0,
        masked_status: 0,
        message_status: 0,
        sense_written: 0,
        host_status: 0,
        driver_status: 0,
        missing: 0,
        duration_ms: 0,
        info: 0,
    };
    // SAFETY: the descriptor is open; `header` has the kernel's layout; it and the three buffers, whose addresses and lengths
    // it has, live until the call returns, and nobody else can use those that the kernel writes.
    unsafe { raw::sg_io(device.as_raw_fd(), &raw mut header) }?;
    match header.host_status {
        0 => Ok(ScsiAnswer { status: header.status, sense }),
        // The command did not get there, or nothing came back in time.
        _ => Err(Errno::EIO),
    }
}

fn milliseconds(time: Duration) -> Result<u32, Errno> {
    u32::try_from(time.as_millis()).map_err(|_| Errno::EINVAL)
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
