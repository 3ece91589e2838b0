use proptest::prelude::*;

use super::*;
use crate::choose::tests::disk;

const GIB: u64 = 1 << 30;

/// An image of a disk of so many GiB that needs so many.
fn image(name: &str, size: u64, needed: u64) -> Origin {
    Origin { image: name.into(), needed: needed * GIB, size: Some(size * GIB), ..Origin::default() }
}

/// A disk that says no more than its size.
fn plain(name: &str, size: u64) -> Disk {
    Disk { model: None, serial: None, ..disk(name, size * GIB, Bus::Ata) }
}

fn shared(disks: &[Disk], images: &[Origin]) -> Result<Vec<String>, String> {
    let shared = share_out(disks, &DiskRule::default(), images);
    shared.map(|disks| disks.into_iter().map(|disk| disk.name).collect()).map_err(|error| error.to_string())
}

#[test]
fn what_fits_one_disk_alone_decides() {
    let images = [image("lab/sda", 10, 10), image("lab/sdb", 40, 40)];
    let disks = [plain("sda", 50), plain("sdb", 20)];
    assert_eq!(shared(&disks, &images).unwrap(), ["sdb", "sda"]);
}

#[test]
fn the_machine_itself_is_known_by_serial_numbers() {
    let serial = |name: &str, serial: &str| Origin { serial: Some(serial.into()), ..image(name, 40, 20) };
    let images = [serial("lab/sda", "A"), serial("lab/sdb", "B")];
    let with = |name: &str, serial: &str| Disk { serial: Some(serial.into()), ..plain(name, 40) };
    assert_eq!(shared(&[with("sda", "B"), with("sdb", "A")], &images).unwrap(), ["sdb", "sda"]);
    let twins = shared(&[with("sda", "C"), with("sdb", "D")], &images).unwrap_err();
    assert_eq!(
        twins,
        "neither size nor serial number, model or bus decides which disk gets which of these images\n  \
         lab/sda needs 20.0 GiB; it was captured from 40.0 GiB serial A\n  \
         lab/sdb needs 20.0 GiB; it was captured from 40.0 GiB serial B\n  \
         /dev/sda 40.0 GiB ata serial C: fits lab/sda or lab/sdb\n  \
         /dev/sdb 40.0 GiB ata serial D: fits lab/sda or lab/sdb"
    );
}

#[test]
fn the_kind_of_disk_decides_and_then_the_very_size() {
    let nvme = Origin { bus: Some(Bus::Nvme), ..image("lab/nvme0n1", 100, 20) };
    let images = [nvme.clone(), image("lab/sda", 100, 20)];
    let flash = Disk { bus: Some(Bus::Nvme), ..plain("nvme0n1", 500) };
    assert_eq!(shared(&[plain("sda", 500), flash.clone()], &images).unwrap(), ["nvme0n1", "sda"]);
    let both = [nvme.clone(), Origin { image: "lab/nvme1n1".into(), size: Some(500 * GIB), ..nvme }];
    let other =
        Disk { name: "nvme1n1".into(), path: "/dev/nvme1n1".into(), size: 100 * GIB, ..flash.clone() };
    assert_eq!(shared(&[flash.clone(), other], &both).unwrap(), ["nvme1n1", "nvme0n1"]);
    let model = |image: &Origin, model: &str| Origin { model: Some(model.into()), ..image.clone() };
    let disk = |name: &str, model: &str| Disk { model: Some(model.into()), ..plain(name, 200) };
    let images = [model(&images[1], "Old"), model(&images[1], "New")];
    assert_eq!(shared(&[disk("sda", "New"), disk("sdb", "Old")], &images).unwrap(), ["sdb", "sda"]);
}

#[test]
fn there_are_as_many_disks_as_images_or_none_is_touched() {
    let images = [image("lab/sda", 10, 10), image("lab/sdb", 40, 40)];
    let few = shared(&[plain("sda", 50), plain("sdb", 9)], &images).unwrap_err();
    assert!(few.starts_with("1 disks fit, and this image has 2") && few.contains("too small by"), "{few}");
    let many = shared(&[plain("sda", 50), plain("sdb", 10), plain("sdc", 10)], &images).unwrap_err();
    assert!(many.starts_with("3 disks fit, and this image has 2"), "{many}");
    let used = Disk { in_use: Some("/dev/sdb is mounted at /".into()), ..plain("sdb", 10) };
    let busy = shared(&[plain("sda", 50), used], &images).unwrap_err();
    assert!(busy.contains("is in use"), "{busy}");
}

proptest! {
    /// Against all ways, counted one by one.
    #[test]
    fn a_choice_is_made_where_there_is_just_one_way(pairs in proptest::collection::vec(any::<bool>(), 25), count in 1..=5usize) {
        fn ways(image: usize, count: usize, taken: &mut Vec<usize>, pairs: &[bool], all: &mut Vec<Vec<usize>>) {
            if image == count {
                all.push(taken.clone());
                return;
            }
            for disk in 0..count {
                if pairs[image * 5 + disk] && !taken.contains(&disk) {
                    taken.push(disk);
                    ways(image + 1, count, taken, pairs, all);
                    taken.pop();
                }
            }
        }
        let mut all = Vec::new();
        ways(0, count, &mut Vec::new(), &pairs, &mut all);
        let expected = (all.len() == 1).then(|| all[0].clone());
        prop_assert_eq!(only_choice(count, |image, disk| pairs[image * 5 + disk]), expected);
    }
}
