//! `import` of partclone's BitTorrent form, as partclone writes it, and of torrents with their data.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use common::{good, run};

const SIZE: u64 = 24 << 20;

/// An ext4 with 17 MiB in it: more than one of partclone's pieces.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        fs::create_dir(bench.path("tree")).unwrap();
        let noise: Vec<u8> =
            (0..17u64 << 20).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        fs::write(bench.path("tree/noise"), noise).unwrap();
        fs::File::create(bench.path("disk")).unwrap().set_len(SIZE).unwrap();
        good(
            "mkfs.ext4",
            &["-q", "-L", "root", "-d", bench.text("tree").as_str(), bench.text("disk").as_str()],
        );
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// partclone's BitTorrent form in a folder "sda1": with the data, or the hashes alone.
    fn saved(&self, form: &str) -> PathBuf {
        let (disk, folder, log) = (self.text("disk"), self.text("sda1"), self.text("log"));
        good("partclone.ext4", &["-c", "-q", "-s", &disk, form, "-O", &folder, "-F", "-L", &log]);
        self.path("sda1")
    }

    fn import(&self, source: &Path, more: &[&str]) -> (bool, String) {
        let output = self.text("image");
        let fixed = ["import", source.to_str().unwrap(), "-o", &output, "--no-progress", "--force"];
        let out = run(env!("CARGO_BIN_EXE_image-builder"), &[&fixed, more].concat());
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    }

    /// The image is whole, and each of its runs is what lies there on the disk.
    fn is_that_of_the_disk(&self, name: &str) {
        good(env!("CARGO_BIN_EXE_image-builder"), &["verify", "--no-progress", &self.text("image")]);
        let files = self.folder.path().join("files");
        let _ = fs::remove_dir_all(&files);
        let builder = env!("CARGO_BIN_EXE_image-builder");
        good(builder, &["export", &self.text("image"), "--torrent-files", &self.text("files")]);
        let (disk, mut used) = (fs::read(self.path("disk")).unwrap(), 0);
        for run in fs::read_dir(files.join(name)).unwrap() {
            let run = run.unwrap();
            let offset = usize::from_str_radix(run.file_name().to_str().unwrap(), 16).unwrap();
            let bytes = fs::read(run.path()).unwrap();
            assert!(disk[offset..offset + bytes.len()] == bytes, "{}", run.path().display());
            used += bytes.len();
        }
        assert!((17 << 20..SIZE as usize).contains(&used), "{used} bytes");
        let manifest = fs::read_to_string(self.path("image/manifest.toml")).unwrap();
        assert!(
            manifest.contains("\nsize = 25165824\n") && manifest.contains("label = \"root\""),
            "{manifest}"
        );
    }
}

#[test]
fn what_partclone_writes_for_bittorrent_becomes_an_image() {
    let bench = Bench::new();
    let saved = bench.saved("-T");
    let (imported, said) = bench.import(&saved, &[]);
    assert!(imported, "{said}");
    bench.is_that_of_the_disk("sda1");

    let shared = |name: &str| fs::metadata(bench.path("image/sda1").join(name)).unwrap().nlink() == 2;
    let first = fs::read_dir(&saved).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    let first = first.filter(|name| name.starts_with('0')).max().unwrap();
    assert!(bench.path("image/sda1.zst").is_file() && !bench.path("image/sda1").exists());
    let (imported, said) = bench.import(&saved.join("torrent.info"), &["--link"]);
    assert!(imported, "{said}");
    assert!(shared(&first));
    bench.is_that_of_the_disk("sda1");

    let file = fs::OpenOptions::new().write(true).open(saved.join(&first)).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(b"damage", length - 6).unwrap();
    let (imported, said) = bench.import(&saved, &[]);
    assert!(!imported && said.contains("piece 1, which begins at byte"), "{said}");
    file.set_len(length - 1).unwrap();
    let (imported, said) = bench.import(&saved, &[]);
    let told = format!("{first} has {} bytes, and should have {length}", length - 1);
    assert!(!imported && said.contains(&told), "{said}");
    fs::remove_file(saved.join(&first)).unwrap();
    let (imported, said) = bench.import(&saved, &[]);
    assert!(!imported && said.contains("is missing"), "{said}");
}

#[test]
fn a_torrent_of_another_program_has_its_padding_left_out() {
    let bench = Bench::new();
    let saved = bench.saved("-T");
    fs::remove_file(saved.join("torrent.info")).unwrap();
    let torrent = bench.path("sda1.torrent");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scripts/libtorrent_create.py");
    good("/usr/bin/python3", &[script, saved.to_str().unwrap(), torrent.to_str().unwrap()]);
    let (imported, said) = bench.import(&torrent, &["--link"]);
    assert!(imported, "{said}");
    bench.is_that_of_the_disk("sda1");
}

#[test]
fn the_device_itself_can_be_the_data() {
    let bench = Bench::new();
    let saved = bench.saved("-t");
    let (imported, said) = bench.import(&saved, &[]);
    assert!(!imported && said.contains("is missing"), "{said}");
    let disk = bench.text("disk");
    let (imported, said) = bench.import(&saved, &["--data", &disk, "--link"]);
    assert!(!imported && said.contains("--link is for"), "{said}");
    let (imported, said) = bench.import(&saved, &["--data", &disk]);
    assert!(imported, "{said}");
    bench.is_that_of_the_disk("sda1");
}

#[test]
fn a_torrent_becomes_an_image_with_the_data_beside_it() {
    let bench = Bench::new();
    let disk = bench.text("disk");
    let builder = env!("CARGO_BIN_EXE_image-builder");
    for (more, name) in [(&[][..], "disk"), (&["--raw"], "raw")] {
        let folder = bench.text(&format!("first-{name}"));
        good(
            builder,
            &[&["capture", &disk, "-o", &folder, "--name", name, "--store", "files"], more].concat(),
        );
        let torrent = fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path());
        let torrent = torrent.into_iter().find(|f| f.extension().is_some_and(|e| e == "torrent")).unwrap();
        let (imported, said) = bench.import(&torrent, &["--link"]);
        assert!(imported, "{said}");
        good(builder, &["verify", "--no-progress", &bench.text("image")]);
        let same = |name: &str| {
            fs::read(torrent.with_file_name(name)).unwrap()
                == fs::read(bench.path("image").join(name)).unwrap()
        };
        assert!(same(torrent.file_name().unwrap().to_str().unwrap()), "ours is the same torrent");
    }
}
