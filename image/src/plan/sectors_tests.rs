//! Disks with sectors of another length than the image's. That others read what is written, tests with loop devices show.

use super::tests::{checked, room};
use super::*;
use crate::directory::Image;
use crate::directory::test_image::{SECTOR, blocks, gpt_image, info, mbr_image, put, raw_image, torrent};
use crate::manifest::{Content, UNPARTITIONED};

/// The image with a file system on what holds data.
fn with(mut image: Image, filesystem: &str, block_size: Option<u64>) -> Image {
    for info in image.manifest.partitions.iter_mut().filter(|info| info.name == "sda2" || info.name == "sda5")
    {
        (info.filesystem, info.block_size) = (Some(filesystem.to_owned()), block_size);
    }
    let first = image.manifest.partitions.iter_mut().find(|info| info.name == "sda1").unwrap();
    (first.filesystem, first.block_size) = (Some("ext4".to_owned()), Some(4096));
    image
}

/// The image as one of a disk with sectors of 4096 bytes, eight times as long.
fn of_4kn(mut image: Image) -> Image {
    let text = image.layout.unwrap().to_sfdisk().replace("sector-size: 512", "sector-size: 4096");
    image.layout = Some(Layout::parse_sfdisk(&text).unwrap());
    for info in &mut image.manifest.partitions {
        (info.offset, info.size) = (info.offset * 8, info.size * 8);
    }
    let disk = image.manifest.disk.as_mut().unwrap();
    (disk.sector_size, disk.size, disk.minimum_size) = (4096, disk.size * 8, disk.minimum_size * 8);
    image
}

fn places(layout: &Layout) -> Vec<Range<u64>> {
    layout.partitions().iter().map(|p| layout.byte_range(p)).collect()
}

fn refusal(image: Image, sector_size: u32) -> String {
    checked(image).plan_for_disk(1 << 30, sector_size, &Grow::None).expect_err("refused").to_string()
}

#[test]
fn partitions_stay_at_their_bytes() {
    for image in [gpt_image(), mbr_image()] {
        let mut image = with(image, "ext4", Some(4096));
        // Hidden sectors and GRUB between partitions count in sectors of their disk.
        let outside = torrent(UNPARTITIONED, Some(&[(1 << 19, 4096)]), 0);
        if image.hidden.is_none() {
            image.manifest.partitions.push(info(UNPARTITIONED, 0, 0, (64 << 20) / SECTOR, blocks(&outside)));
            put(&mut image, outside);
        }
        let before = places(image.layout.as_ref().unwrap());
        let plan = checked(image).plan_for_disk(64 << 20, 4096, &Grow::None).unwrap();
        let layout = plan.layout().unwrap();
        assert_eq!((layout.sector_size(), places(layout)), (4096, before));
        assert!(plan.payloads().all(|payload| payload.name != UNPARTITIONED), "{plan}");
        let Some(Step::Table { image: table, .. }) =
            plan.steps().iter().find(|step| matches!(step, Step::Table { .. }))
        else {
            panic!("{plan}");
        };
        let (_, sector_zero) = table.writes().last().unwrap();
        assert_eq!((sector_zero.len(), &sector_zero[..440]), (4096, &[0; 440][..]));
        let said = plan.to_string();
        assert!(
            said.contains("note: boot code, and what else lies outside all partitions, is left out"),
            "{said}"
        );
        assert!(!said.contains("hidden sectors after the MBR"), "{said}");
    }
}

#[test]
fn the_way_back_has_the_same_places() {
    for image in [gpt_image(), mbr_image()] {
        let mut image = of_4kn(with(image, "ext4", Some(4096)));
        (image.boot_code, image.hidden) = (None, None);
        image.manifest.partitions[0].content = Content::Empty;
        image.torrents.remove("sda1");
        let before = places(image.layout.as_ref().unwrap());
        let plan = checked(image).plan_for_disk(512 << 20, 512, &Grow::None).unwrap();
        let layout = plan.layout().unwrap();
        assert_eq!((layout.sector_size(), places(layout)), (512, before));
        assert!(!plan.to_string().contains("is left out"), "{plan}");
    }
}

#[test]
fn what_works_in_smaller_blocks_is_refused_by_name() {
    for (filesystem, block_size, words) in [
        (
            "vfat",
            Some(512),
            "sda2 (vfat) works in blocks of 512 bytes, and the disk reads and writes 4096 at least",
        ),
        ("ntfs", Some(512), "sda2 (ntfs) works in blocks of 512 bytes"),
        ("xfs", Some(512), "sda2 (xfs) works in blocks of 512 bytes"),
        ("ext4", Some(1024), "sda2 (ext4) works in blocks of 1024 bytes"),
        ("ext4", None, "in which blocks sda2 is read and written cannot be told: the image does not say it"),
        ("crypto_LUKS", None, "cannot be told: it is encrypted"),
        // An old superblock below.
        ("crypto_LUKS", Some(4096), "cannot be told: it is encrypted"),
        ("BitLocker", None, "cannot be told: it is encrypted"),
        ("LVM2_member", None, "cannot be told: it holds logical volumes"),
        ("linux_raid_member", None, "cannot be told: it is a part of something larger"),
    ] {
        let image = with(gpt_image(), filesystem, block_size);
        let said = refusal(image.clone(), 4096);
        assert!(said.starts_with("golden cannot go onto a disk with sectors of 4096 bytes: "), "{said}");
        assert!(said.contains(words), "{filesystem}: {said}");
        let there = Room { sector_size: Some(4096), ..room(20 << 20) };
        let said = checked(image.clone()).plan_for_partition(Some("sda2"), there, &Grow::None).unwrap_err();
        assert!(said.to_string().contains(words), "{filesystem}: {said}");
        // A file has no sectors.
        let file = Room { sector_size: None, ..room(20 << 20) };
        assert!(checked(image).plan_for_partition(Some("sda2"), file, &Grow::None).is_ok());
    }
    // What is of such a disk goes onto one.
    let there = Room { sector_size: Some(4096), ..room(160 << 20) };
    let mut encrypted = of_4kn(with(gpt_image(), "crypto_LUKS", None));
    encrypted.manifest.partitions[0].content = Content::Empty;
    encrypted.torrents.remove("sda1");
    assert!(checked(encrypted).plan_for_partition(Some("sda2"), there, &Grow::None).is_ok());
    let mut unknown = with(gpt_image(), "ext4", Some(4096));
    unknown.manifest.partitions[1].filesystem = None;
    unknown.manifest.partitions[1].block_size = None;
    assert!(refusal(unknown, 4096).contains("cannot be told: nothing is known of its content"));
    assert!(refusal(raw_image(), 4096).contains("it is a raw copy of a disk with sectors of 512 bytes"));
    let windows = of_4kn(with(gpt_image(), "ntfs", Some(4096)));
    let mut windows = Image { boot_code: None, ..windows };
    windows.manifest.partitions[0].content = Content::Empty;
    windows.torrents.remove("sda1");
    assert!(refusal(windows, 512).contains("sda2 (ntfs) counts in sectors of 4096 bytes, and Windows wants"));
}

/// A GPT with one partition.
fn one(start: u64, size: u64, content: Option<&[(u64, u64)]>) -> Image {
    let mut image = gpt_image();
    let text = format!(
        "label: gpt\nlabel-id: 6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C11\ndevice: /dev/sda\nunit: sectors\n\
         first-lba: 34\nlast-lba: 131038\nsector-size: 512\n\n\
         /dev/sda2 : start={start}, size={size}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
         uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A02\n"
    );
    image.layout = Some(Layout::parse_sfdisk(&text).unwrap());
    let metainfo = torrent("sda2", content, size * SECTOR);
    let kept = match content {
        Some(_) => blocks(&metainfo),
        None => Content::Raw { info_hash: metainfo.info_hash().as_string() },
    };
    let mut part = info("sda2", 2, start, size, kept);
    (part.filesystem, part.block_size) = (Some("ext4".to_owned()), Some(4096));
    part.filesystem_size = Some(size * SECTOR / 4096 * 4096);
    image.manifest.partitions = vec![part];
    image.torrents.clear();
    put(&mut image, metainfo);
    image
}

#[test]
fn a_partition_begins_and_ends_with_a_sector() {
    let plan = |image| {
        checked(image).plan_for_disk(64 << 20, 4096, &Grow::None).map(|plan| places(plan.layout().unwrap()))
    };
    let runs: &[(u64, u64)] = &[(0, 8192)];
    // Up to the last sector that a GPT leaves, as sgdisk makes it: the file system has no use for the rest.
    let end = 2048 + 8195;
    assert_eq!(plan(one(2048, 8195, Some(runs))).unwrap(), vec![2048 * 512..(end - 3) * 512]);
    let said = plan(one(2048, 8195, None)).unwrap_err().to_string();
    assert!(
        said.contains("partition 2: ends at byte 5244416, within such a sector, which it needs"),
        "{said}"
    );
    let said = plan(one(2047, 8200, Some(runs))).unwrap_err().to_string();
    assert!(said.contains("partition 2: begins at byte 1048064, within such a sector"), "{said}");
    let said = plan(one(40, 8200, Some(runs))).unwrap_err().to_string();
    assert!(said.contains("partition 2: begins at sector 5, where the table itself lies"), "{said}");
}

#[test]
fn an_extended_partition_may_begin_within_a_sector() {
    // Debian's installer leaves one sector between the record and the first logical partition.
    let mut image = with(mbr_image(), "ext4", Some(4096));
    let text = image.layout.unwrap().to_sfdisk().replace("10240", "12286").replace("20480", "18434");
    image.layout = Some(Layout::parse_sfdisk(&text).unwrap());
    let extended = &mut image.manifest.partitions[1];
    (extended.offset, extended.size) = (12286 * SECTOR, 18434 * SECTOR);
    let plan = checked(image).plan_for_disk(64 << 20, 4096, &Grow::None).unwrap();
    let layout = plan.layout().unwrap();
    let (extended, first) = (layout.partition(2).unwrap(), layout.partition(5).unwrap());
    assert_eq!((extended.start, extended.end(), first.start), (1535, 30720 / 8, 1536));
}

#[test]
fn an_mbr_has_four_bytes_for_a_sector() {
    let text = "label: dos\nlabel-id: 0xcafe1234\ndevice: /dev/sda\nunit: sectors\nsector-size: 4096\n\n\
                /dev/sda1 : start=256, size=600000000, type=83\n";
    let layout = Layout::parse_sfdisk(text).unwrap();
    let said = layout.in_sectors_of(512, |_| 0).unwrap_err().to_string();
    assert_eq!(said, "partition 1: lies beyond what an MBR can say");
}
