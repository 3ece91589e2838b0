//! `export` of the image of a file system: as a file, and as what BitTorrent clients seed.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{good, run};

#[test]
fn the_image_of_a_partition_goes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let builder = |arguments: &[&str]| run(env!("CARGO_BIN_EXE_image-builder"), arguments);
    fs::create_dir(path("tree")).unwrap();
    let noise: Vec<u8> =
        (0..3u64 << 20).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
    fs::write(path("tree/noise"), &noise).unwrap();
    fs::File::create(path("root.img")).unwrap().set_len(32 << 20).unwrap();
    good("mkfs.ext4", &["-q", "-d", &path("tree"), &path("root.img")]);
    let image = path("image");
    let capture = ["capture", &path("root.img"), "-o", &image, "--no-progress", "--store", "files"];
    assert!(builder(&capture).status.success());
    let export = |form: &str, to: &str, more: &[&str]| {
        let output = builder(&[&["export", &image, form, &path(to), "--no-progress"], more].concat());
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };

    let noted = (
        true,
        "note: there is no partition table: the file system goes onto a whole disk, or onto a partition that ezio.conf names\n"
            .to_owned(),
    );
    // What is not in use was never written by mkfs: zeros on both.
    assert_eq!(export("--raw", "raw.img", &[]), noted);
    good("e2fsck", &["-fn", &path("raw.img")]);
    assert!(fs::read(path("raw.img")).unwrap() == fs::read(path("root.img")).unwrap());
    let sparse = fs::metadata(path("raw.img")).unwrap();
    assert!(sparse.blocks() * 512 < 16 << 20, "{} bytes on the disk", sparse.blocks() * 512);
    let (done, said) = export("--raw", "raw.img", &[]);
    assert!(!done && said.contains("exists already"), "{said}");

    assert_eq!(export("--torrent-files", "files", &[]), noted);
    good("diff", &["-r", &path("files/root"), &path("image/root")]);
    good("cmp", &[&path("files/root.torrent"), &path("image/root.torrent")]);
    assert_eq!(export("--torrent-files", "linked", &["--link"]), noted);
    assert_eq!(fs::metadata(path("linked/root.torrent")).unwrap().nlink(), 2);

    let (done, said) = export("--clonezilla", "clonezilla", &[]);
    assert!(!done && said.contains("Clonezilla keeps partition tables, and image has none"), "{said}");

    let run = fs::read_dir(path("image/root")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&run).unwrap();
    for form in ["--raw", "--torrent-files"] {
        let (done, said) = export(form, "refused", &[]);
        assert!(!done && said.contains(run.to_str().unwrap()), "{said}");
    }
    fs::remove_file(path("image/root.torrent")).unwrap();
    let (done, said) = export("--raw", "refused", &[]);
    assert!(!done && said.contains("root.torrent"), "{said}");
    assert!(fs::read_dir(folder.path()).unwrap().all(|f| {
        ["tree", "root.img", "image", "raw.img", "files", "linked"]
            .contains(&f.unwrap().file_name().to_str().unwrap())
    }));
}

#[test]
fn a_compressed_image_goes_out_as_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let builder = env!("CARGO_BIN_EXE_image-builder");
    fs::create_dir(path("tree")).unwrap();
    fs::write(path("tree/text"), "a line like all the others\n".repeat(100_000)).unwrap();
    fs::File::create(path("root.img")).unwrap().set_len(32 << 20).unwrap();
    good("mkfs.ext4", &["-q", "-d", &path("tree"), &path("root.img")]);
    for raw in [&["--raw"][..], &[]] {
        for store in ["files", "zstd"] {
            let (from, to) = (path("root.img"), path(store));
            let fixed = ["capture", &from, "-o", &to, "--store", store, "--name", "root", "--force"];
            good(builder, &[&fixed, raw].concat());
            good(builder, &["export", &path(store), "--torrent-files", &path(&format!("{store}-files"))]);
        }
        good("diff", &["-r", &path("files-files"), &path("zstd-files")]);
        assert!(fs::read_dir(path("zstd")).unwrap().all(|file| file.unwrap().metadata().unwrap().is_file()));
        for folder in ["files-files", "zstd-files"] {
            fs::remove_dir_all(path(folder)).unwrap();
        }
    }
    good(builder, &["export", &path("zstd"), "--raw", &path("raw.img")]);
    good("cmp", &[&path("raw.img"), &path("root.img")]);
    let refused = run(builder, &["export", &path("zstd"), "--torrent-files", &path("x"), "--link"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("--link is for images with --store files"), "{said}");

    let packed = path("zstd/root.zst");
    let mut bytes = fs::read(&packed).unwrap();
    bytes[100] ^= 1;
    fs::write(&packed, bytes).unwrap();
    for form in ["--raw", "--torrent-files"] {
        let refused = run(builder, &["export", &path("zstd"), form, &path("refused")]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("root.zst: frame 0 at byte 0"), "{said}");
        assert!(!fs::exists(path("refused")).unwrap());
    }
}
