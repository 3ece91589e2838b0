//! What becomes of a larger disk.

use super::tests::{checked, golden, room};
use super::*;
use crate::conf::Grow;
use crate::directory::Image;
use crate::directory::test_image::{blocks, gpt_image, info, mbr_image, put, raw_image, torrent};
use crate::manifest::{Content, PartitionInfo, UNPARTITIONED};

fn named(name: &str) -> Grow {
    Grow::Partition(name.to_owned())
}

fn set(image: &mut Image, name: &str, filesystem: &str) {
    let info = image.manifest.partitions.iter_mut().find(|p| p.name == name).unwrap();
    info.filesystem = Some(filesystem.to_owned());
}

fn refusal(image: &Image, grow: &Grow) -> String {
    checked(image.clone()).plan_for_disk(256 << 20, 512, grow).expect_err("refused").to_string()
}

#[test]
fn the_plan_says_what_grows_and_what_moves() {
    let mut image = gpt_image();
    set(&mut image, "sda2", "ext4");
    golden("grow-gpt.txt", &checked(image.clone()).plan_for_disk(128 << 20, 512, &Grow::Last).unwrap());
    let mut image = mbr_image();
    set(&mut image, "sda5", "xfs");
    golden("grow-mbr.txt", &checked(image.clone()).plan_for_disk(128 << 20, 512, &Grow::Last).unwrap());
    let mut image = gpt_image();
    set(&mut image, "sda2", "btrfs");
    golden(
        "grow-partition.txt",
        &checked(image.clone()).plan_for_partition(Some("sda2"), room(1 << 30), &Grow::Last).unwrap(),
    );
}

#[test]
fn payload_swap_and_signatures_go_where_their_partition_is() {
    let mut image = gpt_image();
    set(&mut image, "sda2", "ext4");
    let recovery = torrent("sda4", Some(&[(4096, 4096)]), 0);
    image.manifest.partitions[3].content = blocks(&recovery);
    put(&mut image, recovery);
    set(&mut image, "sda4", "ntfs");
    let plan = checked(image.clone()).plan_for_disk(256 << 20, 512, &named("sda2")).unwrap();
    let layout = plan.layout().unwrap();
    let start = |number: u32| layout.byte_range(layout.partition(number).unwrap()).start;
    assert!(start(4) > 200 << 20, "{plan}");
    let base = plan.payloads().find(|p| p.name == "sda4").unwrap().base;
    assert_eq!(base, start(4));
    let swap = plan.steps().iter().find_map(|s| match s {
        Step::Write { offset, what, .. } if what == "swap sda3" => Some(*offset),
        _ => None,
    });
    assert_eq!(swap, Some(start(3)));
    let growth = plan.growth().unwrap();
    assert_eq!((growth.number, growth.to), (Some(2), start(3) - start(2)));
}

#[test]
fn a_disk_without_room_keeps_the_sizes() {
    let mut image = gpt_image();
    set(&mut image, "sda2", "ext4");
    let size = image.layout.as_ref().unwrap().minimum_size().max(40 << 20);
    let plan = checked(image.clone()).plan_for_disk(size, 512, &named("sda2")).unwrap();
    assert_eq!(plan.growth().map(|g| g.to), Some(32 << 20), "what the disk of 40 MiB has");
    image.manifest.disk.as_mut().unwrap().minimum_size = size;
    let exact = image.layout.as_ref().unwrap().minimum_size();
    image.manifest.disk.as_mut().unwrap().minimum_size = exact;
    let plan = checked(image.clone()).plan_for_disk(exact, 512, &named("sda2")).unwrap();
    assert_eq!(plan.growth(), None);
    assert!(plan.to_string().contains("sda2 keeps its size"), "{plan}");
}

#[test]
fn what_cannot_grow_is_refused_with_a_word() {
    for (filesystem, word) in
        [("vfat", "FAT"), ("exfat", "FAT"), ("LVM2_member", "LVM2_member"), ("", "not known")]
    {
        let mut image = gpt_image();
        set(&mut image, "sda2", filesystem);
        for grow in [Grow::Last, named("sda2")] {
            let text = refusal(&image, &grow);
            assert!(text.starts_with("cannot grow sda2: ") && text.contains(word), "{text}");
        }
    }
    let text = refusal(&gpt_image(), &named("sdb1"));
    assert_eq!(text, "cannot grow sdb1: the image golden has sda1, sda2, sda3, sda4");
    assert!(refusal(&mbr_image(), &named("sda2")).contains("extended partition"));
    assert!(refusal(&raw_image(), &Grow::Last).contains("raw copy"));
    let image = gpt_image();
    let text = checked(image.clone())
        .plan_for_partition(Some("sda2"), room(1 << 30), &named("sda1"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("sda2 is what goes there"), "{text}");

    // GRUB's core behind what grows.
    let mut image = gpt_image();
    image.layout = Some(
        Layout::parse_sfdisk(
            "label: gpt\nlabel-id: 6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C11\nunit: sectors\nfirst-lba: 34\n\
             1 : start=4096, size=40960, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A01\n\
             2 : start=45056, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A02\n",
        )
        .unwrap(),
    );
    let root = torrent("sda1", Some(&[(0, 4096)]), 0);
    let first =
        PartitionInfo { filesystem: Some("ext4".into()), ..info("sda1", 1, 4096, 40960, blocks(&root)) };
    put(&mut image, root);
    image.manifest.partitions = vec![first, info("sda2", 2, 45056, 2048, Content::Empty)];
    assert!(refusal(&image, &Grow::Last).contains("GRUB's core"), "{}", refusal(&image, &Grow::Last));
    assert!(checked(image.clone()).plan_for_disk(256 << 20, 512, &Grow::None).is_ok());
}

#[test]
fn swap_and_nothing_grow_with_their_partitions() {
    for name in ["sda3", "sda4"] {
        let plan = checked(gpt_image()).plan_for_disk(256 << 20, 512, &named(name)).unwrap();
        assert_eq!(plan.growth(), None);
        let number = if name == "sda3" { 3 } else { 4 };
        assert!(plan.layout().unwrap().partition(number).unwrap().size > 200 << 11, "{plan}");
    }
}

#[test]
fn a_hybrid_mbr_and_what_lies_behind_a_partition_stay_where_they_are() {
    let mut image = gpt_image();
    set(&mut image, "sda2", "ext4");
    let mut sector = vec![0; 512];
    sector[446 + 4] = 0xee;
    sector[446 + 8..446 + 16].copy_from_slice(&[1, 0, 0, 0, 255, 7, 0, 0]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    image.boot_code = Some(sector.clone());
    assert!(checked(image.clone()).plan_for_disk(256 << 20, 512, &named("sda2")).is_ok(), "a protective one");
    sector[462 + 4] = 0x83;
    sector[462 + 8..462 + 16].copy_from_slice(&[0, 8, 0, 0, 0, 8, 0, 0]);
    image.boot_code = Some(sector);
    assert!(refusal(&image, &named("sda2")).contains("hybrid MBR"));

    // Between the MBR's partitions there is a gap, with something in it.
    let mut image = mbr_image();
    set(&mut image, "sda5", "ext4");
    let outside = torrent(UNPARTITIONED, Some(&[(20482 * 512, 512)]), 0);
    image.manifest.partitions.push(info(UNPARTITIONED, 0, 0, (64 << 20) / 512, blocks(&outside)));
    put(&mut image, outside);
    assert!(checked(image.clone()).plan_for_disk(256 << 20, 512, &Grow::None).is_ok());
    assert!(refusal(&image, &named("sda5")).contains("kept outside all partitions"));
}
