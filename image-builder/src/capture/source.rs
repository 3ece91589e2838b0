//! The source of a capture: a block device or a file, only ever read, and held so that nobody mounts
//! it meanwhile.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::{major, minor};

use super::sector_size;

/// What kind of thing the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A block device that is no partition: a disk, or a logical volume.
    Device,
    /// A partition's device node.
    PartitionDevice,
    /// A regular file.
    File,
}

/// An opened source.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path as given, made absolute and with links followed.
    pub(crate) path: PathBuf,
    /// Opened to read. Of a block device it is held exclusively (unless forced): a mount fails meanwhile.
    pub(crate) file: File,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Logical sector size in bytes; of a file what fits its partition table.
    pub(crate) sector_size: u32,
    /// What it is.
    pub(crate) kind: Kind,
    /// Number of the block device, 0 for a file.
    pub(crate) device_number: u64,
}

impl Source {
    /// Opens a source. What is in use is refused unless `force`; `sector_size` is the user's word on a file.
    pub(crate) fn open(path: &Path, force: bool, sector_size: Option<u32>) -> Result<Self> {
        let path = fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()))?;
        let kind_of = fs::metadata(&path).with_context(|| format!("cannot open {}", path.display()))?;
        match kind_of.file_type() {
            t if t.is_block_device() => {
                let device = Self::open_device(path, kind_of.rdev(), force)?;
                ensure!(
                    sector_size.is_none_or(|told| told == device.sector_size),
                    "{} has sectors of {} bytes, whatever --sector-size says",
                    device.path.display(),
                    device.sector_size
                );
                Ok(device)
            }
            t if t.is_file() => Self::open_file(path, force, sector_size),
            _ => bail!("{} is neither a block device nor a file", path.display()),
        }
    }

    fn open_device(path: PathBuf, device_number: u64, force: bool) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true);
        if !force {
            // For a block device this means: fail when it, or a part of it, is mounted or otherwise held.
            options.custom_flags(OFlag::O_EXCL.bits());
        }
        let file = options.open(&path).map_err(|e| in_use(e, &path))?;
        let size =
            size_of_device(&file).with_context(|| format!("cannot find the size of {}", path.display()))?;
        let sys = sys_folder(device_number);
        let is_partition = sys.join("partition").exists();
        let queue = if is_partition { sys.join("../queue") } else { sys.join("queue") };
        let sector_size = read_number(&queue.join("logical_block_size"))?;
        let kind = if is_partition { Kind::PartitionDevice } else { Kind::Device };
        let source = Self { path, file, size, sector_size, kind, device_number };
        source.checked()
    }

    fn open_file(path: PathBuf, force: bool, sector_size: Option<u32>) -> Result<Self> {
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let size =
            file.metadata().with_context(|| format!("cannot find the size of {}", path.display()))?.len();
        if !force {
            ensure!(
                !is_locked(&file),
                "{} is in use by another program (a running virtual machine?): stop it first, or use --force",
                path.display()
            );
            refuse_mounted_loop(&path)?;
        }
        let sector_size = match sector_size {
            Some(told) => told,
            None => sector_size::find(&file, size).with_context(|| path.display().to_string())?,
        };
        Self { path, file, size, sector_size, kind: Kind::File, device_number: 0 }.checked()
    }

    fn checked(self) -> Result<Self> {
        ensure!(self.size > 0, "{} is empty", self.path.display());
        Ok(self)
    }

    /// Is it made of other devices by device-mapper, as logical volumes are?
    pub(crate) fn is_mapping(&self) -> bool {
        self.kind == Kind::Device && sys_folder(self.device_number).join("dm").exists()
    }

    /// Name of the device or file, as the system names it; a logical volume is named by its mapping.
    pub(crate) fn base_name(&self) -> String {
        let mapping = fs::read_to_string(sys_folder(self.device_number).join("dm/name")).ok();
        let own = || self.path.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = mapping.filter(|_| self.kind != Kind::File).or_else(own).unwrap_or_default();
        name.trim().to_owned()
    }
}

fn sys_folder(device_number: u64) -> PathBuf {
    PathBuf::from(format!("/sys/dev/block/{}:{}", major(device_number), minor(device_number)))
}

fn in_use(error: std::io::Error, path: &Path) -> anyhow::Error {
    if error.raw_os_error() != Some(libc::EBUSY) {
        return anyhow::Error::new(error).context(format!("cannot open {}", path.display()));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let prefix = path.to_string_lossy();
    let mounted: Vec<&str> =
        mounts.lines().filter(|l| l.starts_with(&*prefix)).filter_map(|l| l.split(' ').nth(1)).collect();
    let how = match mounted.as_slice() {
        [] => "in use (mounted, swapped to, or part of a RAID, LVM or encrypted volume)".to_owned(),
        points => format!("mounted at {}", points.join(", ")),
    };
    anyhow::anyhow!("{} is {how}: unmount it first (umount, swapoff), or use --force", path.display())
}

/// Does anyone hold a lock on the file? QEMU locks the images it has open.
fn is_locked(file: &File) -> bool {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock));
    asked.is_ok() && lock.l_type != libc::F_UNLCK as libc::c_short
}

/// A file that is mounted through a loop device is in use, too.
fn refuse_mounted_loop(path: &Path) -> Result<()> {
    let Ok(devices) = fs::read_dir("/sys/block") else { return Ok(()) };
    for device in devices.flatten() {
        let Ok(backing) = fs::read_to_string(device.path().join("loop/backing_file")) else { continue };
        if Path::new(backing.trim_end_matches('\n')) != path {
            continue;
        }
        let node = Path::new("/dev").join(device.file_name());
        let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_EXCL.bits()).open(&node);
        if opened.is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY)) {
            bail!(
                "{} is mounted through {}: unmount it first, or use --force",
                path.display(),
                node.display()
            );
        }
    }
    Ok(())
}

fn size_of_device(mut file: &File) -> std::io::Result<u64> {
    use std::io::{Seek, SeekFrom};
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    Ok(size)
}

fn read_number(path: &Path) -> Result<u32> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} holds no number", path.display()))
}
