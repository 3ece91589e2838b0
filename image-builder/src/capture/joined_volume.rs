//! A logical volume that lies in several pieces, as one file for programs that want one. The kernel asks for its bytes as
//! those of a file system in user space (`linux/fuse.h`), whose one file this is: device-mapper, which would do the same,
//! makes devices that stay behind when this program is killed, and that udev takes for the machine's own volumes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use ezio_image::layout::ReadAt;
use ezio_image::lvm::LogicalVolume;
use nix::libc::{EIO, ENODEV, ENOENT, ENOSYS};
use rustix::fd::AsFd;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

use super::lvm::Found;
use super::source::{Kind, Source};

const NAME: &str = "volume";
/// Numbers of the folder and of the file in it.
const FOLDER: u64 = 1;
const FILE: u64 = 2;
/// Version of the protocol that is spoken.
const VERSION: [u32; 2] = [7, 31];
/// Largest question; the kernel wants room for a write of this much, though nothing is written here.
const QUESTION: usize = 64 << 10;
const MOST_WRITTEN: u32 = 4096;
/// Header of a question.
const HEADER: usize = 40;

/// The file is there until this is dropped, and goes with this program, however that ends.
pub(super) struct JoinedVolume {
    pub(super) source: Source,
    _mount: OwnedFd,
}

impl JoinedVolume {
    /// Makes one of a logical volume whose physical volumes are all `found` on the source.
    pub(super) fn over(source: &Source, logical: LogicalVolume, found: Vec<Found>) -> io::Result<Self> {
        let size = logical.size;
        let volume = Volume { file: source.file.try_clone()?, logical, found };
        let kernel = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let mount = mount(&kernel)?;
        // It ends when nobody has the file system any more.
        std::thread::Builder::new().name("volume".to_owned()).spawn(move || answer(kernel, &volume))?;
        let path = format!("/proc/{}/fd/{}/{NAME}", std::process::id(), mount.as_raw_fd());
        let source = Source {
            file: File::open(&path)?,
            path: PathBuf::from(path),
            size,
            sector_size: source.sector_size,
            kind: Kind::File,
            device_number: 0,
        };
        Ok(Self { source, _mount: mount })
    }
}

/// Mounts it where no path leads to.
fn mount(kernel: &File) -> io::Result<OwnedFd> {
    let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let fd = kernel.as_raw_fd().to_string();
    for (key, value) in [("fd", fd.as_str()), ("rootmode", "40000"), ("user_id", "0"), ("group_id", "0")] {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    fsconfig_create(context.as_fd())?;
    let never = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, never)?)
}

struct Volume {
    file: File,
    logical: LogicalVolume,
    found: Vec<Found>,
}

impl Volume {
    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(length).min(self.logical.size);
        let mut bytes = Vec::new();
        for place in self.logical.places(offset..end) {
            let volume = self.found.iter().find(|(uuid, _)| uuid == place.volume);
            let begin = volume.ok_or(io::ErrorKind::NotFound)?.1;
            bytes.extend(self.file.read_vec(begin + place.offset, place.length as usize)?);
        }
        Ok(bytes)
    }

    /// What the kernel is told of the folder or the file (`struct fuse_attr`).
    fn attributes(&self, node: u64) -> Vec<u8> {
        let (size, mode): (u64, u32) = match node {
            FOLDER => (0, 0o040_500),
            _ => (self.logical.size, 0o100_400),
        };
        let mut bytes: Vec<u8> =
            [node, size, size / 512, 0, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
        for number in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0u32] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// The answer to a question; `None` where the kernel wants none, an error number where there is nothing to say.
    fn answer(&self, question: &[u8]) -> Option<Result<Vec<u8>, i32>> {
        let (operation, node) = (u32_at(question, 4), u64_at(question, 16));
        let body = &question[HEADER.min(question.len())..];
        let longs = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        // FUSE_LOOKUP, _FORGET, _GETATTR, …: their numbers in the protocol.
        Some(match operation {
            1 if body == [NAME.as_bytes(), b"\0"].concat() => {
                Ok([longs(&[FILE, 0, 3600, 3600, 0]), self.attributes(FILE)].concat())
            }
            1 => Err(ENOENT),
            2 | 36 | 42 => return None,
            3 => Ok([longs(&[3600, 0]), self.attributes(node)].concat()),
            14 => Ok(longs(&[0, 0])),
            15 => self.read(u64_at(body, 8), u64::from(u32_at(body, 16))).map_err(|_| EIO),
            18 | 25 | 38 => Ok(Vec::new()),
            26 => {
                let numbers = [VERSION[0], VERSION[1], u32_at(body, 8), 0, 0, MOST_WRITTEN, 1];
                let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                bytes.resize(64, 0);
                Ok(bytes)
            }
            _ => Err(ENOSYS),
        })
    }
}

/// Answers the kernel's questions until it has no more.
fn answer(mut kernel: File, volume: &Volume) {
    let mut buffer = vec![0; QUESTION];
    loop {
        let length = match kernel.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(ENODEV) => return,
            Err(error) if [io::ErrorKind::Interrupted, io::ErrorKind::NotFound].contains(&error.kind()) => {
                continue;
            }
            Err(error) => return tracing::debug!("the joined volume ends: {error}"),
        };
        let question = &buffer[..length];
        let Some(answer) = volume.answer(question) else { continue };
        let (error, body) = answer.map_or_else(|error| (-error, Vec::new()), |body| (0, body));
        let mut said = ((16 + body.len()) as u32).to_le_bytes().to_vec();
        said.extend_from_slice(&error.to_le_bytes());
        said.extend_from_slice(&u64_at(question, 8).to_le_bytes());
        said.extend_from_slice(&body);
        if let Err(error) = kernel.write_all(&said) {
            // Who asked may have been killed meanwhile.
            tracing::debug!("an answer of the joined volume: {error}");
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
