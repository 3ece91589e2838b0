//! `capture`, `show` and `verify` on what needs no privilege: a file system in a file, and raw images.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn builder(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_image-builder")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(program: &str, args: &[&str]) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let output = Command::new(program).args(args).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
}

/// An ext4 in a file, with a few files in it, captured.
struct Captured {
    folder: tempfile::TempDir,
}

impl Captured {
    /// With a file a run.
    fn new() -> Self {
        Self::with(&["--store", "files"])
    }

    fn with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for i in 0..20u32 {
            let content: Vec<u8> =
                (0..50_000u32).flat_map(|n| (n.wrapping_mul(i + 1)).to_le_bytes()).collect();
            fs::write(tree.join(format!("file{i}")), content).unwrap();
        }
        // The others can hardly be compressed.
        let numbers: String = (0..200_000).map(|n| format!("{n} ")).collect();
        fs::write(tree.join("numbers"), numbers).unwrap();
        let source = folder.path().join("root.img");
        fs::File::create(&source).unwrap().set_len(64 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-L", "a root", "-d", tree.to_str().unwrap(), source.to_str().unwrap()]);
        let captured = Self { folder };
        captured.capture("image", more);
        captured
    }

    fn capture(&self, name: &str, more: &[&str]) -> PathBuf {
        let target = self.folder.path().join(name);
        let source = self.source();
        let fixed = ["capture", source.to_str().unwrap(), "-o", target.to_str().unwrap()];
        let output = builder(&[&fixed, more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        target
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("root.img")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Output of verify, which must say that the image is damaged.
    fn damage(&self) -> String {
        let output = builder(&["verify", self.image().to_str().unwrap(), "--no-progress"]);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    }

    fn runs(&self) -> Vec<PathBuf> {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.image().join("root")).unwrap().map(|e| e.unwrap().path()).collect();
        runs.sort();
        runs
    }
}

#[test]
fn a_partition_file_is_captured_shown_and_whole() {
    let captured = Captured::new();
    let image = captured.image();
    let verified = builder(&["verify", image.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    run("sh", &["-c", &format!("cd {} && sha256sum --strict -c SHA256SUMS", image.display())]);

    let shown = text(&builder(&["show", image.to_str().unwrap()]).stdout);
    assert!(shown.contains("ext4") && shown.contains("a root"), "{shown}");
    let json = text(&builder(&["show", "--json", image.to_str().unwrap()]).stdout);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["partition"][0]["name"], "root");
    assert_eq!(json["partition"][0]["number"], 0);
    assert_eq!(json["source"]["kind"], "disk", "it may have been a disk without a table");
    assert_eq!(json["disk"]["label"], "none");
    assert_eq!(json["arch"], serde_json::Value::Null, "a file system does not start by itself");

    // Every run holds what the source has there.
    let source = fs::read(captured.source()).unwrap();
    for run in captured.runs() {
        let name = run.file_name().unwrap().to_str().unwrap();
        assert_eq!(name.len(), 32);
        let offset = usize::from_str_radix(name, 16).unwrap();
        let data = fs::read(&run).unwrap();
        assert!(data == source[offset..offset + data.len()], "{name}");
    }
}

#[test]
fn what_is_compressed_is_the_same_content_at_any_level() {
    let captured = Captured::new();
    let content: Vec<u8> = captured.runs().iter().flat_map(|run| fs::read(run).unwrap()).collect();
    let torrent = fs::read(captured.image().join("root.torrent")).unwrap();
    let mut lengths = Vec::new();
    for level in ["1", "12", "by itself"] {
        let more = ["--level", level, "--name", "root"];
        let image = captured.capture(level, if level == "by itself" { &more[2..] } else { &more });
        assert!(fs::read(image.join("root.torrent")).unwrap() == torrent, "{level}");
        let packed = image.join("root.zst");
        let unpacked = Command::new("zstd").arg("-dc").arg(&packed).output();
        assert!(unpacked.expect("zstd is missing: apt-get install zstd").stdout == content, "{level}");
        lengths.push(fs::metadata(&packed).unwrap().len());
        let verified = builder(&["verify", image.to_str().unwrap()]);
        assert!(verified.status.success(), "{}", text(&verified.stderr));
        let shown = text(&builder(&["show", image.to_str().unwrap()]).stdout);
        assert!(shown.contains(" to 1)\n"), "{shown}");
    }
    assert!(lengths[1] < lengths[0], "{lengths:?}");
}

#[test]
fn verify_names_frames_that_are_damaged() {
    let captured = Captured::with(&["--piece-length", "64K"]);
    let packed = captured.image().join("root.zst");
    let bytes = fs::read(&packed).unwrap();
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    fs::write(&packed, changed).unwrap();
    let said = captured.damage();
    let (_, told) = said.split_once("root.zst: frame ").unwrap_or_else(|| panic!("{said}"));
    let number = told.split(' ').next().unwrap();
    assert!(said.contains(&format!("root: piece {number} of ")), "{said}");
    assert!(said.contains(&format!(", from frame {number} on)")), "{said}");
    assert!(said.contains("DAMAGED, 2 problems"), "{said}");

    fs::write(&packed, &bytes[..bytes.len() - 1]).unwrap();
    let said = captured.damage();
    assert!(said.contains("root.zst: it is cut short") && said.contains("DAMAGED, 1 problems"), "{said}");
    fs::remove_file(&packed).unwrap();
    assert!(captured.damage().contains("root.zst: No such file"));
}

#[test]
fn output_that_nobody_takes_is_an_error_and_no_crash() {
    let captured = Captured::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut show = Command::new(env!("CARGO_BIN_EXE_image-builder"));
    let output = show.arg("show").arg(captured.image()).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot print: No space left"), "{}", text(&output.stderr));
    let mut verify = Command::new(env!("CARGO_BIN_EXE_image-builder"));
    let status = verify.arg("verify").arg(captured.source()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn verify_tells_what_is_damaged_and_where() {
    let captured = Captured::new();
    let victim = captured.runs().into_iter().max_by_key(|run| fs::metadata(run).unwrap().len()).unwrap();
    let name = victim.file_name().unwrap().to_str().unwrap().to_owned();
    let file = fs::OpenOptions::new().read(true).write(true).open(&victim).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 70_000).unwrap();
    file.write_all_at(&[!byte[0]], 70_000).unwrap();
    let said = captured.damage();
    assert!(
        said.contains("root: piece ") && said.contains(&name) && said.contains("DAMAGED, 1 problems"),
        "{said}"
    );

    file.write_all_at(&byte, 70_000).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - 1).unwrap();
    let said = captured.damage();
    assert!(said.contains(&format!("has {} bytes instead of {length}", length - 1)), "{said}");

    fs::remove_file(&victim).unwrap();
    let said = captured.damage();
    assert!(said.contains(&name) && said.contains("cannot be read"), "{said}");
}

#[test]
fn verify_finds_changed_and_missing_files() {
    let captured = Captured::new();
    let manifest = captured.image().join("manifest.toml");
    let before = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, before.replace("size = 67108864", "size = 1000000")).unwrap();
    let said = captured.damage();
    assert!(said.contains("manifest.toml: is damaged: its "), "{said}");
    assert!(said.contains("its last run ends"), "{said}");
    fs::write(&manifest, &before).unwrap();

    fs::write(captured.image().join("root/ffff"), "x").unwrap();
    assert!(captured.damage().contains("root/ffff: is not in the torrent"));
    fs::remove_file(captured.image().join("root/ffff")).unwrap();

    fs::remove_file(captured.image().join("root.torrent")).unwrap();
    let said = captured.damage();
    assert!(said.contains("root.torrent: is missing"), "{said}");

    fs::write(&manifest, before.replace("name = \"root\"", "name = \"../root\"")).unwrap();
    assert!(captured.damage().contains("cannot be the name of a file"));
    fs::write(&manifest, before.replace("format = 3", "format = 99")).unwrap();
    assert!(captured.damage().contains("format 99"));
    fs::remove_file(&manifest).unwrap();
    assert!(captured.damage().contains("is no image directory"));
}

#[test]
fn an_unclean_file_system_is_refused_and_leaves_nothing() {
    let captured = Captured::new();
    let source = fs::OpenOptions::new().write(true).open(captured.source()).unwrap();
    // s_state of the superblock: mounted.
    source.write_all_at(&[0], 1024 + 0x3a).unwrap();
    let target = captured.folder.path().join("other");
    let output = builder(&["capture", captured.source().to_str().unwrap(), "-o", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("was not cleanly unmounted"), "{}", text(&output.stderr));
    assert!(!target.exists());

    // An image that is there is replaced only when that is asked for.
    let output =
        builder(&["capture", captured.source().to_str().unwrap(), "-o", captured.image().to_str().unwrap()]);
    assert!(text(&output.stderr).contains("exists already"), "{}", text(&output.stderr));
    let output = builder(&[
        "capture",
        captured.source().to_str().unwrap(),
        "-o",
        captured.image().to_str().unwrap(),
        "--force",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(names_in(captured.folder.path()), ["image", "root.img", "tree"]);
}

#[test]
fn a_raw_image_is_one_sparse_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("appliance.bin");
    let mut content = vec![0u8; 8 << 20];
    content[3_000_000..3_001_000].fill(7);
    content[(8 << 20) - 1] = 1;
    fs::write(&source, &content).unwrap();
    let image = folder.path().join("image");
    let fixed = ["capture", "--raw", source.to_str().unwrap(), "-o", image.to_str().unwrap()];
    let output = builder(&[&fixed[..], &["--store", "files"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read(image.join("disk")).unwrap() == content);
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(image.join("disk")).unwrap());
    assert!(blocks * 512 < 1 << 20, "{blocks} blocks are allocated");
    assert!(builder(&["verify", image.to_str().unwrap()]).status.success());
    let json = text(&builder(&["show", "--json", image.to_str().unwrap()]).stdout);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["partition"][0]["name"], "disk");
    assert_eq!(json["disk"]["minimum_size"], 8 << 20);
}

#[test]
fn an_image_says_for_which_machines_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("disk.img"), vec![1; 1 << 20]).unwrap();
    let captured = |arguments: &[&str]| {
        let output = builder(&[&["capture", &path("disk.img"), "--no-progress"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let said = captured(&["--raw", "--dry-run", "-o", &path("own")]);
    assert!(said.contains(&format!("for machines of {own} (nothing on it says for which")), "{said}");
    captured(&["--raw", "--arch", "arm64", "-o", &path("told")]);
    for command in ["show", "verify"] {
        let said = text(&builder(&[command, &path("told")]).stdout);
        assert!(said.contains("for machines of arm64\n"), "{said}");
    }
    let refused = builder(&["capture", &path("disk.img"), "--arch", "sparc", "-o", &path("x")]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("\"sparc\" is no architecture of ours (amd64, arm64)"));
}

#[test]
fn a_dry_run_says_what_and_writes_nothing() {
    let captured = Captured::new();
    let target = captured.folder.path().join("other");
    let source = captured.source();
    let output = builder(&["capture", "--dry-run", source.to_str().unwrap(), "-o", target.to_str().unwrap()]);
    assert!(text(&output.stdout).contains("in use, in"), "{}", text(&output.stdout));
    assert!(!target.exists());
}

#[test]
fn what_is_no_source_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    let target = folder.path().join("image");
    for (source, reason) in [
        (empty.to_str().unwrap(), "is empty"),
        (folder.path().to_str().unwrap(), "neither a block device nor a file"),
        ("/nonexistent", "cannot open /nonexistent"),
    ] {
        let output = builder(&["capture", source, "-o", target.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
    assert_eq!(names_in(folder.path()), ["empty"]);
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
