use crate::conf::Grow;
use crate::directory::test_image::{SECTOR, blocks, gpt_image, info, mbr_image, put, raw_image, torrent};
use crate::directory::{CheckedImage, Image};
use crate::manifest::{SourceKind, UNPARTITIONED};

use super::*;

pub(super) fn checked(image: Image) -> CheckedImage {
    image.check().unwrap()
}

pub(super) fn room(size: u64) -> Room {
    Room { size, start: None, sector_size: Some(512) }
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
    golden("gpt.txt", &checked(gpt_image()).plan_for_disk(128 << 20, 512, &Grow::None).unwrap());
    golden("mbr.txt", &checked(mbr_image()).plan_for_disk(64 << 20, 512, &Grow::None).unwrap());
    golden("raw.txt", &checked(raw_image()).plan_for_disk(100 << 20, 512, &Grow::None).unwrap());
    golden(
        "partition.txt",
        &checked(gpt_image()).plan_for_partition(Some("sda2"), room(30 << 20), &Grow::None).unwrap(),
    );
    golden(
        "torrent.txt",
        &Plan::for_torrent(torrent("sda1", None, 5000), 0, room(1 << 20), &Grow::None).unwrap(),
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
        let plan = checked(image).plan_for_disk(size, 512, &Grow::None).unwrap();
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
        let plan = checked(image).plan_for_disk(64 << 20, 512, &Grow::None).unwrap();
        let [.., Step::Sync, Step::Table { image: table, .. }, Step::Sync, Step::Reread] = plan.steps()
        else {
            panic!("{plan}");
        };
        let (offset, sector) = table.writes().last().unwrap();
        assert_eq!((*offset, &sector[..440]), (0, &[0x90; 440][..]));
    }
}

fn refusal(image: Image, size: u64) -> String {
    checked(image).plan_for_disk(size, 512, &Grow::None).expect_err("refused").to_string()
}

#[test]
fn targets_that_are_too_small_are_refused_by_how_much() {
    assert_eq!(
        refusal(gpt_image(), (40 << 20) - 10),
        "the target is too small by 10 bytes: it has 41943030, the image golden needs 41943040"
    );
    assert_eq!(
        refusal(raw_image(), (64 << 20) - 1),
        "the target is too small by 1 bytes: it has 67108863, the image golden needs 67108864"
    );
    let small = checked(gpt_image())
        .plan_for_partition(Some("sda2"), room(1 << 20), &Grow::None)
        .unwrap_err()
        .to_string();
    assert_eq!(
        small,
        "the target is too small by 19922944 bytes: it has 1048576, sda2 of golden needs 20971520"
    );
    assert!(Plan::for_torrent(torrent("sda1", None, 5000), 0, room(4999), &Grow::None).is_err());
    let text = Plan::for_torrent(torrent("sda1", None, 5000), 6000, room(5500), &Grow::None)
        .unwrap_err()
        .to_string();
    assert!(text.starts_with("the target is too small by 500 bytes"), "{text}");
}

#[test]
fn it_must_be_clear_which_partition_is_meant() {
    let image = checked(gpt_image());
    let text = image.plan_for_partition(None, room(1 << 30), &Grow::None).unwrap_err().to_string();
    assert_eq!(text, "the image golden has sda1, sda2: say which one is meant with partition = \"…\"");
    let text = image.plan_for_partition(Some("sda3"), room(1 << 30), &Grow::None).unwrap_err().to_string();
    assert!(text.contains("no content for a partition \"sda3\": it has sda1, sda2"), "{text}");
    assert_eq!(image.needed_for_partition(Some("sda2")).unwrap(), 20 << 20, "all of its file system");
    let mut shorter = gpt_image();
    shorter.manifest.partitions[1].filesystem_size = Some(7 << 20);
    let shorter = checked(shorter);
    assert_eq!(shorter.needed_for_partition(Some("sda2")).unwrap(), 7 << 20);
    assert!(shorter.plan_for_partition(Some("sda2"), room(7 << 20), &Grow::None).is_ok());
    assert_eq!(image.needed_for_disk(), Some(40 << 20));

    let mut single = gpt_image();
    let mut part = single.manifest.partitions.remove(1);
    (part.number, part.offset) = (0, 0);
    single.manifest.partitions = vec![part];
    single.manifest.source.kind = SourceKind::Partition;
    single.manifest.disk = None;
    single.layout = None;
    single.torrents.remove("sda1");
    let single = checked(single);
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
    let plan = checked(mbr_image()).plan_for_disk(64 * MIB, 512, &Grow::None).unwrap();
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
    let plan = checked(mbr_image()).plan_for_disk(200 * MIB, 512, &Grow::None).unwrap();
    expected.truncate(8);
    // Of a btrfs on the disk, and of one in what is the gap behind the last partition.
    expected.extend([(64 * MIB, 4096), (79 * MIB, 4096), (198 * MIB, MIB), (199 * MIB, MIB)]);
    assert_eq!(found(&plan), expected, "{plan}");
    // What is copied whole overwrites everything itself, but not behind its end.
    let plan = checked(raw_image()).plan_for_disk(66 * MIB, 512, &Grow::None).unwrap();
    assert_eq!(found(&plan), [(0, MIB), (64 * MIB, MIB), (65 * MIB, MIB)], "{plan}");
}

/// The MBR image with what lies outside all partitions: in the gap before the first one, and in the boot record at the
/// beginning of the extended one.
fn image_with_gaps(runs: &[(u64, u64)]) -> Image {
    let mut image = mbr_image();
    image.hidden = None;
    let outside = torrent(UNPARTITIONED, Some(runs), 0);
    image.manifest.partitions.push(info(UNPARTITIONED, 0, 0, (64 << 20) / SECTOR, blocks(&outside)));
    put(&mut image, outside);
    image
}

#[test]
fn what_lies_outside_all_partitions_is_a_payload_that_leaves_them_and_the_table_alone() {
    const MIB: u64 = 1 << 20;
    let none = &Grow::None;
    let image = checked(image_with_gaps(&[(512, 30_000), (5 * MIB, 446)]));
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
        let text = image_with_gaps(&[run]).check().unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn new_ids_are_refused_where_a_file_system_keeps_its_own() {
    let allowed = |filesystem: Option<&str>| {
        let mut image = gpt_image();
        image.manifest.partitions.iter_mut().for_each(|info| info.filesystem = filesystem.map(str::to_owned));
        checked(image).allows_new_volume_ids().map_err(|error| error.to_string())
    };
    for filesystem in [Some("ext4"), Some("xfs"), Some("btrfs"), Some("vfat"), None] {
        assert_eq!(allowed(filesystem), Ok(()), "{filesystem:?}");
    }
    for (filesystem, word) in [("jfs", "nothing here changes it"), ("crypto_LUKS", "not reached")] {
        let error = allowed(Some(filesystem)).unwrap_err();
        assert!(error.contains("fs-uuid") && error.contains(word), "{error}");
    }
    assert!(checked(raw_image()).allows_new_volume_ids().is_err(), "nothing is known of it");
}
