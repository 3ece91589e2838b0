//! Members of Linux' RAIDs: nobody can look into one alone, so each is copied whole, and said wherever the image is.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use ezio_tests::loop_device::Loop;
use ezio_tests::programs;

use crate::bench::{Bench, MIB, sh, text, window};
use crate::signatures::{md, md_old};

/// Version of the superblock, and the MiB where its partition begins.
const MEMBERS: [(&str, u64); 4] = [("0.90.0", 1), ("1.0", 17), ("1.1", 33), ("1.2", 49)];
const SIZE: u64 = 16 * MIB;

#[test]
fn members_of_a_raid_are_copied_whole_and_it_is_said() {
    let bench = Bench::new();
    let source = bench.sparse("source.img", 72 * MIB);
    sh(
        "sfdisk -q $1 <<'END'\nlabel: gpt\nsize=16M, type=R\nsize=16M, type=R\nsize=16M, type=R\nsize=16M, type=R\nEND",
        &[text(&source)],
    );
    let file = OpenOptions::new().write(true).open(&source).unwrap();
    for (version, start) in MEMBERS {
        let (at, superblock) = match version {
            "0.90.0" => md_old(SIZE),
            "1.0" => md(SIZE - 0x2000),
            "1.1" => md(0),
            _ => md(4096),
        };
        let part = window(text(&source), start * MIB, SIZE);
        // Of a mirror whose superblock lies at the end, each half begins as the file system does that is on it.
        match at < MIB {
            true => sh("head -c 9000000 /dev/urandom > $1", &[&part.0]),
            false => sh("mkfs.ext4 -q $1 15M", &[&part.0]),
        };
        drop(part);
        file.write_all_at(&superblock, start * MIB + at).unwrap();
    }
    let (image, said) = bench.capture(&source, "image");
    let builder = programs::find("image-builder").unwrap();
    let shown = sh("$1 show $2", &[text(&builder), text(&image)]);
    for number in 1..=MEMBERS.len() {
        let note = format!("note: sda{number}: is a member of a Linux RAID");
        assert!(said.contains(&note) && shown.contains(&note), "{said}{shown}");
    }
    let target = Loop::blank(&bench.path("target.img"), 80 * MIB).unwrap();
    let deployed = bench.deploy(&image, &target.0, "");
    assert!(deployed.contains("note: sda4: is a member of a Linux RAID"), "{deployed}");
    for (version, start) in MEMBERS {
        let [was, is] = [text(&source), target.0.as_str()].map(|disk| window(disk, start * MIB, SIZE));
        sh("cmp $1 $2", &[&was.0, &is.0]);
        let found = sh("blkid --probe --output export $1", &[&is.0]);
        let raid = format!("VERSION={version}\n");
        assert!(found.contains(&raid) && found.contains("TYPE=linux_raid_member"), "{found}");
    }
}
