use super::*;

use crate::conf::Grow;
use crate::extents::Extent;
use crate::manifest::{Content, DiskInfo, DiskLabel, PartitionInfo, Source, SourceKind, UNPARTITIONED};

const SECTOR: u64 = 512;
const PIECE: u32 = 16 << 10;

pub(super) fn torrent(name: &str, runs: Option<&[(u64, u64)]>, raw_length: u64) -> Arc<Metainfo> {
    let map = runs.map(|runs| {
        ExtentMap::new(runs.iter().map(|&(offset, length)| Extent { offset, length }).collect()).unwrap()
    });
    let length = map.as_ref().map_or(raw_length, ExtentMap::total_length);
    let hashes = vec![7; length.div_ceil(u64::from(PIECE)) as usize * 20];
    Arc::new(Metainfo::create(name, PIECE, length, map.as_ref(), &hashes).unwrap())
}

pub(super) fn info(name: &str, number: u32, start: u64, sectors: u64, content: Content) -> PartitionInfo {
    PartitionInfo {
        name: name.into(),
        number,
        offset: start * SECTOR,
        size: sectors * SECTOR,
        filesystem: None,
        filesystem_size: None,
        uuid: None,
        label: None,
        content,
    }
}

pub(super) fn room(size: u64) -> Room {
    Room { size, start: None }
}

pub(super) fn blocks(torrent: &Metainfo) -> Content {
    Content::Blocks { info_hash: torrent.info_hash().as_string(), used: torrent.total_length() }
}

pub(super) fn manifest(
    kind: SourceKind,
    label: Option<DiskLabel>,
    partitions: Vec<PartitionInfo>,
) -> Manifest {
    Manifest {
        format: 1,
        name: "golden".into(),
        created: "2026-01-02T03:04:05Z".into(),
        builder: "image-builder 0.1.0".into(),
        arch: None,
        source: Source { kind, path: "/dev/sda".into(), model: None, serial: None },
        disk: label.map(|label| DiskInfo { size: 64 << 20, sector_size: 512, label, minimum_size: 40 << 20 }),
        notes: Vec::new(),
        partitions,
    }
}

pub(super) fn gpt_image() -> ImageParts {
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
    ImageParts {
        manifest: manifest(SourceKind::Disk, Some(DiskLabel::Gpt), partitions),
        layout: Some(Layout::parse_sfdisk(layout).unwrap()),
        metainfos: [("sda1".into(), sda1), ("sda2".into(), sda2)].into(),
        boot_code: Some(vec![0x90; 440]),
        hidden: None,
    }
}

pub(super) fn mbr_image() -> ImageParts {
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
    ImageParts {
        manifest: manifest(SourceKind::Disk, Some(DiskLabel::Dos), partitions),
        layout: Some(Layout::parse_sfdisk(layout).unwrap()),
        metainfos: [("sda1".into(), sda1), ("sda5".into(), sda5)].into(),
        boot_code: Some(vec![0x90; 440]),
        hidden: Some(vec![0x42; 2047 * 512]),
    }
}

pub(super) fn raw_image() -> ImageParts {
    let disk = torrent("disk", None, 64 << 20);
    let content = Content::Raw { info_hash: disk.info_hash().as_string() };
    let partitions = vec![info("disk", 0, 0, (64 << 20) / SECTOR, content)];
    let mut manifest = manifest(SourceKind::RawDisk, Some(DiskLabel::None), partitions);
    manifest.disk.as_mut().unwrap().minimum_size = 64 << 20;
    ImageParts {
        manifest,
        layout: None,
        metainfos: [("disk".into(), disk)].into(),
        boot_code: None,
        hidden: None,
    }
}

/// With EZIO_BLESS=1 in the environment the files are written anew; look at the difference then.
pub(super) fn golden(name: &str, plan: &Plan) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/golden").join(name);
    let text = plan.to_string();
    if std::env::var_os("EZIO_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, expected, "{name}");
}

#[test]
fn plans_are_what_they_were() {
    golden("gpt.txt", &gpt_image().plan_for_disk(128 << 20, 512, &Grow::None).unwrap());
    golden("mbr.txt", &mbr_image().plan_for_disk(64 << 20, 512, &Grow::None).unwrap());
    golden("raw.txt", &raw_image().plan_for_disk(100 << 20, 512, &Grow::None).unwrap());
    golden(
        "partition.txt",
        &gpt_image().plan_for_partition(Some("sda2"), room(30 << 20), &Grow::None).unwrap(),
    );
    golden(
        "torrent.txt",
        &Plan::for_torrent(torrent("sda1", None, 5000), room(1 << 20), &Grow::None).unwrap(),
    );
}

/// Ranges of the target that a step writes.
pub(super) fn ranges(step: &Step) -> Vec<std::ops::Range<u64>> {
    let places: Vec<(u64, u64)> = match step {
        Step::Clear { places, .. } => places.iter().map(|p| (p.start, p.end - p.start)).collect(),
        Step::Write { offset, bytes, .. } => vec![(*offset, bytes.len() as u64)],
        Step::Payload(p) => p.extents.extents().iter().map(|e| (p.base + e.offset, e.length)).collect(),
        Step::Table { image, .. } => {
            image.writes().iter().map(|(at, bytes)| (*at, bytes.len() as u64)).collect()
        }
        Step::Relocate { .. } | Step::Sync | Step::Reread => Vec::new(),
    };
    places.into_iter().map(|(offset, length)| offset..offset + length).collect()
}

#[test]
fn nothing_is_written_outside_or_twice_after_the_payload() {
    for (image, size) in [(gpt_image(), 64 << 20), (mbr_image(), 64 << 20), (raw_image(), 64 << 20)] {
        let plan = image.plan_for_disk(size, 512, &Grow::None).unwrap();
        for range in plan.steps().iter().flat_map(ranges) {
            assert!(range.end <= size, "{range:?}\n{plan}");
        }
        assert!(plan.before_payload().iter().all(|s| matches!(s, Step::Clear { .. })), "{plan}");
        let payload: Vec<_> = plan.payloads().flat_map(|p| ranges(&Step::Payload(p.clone()))).collect();
        for late in plan.after_payload().iter().flat_map(ranges) {
            let hit = payload.iter().find(|p| p.start < late.end && late.start < p.end);
            assert_eq!(hit, None, "{late:?}\n{plan}");
        }
    }
}

#[test]
fn the_table_comes_last_and_between_two_syncs() {
    for image in [gpt_image(), mbr_image()] {
        let plan = image.plan_for_disk(64 << 20, 512, &Grow::None).unwrap();
        let [.., Step::Sync, Step::Table { image: table, .. }, Step::Sync, Step::Reread] = plan.steps()
        else {
            panic!("{plan}");
        };
        let (offset, sector) = table.writes().last().unwrap();
        assert_eq!((*offset, &sector[..440]), (0, &[0x90; 440][..]));
    }
}

fn refusal(image: &ImageParts, size: u64) -> String {
    image.plan_for_disk(size, 512, &Grow::None).expect_err("refused").to_string()
}

#[test]
fn an_image_that_does_not_match_its_manifest_is_refused() {
    let mismatch = "the image does not match its manifest: ";
    let check = |change: &dyn Fn(&mut ImageParts), words: &str| {
        let mut image = gpt_image();
        change(&mut image);
        let text = refusal(&image, 64 << 20);
        assert!(text.starts_with(mismatch) && text.contains(words), "{words}: {text}");
    };
    check(&|i| drop(i.metainfos.remove("sda2")), "sda2: its torrent is missing");
    check(&|i| drop(i.metainfos.insert("sda2".into(), torrent("x", Some(&[(0, 65536)]), 0))), "info hash");
    check(&|i| i.layout = None, "the partition table is missing");
    check(&|i| i.manifest.partitions[1].size -= 512, "sda2: the table puts it at byte 2097152");
    check(&|i| i.manifest.partitions[3].number = 9, "no partition 9");
    check(&|i| drop(i.manifest.partitions.pop()), "partition 4 of the table");
    check(&|i| i.hidden = Some(vec![1; 512]), "a GPT lies in their place");
    check(&|i| i.manifest.partitions[2].uuid = Some("x".into()), "UUID of a swap");
    check(
        &|i| i.manifest.disk.as_mut().unwrap().sector_size = 4096,
        "sectors of 512 bytes, the manifest of 4096",
    );
    // Runs that lead into the next partition.
    let long = torrent("sda2", Some(&[(40960 * SECTOR - 100, 101)]), 0);
    check(
        &|i| {
            i.manifest.partitions[1].content = blocks(&long);
            i.metainfos.insert("sda2".into(), Arc::clone(&long));
        },
        "sda2: its torrent writes up to byte 20971521 of a partition of 20971520 bytes",
    );
    check(
        &|i| {
            let Content::Blocks { used, .. } = &mut i.manifest.partitions[1].content else { panic!() };
            *used += 1;
        },
        "the manifest says 69633",
    );
    let mut image = mbr_image();
    image.hidden.as_mut().unwrap().push(0);
    assert!(
        refusal(&image, 64 << 20)
            .contains("hidden sectors end at byte 1048577, the first partition begins at 1048576")
    );
}

#[test]
fn targets_that_are_too_small_are_refused_by_how_much() {
    assert_eq!(
        refusal(&gpt_image(), (40 << 20) - 10),
        "the target is too small by 10 bytes: it has 41943030, the image golden needs 41943040"
    );
    assert_eq!(
        refusal(&raw_image(), (64 << 20) - 1),
        "the target is too small by 1 bytes: it has 67108863, the image golden needs 67108864"
    );
    let small =
        gpt_image().plan_for_partition(Some("sda2"), room(1 << 20), &Grow::None).unwrap_err().to_string();
    assert_eq!(
        small,
        "the target is too small by 19922944 bytes: it has 1048576, sda2 of golden needs 20971520"
    );
    assert!(Plan::for_torrent(torrent("sda1", None, 5000), room(4999), &Grow::None).is_err());
    let sectors = gpt_image().plan_for_disk(64 << 20, 4096, &Grow::None).unwrap_err().to_string();
    assert_eq!(sectors, "the disk has logical sectors of 4096 bytes, the image was taken from one with 512");
    assert!(raw_image().plan_for_disk(64 << 20, 4096, &Grow::None).is_err());
}

#[test]
fn it_must_be_clear_which_partition_is_meant() {
    let image = gpt_image();
    let text = image.plan_for_partition(None, room(1 << 30), &Grow::None).unwrap_err().to_string();
    assert_eq!(text, "the image golden has sda1, sda2: say which one is meant with partition = \"…\"");
    let text = image.plan_for_partition(Some("sda3"), room(1 << 30), &Grow::None).unwrap_err().to_string();
    assert!(text.contains("no content for a partition \"sda3\": it has sda1, sda2"), "{text}");
    assert_eq!(image.needed_for_partition(Some("sda2")).unwrap(), 20 << 20, "all of its file system");
    let mut shorter = gpt_image();
    shorter.manifest.partitions[1].filesystem_size = Some(7 << 20);
    assert_eq!(shorter.needed_for_partition(Some("sda2")).unwrap(), 7 << 20);
    assert!(shorter.plan_for_partition(Some("sda2"), room(7 << 20), &Grow::None).is_ok());
    assert_eq!(image.needed_for_disk(), Some(40 << 20));

    let mut single = gpt_image();
    let mut part = single.manifest.partitions.remove(1);
    (part.number, part.offset) = (0, 0);
    single.manifest.partitions = vec![part];
    single.manifest.source.kind = SourceKind::Partition;
    single.manifest.disk = None;
    assert!(single.plan_for_partition(None, room(1 << 30), &Grow::None).is_ok());
    assert!(matches!(single.plan_for_disk(1 << 30, 512, &Grow::None), Err(PlanError::NotADisk { .. })));
}

/// Every place that is cleared, in order.
fn cleared(plan: &Plan) -> Vec<std::ops::Range<u64>> {
    let mut places: Vec<_> = plan.before_payload().iter().flat_map(ranges).collect();
    places.sort_by_key(|place| place.start);
    places
}

#[test]
fn old_signatures_are_cleared_where_no_payload_comes() {
    const MIB: u64 = 1 << 20;
    // The first partition (1 MiB to 5 MiB) and the logical ones (6 to 10, 11 to 15) are all head and tail; of the
    // rest of the disk that is the beginning and the end.
    let plan = mbr_image().plan_for_disk(64 * MIB, 512, &Grow::None).unwrap();
    let mut expected = vec![
        (0, MIB),
        (MIB + 4096, 4 * MIB - 4096),
        (5 * MIB, MIB),
        (6 * MIB, 8192),
        (6 * MIB + 12288, 4 * MIB - 12288),
        (10 * MIB, MIB),
        (11 * MIB, 4 * MIB),
        (15 * MIB, 4 * MIB + 4096),
        (62 * MIB, MIB),
        (63 * MIB, MIB),
    ];
    let found = |plan: &Plan| cleared(plan).iter().map(|p| (p.start, p.end - p.start)).collect::<Vec<_>>();
    assert_eq!(found(&plan), expected, "{plan}");
    // A copy of btrfs's superblock, on a larger disk.
    let plan = mbr_image().plan_for_disk(200 * MIB, 512, &Grow::None).unwrap();
    expected.truncate(8);
    // Of a btrfs on the disk, and of one in what is the gap behind the last partition.
    expected.extend([(64 * MIB, 4096), (79 * MIB, 4096), (198 * MIB, MIB), (199 * MIB, MIB)]);
    assert_eq!(found(&plan), expected, "{plan}");
    // What is copied whole overwrites everything itself, but not behind its end.
    let plan = raw_image().plan_for_disk(66 * MIB, 512, &Grow::None).unwrap();
    assert_eq!(found(&plan), [(0, MIB), (64 * MIB, MIB), (65 * MIB, MIB)], "{plan}");
}

/// The MBR image with what lies outside all partitions: in the gap before the first one, and in the boot record at the
/// beginning of the extended one.
fn image_with_gaps(runs: &[(u64, u64)]) -> ImageParts {
    let mut image = mbr_image();
    image.hidden = None;
    let outside = torrent(UNPARTITIONED, Some(runs), 0);
    image.manifest.partitions.push(info(UNPARTITIONED, 0, 0, (64 << 20) / SECTOR, blocks(&outside)));
    image.metainfos.insert(UNPARTITIONED.into(), outside);
    image
}

#[test]
fn what_lies_outside_all_partitions_is_a_payload_that_leaves_them_and_the_table_alone() {
    const MIB: u64 = 1 << 20;
    let none = &Grow::None;
    let image = image_with_gaps(&[(512, 30_000), (5 * MIB, 446)]);
    let plan = image.plan_for_disk(64 << 20, 512, none).unwrap();
    assert!(plan.payloads().any(|p| p.name == UNPARTITIONED && p.base == 0), "{plan}");
    for place in cleared(&plan).into_iter().filter(|place| place.start > 0) {
        assert!(place.end <= 5 * MIB || place.start >= 5 * MIB + 446, "{place:?}\n{plan}");
    }
    let payload: Vec<_> = plan.payloads().flat_map(|p| ranges(&Step::Payload(p.clone()))).collect();
    for late in plan.after_payload().iter().flat_map(ranges) {
        assert!(payload.iter().all(|p| p.end <= late.start || late.end <= p.start), "{late:?}\n{plan}");
    }
    // It is no partition that one could want.
    let text = image.plan_for_partition(None, room(1 << 30), none).unwrap_err().to_string();
    assert_eq!(text, "the image golden has sda1, sda5: say which one is meant with partition = \"…\"");
    for (run, words) in [
        ((0, 512), "byte 0 belongs"),
        ((MIB - 512, 1024), "byte 1048064 belongs to a partition or to the table"),
        ((5 * MIB, 512), "byte 5242880 belongs"),
        ((12 * MIB, 512), "byte 12582912 belongs"),
        ((20 * MIB, 512), "or lies behind all partitions"),
    ] {
        let text = image_with_gaps(&[run]).plan_for_disk(64 << 20, 512, none).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    }
}
