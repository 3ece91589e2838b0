use std::os::unix::fs::FileExt;

use ezio_image::conf::Bus;
use tempfile::TempDir;

use super::*;
use crate::boot_medium::mark_boot_medium;
use crate::discover::PartitionNode;

const DUMP: &str = "label: gpt\nlabel-id: 6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C11\ndevice: /dev/sda\nunit: sectors\n\
    first-lba: 34\nlast-lba: 20446\nsector-size: 512\n\n\
    /dev/sda1 : start=2048, size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A01, name=\"root\"\n\
    /dev/sda2 : start=4096, size=4096, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A02, name=\"home\"\n";

/// A disk whose node is a file with a real table in it.
fn disk(dir: &TempDir, name: &str, dump: &str) -> Disk {
    let layout = Layout::parse_sfdisk(dump).unwrap();
    let path = dir.path().join(name);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    let size = 10 << 20;
    file.set_len(size).unwrap();
    for (offset, bytes) in layout.encode(size, 512).unwrap().writes() {
        file.write_all_at(bytes, *offset).unwrap();
    }
    let partition = |p: &ezio_image::layout::Partition| {
        let range = layout.byte_range(p);
        PartitionNode {
            path: dir.path().join(format!("{name}{}", p.number)),
            name: format!("{name}{}", p.number),
            number: p.number,
            start: range.start,
            size: range.end - range.start,
            partition_label: None,
            in_use: None,
            links: vec![dir.path().join(format!("link-{name}{}", p.number))],
        }
    };
    Disk {
        path,
        name: name.into(),
        size,
        sector_size: 512,
        model: None,
        serial: None,
        wwn: None,
        bus: Some(Bus::Ata),
        removable: false,
        read_only: false,
        is_virtual: false,
        is_boot_medium: false,
        in_use: None,
        partitions: layout.partitions().iter().map(partition).collect(),
        links: Vec::new(),
    }
}

fn label(text: &str) -> PartitionSelector {
    PartitionSelector::Label(text.into())
}

#[test]
fn a_partition_is_found_by_path_label_and_id() {
    let dir = tempfile::tempdir().unwrap();
    let disks = [disk(&dir, "sda", DUMP)];
    let rule = DiskRule::default();
    for selector in [
        PartitionSelector::Path(dir.path().join("sda2")),
        PartitionSelector::Path(dir.path().join("link-sda2")),
        label("home"),
        PartitionSelector::PartUuid("d2d4c8c1-0a41-4c0f-8f6b-2c0e5e6c8a02".into()),
    ] {
        let found = locate(&disks, &selector, &rule, 4096 * 512).unwrap();
        assert_eq!((found.path, found.size), (dir.path().join("sda2"), 4096 * 512), "{selector}");
    }
    let mbr = "label: dos\nlabel-id: 0xcafe1234\ndevice: /dev/sda\nunit: sectors\n\n/dev/sda1 : start=2048, size=2048, type=83\n";
    let disks = [disk(&dir, "sdb", mbr)];
    let selector = PartitionSelector::PartUuid("cafe1234-01".into());
    assert_eq!(locate(&disks, &selector, &rule, 1).unwrap().path, dir.path().join("sdb1"));
}

#[test]
fn a_partition_is_found_by_the_label_of_its_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(&dir, "sda", DUMP);
    let page = ezio_image::swap::signature(4096 * 512, None, Some("SWAP")).unwrap();
    let file = File::options().write(true).open(&disk.path).unwrap();
    file.write_all_at(&page, disk.partitions[1].start).unwrap();
    assert_eq!(
        locate(&[disk], &label("SWAP"), &DiskRule::default(), 1).unwrap().path,
        dir.path().join("sda2")
    );
}

#[test]
fn what_is_not_there_shows_what_is() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        locate(&[disk(&dir, "sda", DUMP)], &label("boot"), &DiskRule::default(), 1).unwrap_err().to_string();
    assert!(text.starts_with("there is no partition LABEL=boot\n"), "{text}");
    assert!(text.contains("sda1 on ") && text.contains("LABEL=root PARTUUID=d2d4c8c1-"), "{text}");
}

#[test]
fn two_of_the_same_name_are_refused_unless_one_disk_fits() {
    let dir = tempfile::tempdir().unwrap();
    let mut second = disk(&dir, "sdb", DUMP);
    second.bus = Some(Bus::Nvme);
    let disks = [disk(&dir, "sda", DUMP), second];
    let error = locate(&disks, &label("root"), &DiskRule::default(), 1).unwrap_err();
    assert!(matches!(&error, LocateError::Several { found, .. } if found.len() == 2), "{error}");
    let rule = DiskRule { bus: vec![Bus::Nvme], ..DiskRule::default() };
    assert_eq!(locate(&disks, &label("root"), &rule, 1).unwrap().path, dir.path().join("sdb1"));
}

#[test]
fn a_partition_in_use_or_too_small_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = disk(&dir, "sda", DUMP);
    disk.partitions[0].in_use = Some("mounted at /".into());
    disk.in_use = Some("/dev/sda1 is mounted at /".into());
    let text =
        locate(std::slice::from_ref(&disk), &label("root"), &DiskRule::default(), 1).unwrap_err().to_string();
    assert!(text.ends_with("cannot be written: it is mounted at /"), "{text}");
    // Its neighbour may be written all the same.
    assert!(locate(std::slice::from_ref(&disk), &label("home"), &DiskRule::default(), 1).is_ok());
    let text = locate(&[disk], &label("home"), &DiskRule::default(), 4096 * 512 + 7).unwrap_err().to_string();
    assert!(text.contains("is too small by 7 bytes"), "{text}");
}

#[test]
fn a_volume_is_found_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let mut volume = disk(&dir, "dm-0", DUMP);
    volume.partitions.clear();
    volume.is_virtual = true;
    volume.bus = None;
    let selector = PartitionSelector::Path(volume.path.clone());
    assert_eq!(locate(&[volume], &selector, &DiskRule::default(), 1).unwrap().size, 10 << 20);
}

#[test]
fn no_partition_of_the_boot_medium_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut disks = [disk(&dir, "sda", DUMP)];
    let selector = PartitionSelector::Label("home".into());
    let another = "6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C12".parse().unwrap();
    mark_boot_medium(&mut disks, another);
    assert!(locate(&disks, &selector, &DiskRule::default(), 0).is_ok(), "another disk was the medium");
    mark_boot_medium(&mut disks, "6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C11".parse().unwrap());
    let refused = locate(&disks, &selector, &DiskRule::default(), 0).unwrap_err().to_string();
    assert!(
        refused.contains("is on a disk that is the medium that this machine was started from"),
        "{refused}"
    );
}
