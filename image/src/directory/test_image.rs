//! For tests: images of a GPT, an MBR and a raw disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Findings, Image, Torrent};
use crate::extents::{Extent, ExtentMap};
use crate::layout::Layout;
use crate::manifest::{Content, DiskInfo, DiskLabel, Manifest, PartitionInfo, Source, SourceKind, Store};
use crate::metainfo::Metainfo;

pub(crate) const SECTOR: u64 = 512;
const PIECE: u32 = 16 << 10;

pub(crate) fn torrent(name: &str, runs: Option<&[(u64, u64)]>, raw_length: u64) -> Arc<Metainfo> {
    let map = runs.map(|runs| {
        ExtentMap::new(runs.iter().map(|&(offset, length)| Extent { offset, length }).collect()).unwrap()
    });
    let length = map.as_ref().map_or(raw_length, ExtentMap::total_length);
    let hashes = vec![7; length.div_ceil(u64::from(PIECE)) as usize * 20];
    Arc::new(Metainfo::create(name, PIECE, length, map.as_ref(), &hashes).unwrap())
}

/// Gives the image a torrent more, or another one of that name.
pub(crate) fn put(image: &mut Image, metainfo: Arc<Metainfo>) {
    image.torrents.insert(metainfo.name().to_owned(), Torrent::new(metainfo).unwrap());
}

fn torrents<const N: usize>(metainfos: [Arc<Metainfo>; N]) -> BTreeMap<String, Torrent> {
    metainfos.map(|metainfo| (metainfo.name().to_owned(), Torrent::new(metainfo).unwrap())).into()
}

pub(crate) fn info(name: &str, number: u32, start: u64, sectors: u64, content: Content) -> PartitionInfo {
    PartitionInfo {
        name: name.into(),
        number,
        offset: start * SECTOR,
        size: sectors * SECTOR,
        filesystem: None,
        filesystem_size: None,
        block_size: None,
        uuid: None,
        label: None,
        content,
        lvm: None,
    }
}

pub(crate) fn blocks(torrent: &Metainfo) -> Content {
    Content::Blocks { info_hash: torrent.info_hash().as_string(), used: torrent.total_length() }
}

fn manifest(kind: SourceKind, label: Option<DiskLabel>, partitions: Vec<PartitionInfo>) -> Manifest {
    Manifest {
        format: 1,
        name: "golden".into(),
        created: "2026-01-02T03:04:05Z".into(),
        builder: "image-builder 0.1.0".into(),
        arch: None,
        store: Store::default(),
        source: Source { kind, path: "/dev/sda".into(), model: None, serial: None },
        disk: label.map(|label| DiskInfo { size: 64 << 20, sector_size: 512, label, minimum_size: 40 << 20 }),
        notes: Vec::new(),
        partitions,
    }
}

pub(crate) fn gpt_image() -> Image {
    let layout = "label: gpt\nlabel-id: 6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C11\ndevice: /dev/sda\nunit: sectors\n\
        first-lba: 34\nlast-lba: 131038\nsector-size: 512\n\n\
        /dev/sda1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A01\n\
        /dev/sda2 : start=4096, size=40960, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A02\n\
        /dev/sda3 : start=45056, size=8192, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A03\n\
        /dev/sda4 : start=53248, size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A04\n";
    let (sda1, sda2) =
        (torrent("sda1", None, 1 << 20), torrent("sda2", Some(&[(0, 65536), (1 << 20, 4096)]), 0));
    let mut swap = info("sda3", 3, 45056, 8192, Content::Swap);
    swap.uuid = Some("3c1b7ad1-0c39-4e0a-a4c6-5d5a1e1f0b1d".into());
    let partitions = vec![
        info("sda1", 1, 2048, 2048, Content::Raw { info_hash: sda1.info_hash().as_string() }),
        info("sda2", 2, 4096, 40960, blocks(&sda2)),
        swap,
        info("sda4", 4, 53248, 2048, Content::Empty),
    ];
    Image {
        manifest: manifest(SourceKind::Disk, Some(DiskLabel::Gpt), partitions),
        layout: Some(Layout::parse_sfdisk(layout).unwrap()),
        torrents: torrents([sda1, sda2]),
        boot_code: Some(vec![0x90; 440]),
        hidden: None,
        damage: Findings::default(),
    }
}

pub(crate) fn mbr_image() -> Image {
    let layout = "label: dos\nlabel-id: 0xcafe1234\ndevice: /dev/sda\nunit: sectors\nsector-size: 512\n\n\
        /dev/sda1 : start=2048, size=8192, type=83, bootable\n\
        /dev/sda2 : start=10240, size=20480, type=5\n\
        /dev/sda5 : start=12288, size=8192, type=83\n\
        /dev/sda6 : start=22528, size=8192, type=82\n";
    let (sda1, sda5) = (torrent("sda1", Some(&[(0, 4096)]), 0), torrent("sda5", Some(&[(8192, 4096)]), 0));
    let partitions = vec![
        info("sda1", 1, 2048, 8192, blocks(&sda1)),
        info("sda2", 2, 10240, 20480, Content::Empty),
        info("sda5", 5, 12288, 8192, blocks(&sda5)),
        info("sda6", 6, 22528, 8192, Content::Swap),
    ];
    Image {
        manifest: manifest(SourceKind::Disk, Some(DiskLabel::Dos), partitions),
        layout: Some(Layout::parse_sfdisk(layout).unwrap()),
        torrents: torrents([sda1, sda5]),
        boot_code: Some(vec![0x90; 440]),
        hidden: Some(vec![0x42; 2047 * 512]),
        damage: Findings::default(),
    }
}

pub(crate) fn raw_image() -> Image {
    let disk = torrent("disk", None, 64 << 20);
    let content = Content::Raw { info_hash: disk.info_hash().as_string() };
    let partitions = vec![info("disk", 0, 0, (64 << 20) / SECTOR, content)];
    let mut manifest = manifest(SourceKind::RawDisk, Some(DiskLabel::None), partitions);
    manifest.disk.as_mut().unwrap().minimum_size = 64 << 20;
    Image {
        manifest,
        layout: None,
        torrents: torrents([disk]),
        boot_code: None,
        hidden: None,
        damage: Findings::default(),
    }
}
