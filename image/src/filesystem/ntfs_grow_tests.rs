//! NTFS that we made longer, looked at by the programs of ntfs-3g.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::super::{Growing, growing, inspect};
use super::*;

const MIB: u64 = 1 << 20;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program} is missing: apt-get install ntfs-3g ({e})"));
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{text}", output.status);
    text
}

fn apply(file: &File, patches: &[Patch]) {
    for Patch { offset, content } in patches {
        match content {
            PatchContent::Bytes(bytes) => file.write_all_at(bytes, *offset).unwrap(),
            PatchContent::Fill { byte, length } => {
                file.write_all_at(&vec![*byte; *length as usize], *offset).unwrap();
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn number(text: &str, before: &str) -> u64 {
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    let digits: String =
        rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn ntfs_is_as_long_as_its_partition_and_sound() {
    // Within the byte and the cluster of $Bitmap, and far behind it; small, usual and large clusters.
    for (cluster, from, to) in [
        (512, 20 * MIB, 21 * MIB),
        (4096, 100 * MIB, 101 * MIB + 512),
        (4096, 100 * MIB, 10_000 * MIB),
        (4096, 128 * MIB - 512, 3 * 1024 * MIB + 4096),
        (65536, 512 * MIB, 20_000 * MIB),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(from).unwrap();
        let path = text(file.path());
        run("mkntfs", &["-F", "-Q", "-q", "-s", "512", "-c", &cluster.to_string(), path]);
        let noise = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> =
            (0..3 * MIB).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        noise.as_file().write_all_at(&bytes, 0).unwrap();
        run("ntfscp", &[path, text(noise.path()), "noise"]);
        let free = |said: &str| number(said, "Free Clusters:");
        let before = run("ntfsinfo", &["-m", path]);

        file.as_file().set_len(to).unwrap();
        let Some(Growing::Written(patches)) = growing(file.as_file(), 0, to).unwrap() else { panic!() };
        apply(file.as_file(), &patches);

        let case = format!("{cluster} {from} {to}");
        let size = inspect(file.as_file(), 0).unwrap().unwrap().size;
        assert_eq!(size, to / 512 * 512, "{case}");
        // Each of them reads all of it: $Bitmap against what files say, $MFTMirr, the copy of the boot sector.
        let said = run("ntfsresize", &["--info", "--force", path]);
        assert!(said.contains("Current volume size"), "{case}: {said}");
        run("ntfsfix", &["-n", path]);
        let after = run("ntfsinfo", &["-f", "-m", path]);
        let clusters = number(&after, "Volume Size in Clusters:");
        assert_eq!(clusters, (to / 512 - 1) * 512 / cluster, "{case}");
        let gained = clusters - number(&before, "Volume Size in Clusters:");
        let bitmap = |clusters: u64| clusters.div_ceil(8).next_multiple_of(8).div_ceil(cluster);
        let more = bitmap(clusters) - bitmap(clusters - gained);
        assert_eq!(free(&after), free(&before) + gained - more, "{case}");
        let read = Command::new("ntfscat").args(["-f", path, "noise"]).output().unwrap().stdout;
        assert!(read == bytes, "{case}: the file has changed");
        // The copy of the boot sector.
        let sector = |at| file.as_file().read_vec(at, 512).unwrap();
        assert_eq!(sector(0), sector(size - 512), "{case}");
        // There is no more to be done, and what can be used is used.
        assert_eq!(growing(file.as_file(), 0, to).unwrap(), Some(Growing::Written(Vec::new())), "{case}");
        run("ntfscp", &["-f", path, text(noise.path()), "more"]);
        run("ntfsresize", &["--info", "--force", path]);
    }
}

#[test]
fn what_is_marked_is_marked_for_windows() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 * MIB).unwrap();
    run("mkntfs", &["-F", "-Q", "-q", text(file.path()), "65536"]);
    file.as_file().set_len(64 * MIB).unwrap();
    let Some(Growing::Written(patches)) = growing(file.as_file(), 0, 64 * MIB).unwrap() else { panic!() };
    apply(file.as_file(), &patches);
    let unclean = inspect(file.as_file(), 0).unwrap().unwrap().unclean.unwrap();
    assert!(unclean.contains("chkdsk"), "{unclean}");
}

#[test]
fn a_damaged_one_is_refused() {
    let made = || {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(16 * MIB).unwrap();
        run("mkntfs", &["-F", "-Q", "-q", text(file.path())]);
        file.as_file().set_len(64 * MIB).unwrap();
        file
    };
    for record in [LOG_FILE, VOLUME, BITMAP, BAD_CLUSTERS] {
        let file = made();
        let volume = Volume { device: file.as_file(), offset: 0 };
        let boot = volume.superblock(0, 512, 3, b"NTFS    ").unwrap().unwrap();
        let place = Geometry::of(&boot).unwrap().place_of(record);
        file.as_file().write_all_at(&[0; 16], place).unwrap();
        let error = growing(file.as_file(), 0, 64 * MIB).unwrap_err().to_string();
        assert!(error.contains(&format!("record {record} ")) && error.contains("chkdsk"), "{error}");
    }
}
