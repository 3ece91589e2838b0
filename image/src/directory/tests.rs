use std::sync::Arc;

use super::test_image::{SECTOR, blocks, gpt_image, mbr_image, put, torrent};
use super::*;
use crate::manifest::Content;

/// What is found must have these words.
fn finds(image: &Image, words: &str) {
    let findings = image.findings();
    assert!(findings.iter().any(|found| found.contains(words)), "{words}: {findings:?}");
    assert!(image.clone().check().is_err());
}

#[test]
fn an_image_that_does_not_match_its_manifest_is_refused() {
    assert_eq!(gpt_image().findings(), Findings::default());
    assert_eq!(mbr_image().findings(), Findings::default());
    let check = |change: &dyn Fn(&mut Image), words: &str| {
        let mut image = gpt_image();
        change(&mut image);
        finds(&image, words);
    };
    check(&|i| drop(i.torrents.remove("sda2")), "sda2.torrent: is missing");
    check(&|i| put(i, torrent("sda2", Some(&[(0, 65536)]), 0)), "sda2.torrent: its info hash is");
    check(&|i| i.layout = None, "layout.sfdisk: is missing");
    check(&|i| i.manifest.partitions[1].size -= 512, "layout.sfdisk: puts sda2 at byte 2097152");
    check(&|i| i.manifest.partitions[3].number = 9, "has no partition 9, which is sda4");
    check(&|i| drop(i.manifest.partitions.pop()), "has a partition 4, which is not in the manifest");
    check(&|i| i.hidden = Some(vec![1; 512]), "hidden.bin: cannot be there: a GPT lies in its place");
    check(&|i| i.manifest.partitions[2].uuid = Some("x".into()), "UUID of a swap");
    check(&|i| i.manifest.disk.as_mut().unwrap().minimum_size = 1 << 20, "the manifest says 1048576");
    check(
        &|i| i.manifest.disk.as_mut().unwrap().sector_size = 4096,
        "the disk has logical sectors of 4096 bytes",
    );
    // Runs that lead into the next partition.
    let long = torrent("sda2", Some(&[(40960 * SECTOR - 100, 101)]), 0);
    check(
        &|i| {
            i.manifest.partitions[1].content = blocks(&long);
            put(i, Arc::clone(&long));
        },
        "sda2.torrent: its last run ends at byte 20971521 of a partition of 20971520 bytes",
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
    finds(&image, "ends at byte 1048577 of the disk, the first partition begins at 1048576");
}

#[test]
fn everything_is_found_and_not_the_first_alone() {
    let mut image = gpt_image();
    image.layout = None;
    image.torrents.clear();
    image.manifest.partitions[1].name = "../sda2".into();
    image.manifest.partitions[2].uuid = Some("x".into());
    let findings = image.check().unwrap_err();
    assert_eq!(findings.iter().count(), 5, "{findings:?}");
    let text = findings.to_string();
    assert!(text.ends_with("; and 1 more (image-builder verify tells all)"), "{text}");
}

/// The files of an image without data: two partitions that are made anew.
fn files() -> Files {
    let layout = gpt_image().layout.unwrap().to_sfdisk();
    let mut manifest = gpt_image().manifest;
    for partition in &mut manifest.partitions[..2] {
        partition.content = Content::Empty;
    }
    let mut files = Files::default();
    let mut sums = Checksums::default();
    for (name, text) in [(MANIFEST_FILE, manifest.to_toml()), (LAYOUT_FILE, layout)] {
        sums.add(name, text.as_bytes());
        files.add(name, text.into_bytes());
    }
    files.add(CHECKSUM_FILE, sums.to_string().into_bytes());
    files
}

#[test]
fn files_are_held_against_the_checksums() {
    assert_eq!(Image::open(&files()).unwrap().findings(), Findings::default());
    let changed = |name: &str, bytes: &[u8]| {
        let mut files = files();
        files.add(name, bytes.to_vec());
        Image::open(&files).map_or_else(|findings| findings, |image| image.findings()).to_string()
    };
    let said = changed(LAYOUT_FILE, b"label: gpt\n");
    assert!(said.contains("layout.sfdisk: is damaged: its 11 bytes have another SHA-256"), "{said}");
    let said = changed(HIDDEN_FILE, b"");
    assert_eq!(said, "hidden.bin: is not listed in SHA256SUMS");
    let said = changed(MANIFEST_FILE, b"format = 99");
    assert!(said.contains("manifest.toml: is damaged") && said.contains("line 1"), "{said}");
    let said = changed(CHECKSUM_FILE, b"x");
    assert!(said.starts_with("SHA256SUMS: line 1 of the checksums: it is not a hash"), "{said}");
    let sums = format!("{}{}  sda9.torrent\n", Checksums::default(), "0".repeat(64));
    let said = changed(CHECKSUM_FILE, sums.as_bytes());
    assert!(said.contains("sda9.torrent: is missing, and SHA256SUMS lists it"), "{said}");
    let nothing = Image::open(&Files::default()).unwrap_err().to_string();
    assert!(nothing.contains("manifest.toml: is missing: this is no image directory"), "{nothing}");
}
