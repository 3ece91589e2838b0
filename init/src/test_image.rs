//! For tests: a small image directory, a seeder of it, and a machine made of files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ezio_image::checksums::Checksums;
use ezio_image::directory::is_small_file;
use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::layout::Layout;
use ezio_image::metainfo::Metainfo;
use ezio_swarm::storage::DeviceStorage;
use ezio_swarm::{Config, Content, Role, Swarm};
use sha1::{Digest, Sha1};

use crate::machine::SystemPaths;

pub(crate) const PIECE: u32 = 16 << 10;
pub(crate) const MIB: u64 = 1 << 20;
/// Size of the source disk of [`TestImage`].
pub(crate) const DISK: u64 = 16 * MIB;
pub(crate) const SWAP_UUID: &str = "3c1b7ad1-0c39-4e0a-a4c6-5d5a1e1f0b1d";

const LAYOUT: &str = "label: gpt
label-id: 0B4DE1C5-2B9A-4E4F-8D1B-3E6B9D7E5A11
device: /dev/sda
unit: sectors
first-lba: 34
last-lba: 32734
sector-size: 512

/dev/sda1 : start=        2048, size=       16384, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=5A7C1B5E-61A2-4B3D-9C55-0D3B1E9E7F01, name=\"root\"
/dev/sda2 : start=       18432, size=        8192, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, uuid=5A7C1B5E-61A2-4B3D-9C55-0D3B1E9E7F02
";

/// Bytes that differ from place to place.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let word = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).to_le_bytes();
    (0..length as u64).flat_map(word).take(length).collect()
}

/// The torrent of these bytes.
pub(crate) fn torrent(name: &str, bytes: &[u8], runs: Option<&ExtentMap>) -> Metainfo {
    let hashes: Vec<u8> =
        bytes.chunks(PIECE as usize).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    Metainfo::create(name, PIECE, bytes.len() as u64, runs, &hashes).unwrap()
}

/// A swarm that holds these bytes.
pub(crate) async fn seeder(metainfo: &Metainfo, bytes: &[u8]) -> Swarm {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let whole = ExtentMap::contiguous(bytes.len() as u64).unwrap();
    let storage = Arc::new(DeviceStorage::new(Arc::new(file), "content", 0, whole));
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), role: Role::Server, ..Config::default() };
    let metainfo = Arc::new(metainfo.clone());
    Swarm::start(config, vec![Content { metainfo, storage, complete: true, trackers: Vec::new() }])
        .await
        .unwrap()
}

/// An image directory: a GPT with a root (some blocks in use) and swap.
pub(crate) struct TestImage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) bytes: Vec<u8>,
    pub(crate) runs: ExtentMap,
    pub(crate) metainfo: Metainfo,
}

impl TestImage {
    pub(crate) fn new() -> Self {
        let runs = [(0, 40_000), (65_536, 100_000), (MIB * 7, 4096)];
        let runs = ExtentMap::new(runs.map(|(offset, length)| Extent { offset, length }).to_vec()).unwrap();
        let bytes = content(runs.total_length() as usize);
        let metainfo = torrent("sda1", &bytes, Some(&runs));
        let image = Self { dir: tempfile::tempdir().unwrap(), bytes, runs, metainfo };
        image.write("sda1.torrent", &image.metainfo.to_torrent(&[]));
        image.write("layout.sfdisk", LAYOUT.as_bytes());
        image.write("boot-code.bin", &[0xeb; 440]);
        image.write("manifest.toml", image.manifest().as_bytes());
        image.sum();
        image
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap()
    }

    /// Makes the checksums fit what is there.
    pub(crate) fn sum(&self) {
        let mut sums = Checksums::default();
        let names = fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        for name in names.filter(|name| is_small_file(name) && name != "SHA256SUMS") {
            sums.add(&name, &self.read(&name));
        }
        self.write("SHA256SUMS", sums.to_string().as_bytes());
    }

    pub(crate) fn manifest(&self) -> String {
        let minimum = Layout::parse_sfdisk(LAYOUT).unwrap().minimum_size();
        let (hash, used) = (self.metainfo.info_hash().as_string(), self.bytes.len());
        format!(
            "format = 1\nname = \"test\"\ncreated = \"2026-01-01T00:00:00Z\"\nbuilder = \"test\"\n\
             [source]\nkind = \"disk\"\npath = \"/dev/sda\"\n\
             [disk]\nsize = {DISK}\nsector_size = 512\nlabel = \"gpt\"\nminimum_size = {minimum}\n\
             [[partition]]\nname = \"sda1\"\nnumber = 1\noffset = {MIB}\nsize = {}\nfilesystem = \"ext4\"\n\
             content = {{ kind = \"blocks\", info_hash = \"{hash}\", used = {used} }}\n\
             [[partition]]\nname = \"sda2\"\nnumber = 2\noffset = {}\nsize = {}\nfilesystem = \"swap\"\n\
             uuid = \"{SWAP_UUID}\"\nlabel = \"SWAP\"\ncontent = {{ kind = \"swap\" }}\n",
            8 * MIB,
            9 * MIB,
            4 * MIB
        )
    }
}

/// A machine whose disks are files: `sys`, `proc` and `dev` below one folder.
pub(crate) struct TestMachine(tempfile::TempDir);

impl TestMachine {
    /// A machine with disks of these names and sizes, full of old data.
    pub(crate) fn new(disks: &[(&str, u64)]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for dir in ["sys/block", "proc", "dev"] {
            fs::create_dir_all(machine.0.path().join(dir)).unwrap();
        }
        fs::write(machine.0.path().join("proc/mounts"), "proc /proc proc rw 0 0\n").unwrap();
        for (name, size) in disks {
            let block = machine.0.path().join("sys/block").join(name);
            fs::create_dir_all(block.join("queue")).unwrap();
            fs::create_dir_all(block.join("device")).unwrap();
            fs::write(block.join("size"), format!("{}\n", size / 512)).unwrap();
            fs::write(block.join("queue/logical_block_size"), "512\n").unwrap();
            fs::write(block.join("device/model"), format!("MODEL-{name}\n")).unwrap();
            fs::write(machine.disk(name), vec![0xee; usize::try_from(*size).unwrap()]).unwrap();
        }
        machine
    }

    pub(crate) fn paths(&self) -> SystemPaths {
        SystemPaths::below(self.0.path())
    }

    pub(crate) fn disk(&self, name: &str) -> PathBuf {
        self.0.path().join("dev").join(name)
    }
}
