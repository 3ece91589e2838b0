//! Streams that the real programs compressed and split.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::{Compression, Parts, open};
use crate::sums::Sums;

/// What compresses from standard input to standard output, and the end of its files' names.
const PROGRAMS: [(&str, &[&str], &str); 12] = [
    ("gzip", &["-c"], "gz"),
    ("pigz", &["-c", "-b", "128"], "gz"),
    ("bzip2", &["-c"], "bz2"),
    ("lzop", &["-c"], "lzo"),
    ("lzop", &["-c", "-9"], "lzo"),
    ("xz", &["-c", "--format=lzma", "-1"], "lzma"),
    ("xz", &["-c", "-1", "--block-size=300000"], "xz"),
    ("lzip", &["-c", "-1"], "lzip"),
    ("lz4", &["-c"], "lz4"),
    ("lz4", &["-c", "-BD", "-B4"], "lz4"),
    ("zstd", &["-c"], "zst"),
    ("cat", &[], "uncomp"),
];

/// Bytes that can be compressed, but not to nothing.
fn sample() -> Vec<u8> {
    let mut state = 1u32;
    let mut out = Vec::new();
    while out.len() < 1 << 20 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state >> 24) as usize;
        match state >> 20 & 3 {
            0 => out.extend(vec![(state >> 8) as u8; length * 9]),
            1 if out.len() > 5000 => out.extend_from_within(out.len() - 4999..out.len() - 4999 + length),
            _ => out.extend((0..length).map(|i| (state >> (i % 13)) as u8)),
        }
    }
    out
}

fn compress(program: &str, arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|e| panic!("{program} is missing (apt-get install {program}): {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(out.status.success(), "{program}");
    out.stdout
}

fn read(folder: &Path, names: &[&str], suffix: &str) -> std::io::Result<Vec<u8>> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let sums = Arc::new(Sums::read(folder)?);
    let mut out = Vec::new();
    open(Parts::new(folder, &names, &sums), Compression::of_suffix(suffix).unwrap())?
        .read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn what_each_program_compresses_is_read() {
    let (folder, sample) = (tempfile::tempdir().unwrap(), sample());
    for (program, arguments, suffix) in PROGRAMS {
        let whole = compress(program, arguments, &sample);
        let (first, second) = whole.split_at(whole.len() / 3);
        fs::write(folder.path().join("aa"), first).unwrap();
        fs::write(folder.path().join("ab"), second).unwrap();
        assert!(read(folder.path(), &["aa", "ab"], suffix).unwrap() == sample, "{program} {arguments:?}");
        if suffix != "uncomp" {
            assert!(read(folder.path(), &["aa"], suffix).is_err(), "{program} {arguments:?}: cut short");
        }
    }
}

#[test]
fn several_members_are_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    for (program, arguments, suffix) in PROGRAMS.into_iter().filter(|(.., suffix)| *suffix != "lzma") {
        let members = [compress(program, arguments, b"one "), compress(program, arguments, b"two")];
        fs::write(folder.path().join("aa"), members.concat()).unwrap();
        assert_eq!(read(folder.path(), &["aa"], suffix).unwrap(), b"one two", "{program} {arguments:?}");
    }
}

#[test]
fn damage_is_found() {
    let (folder, sample) = (tempfile::tempdir().unwrap(), sample());
    for (program, arguments, suffix) in PROGRAMS.into_iter().filter(|(.., suffix)| *suffix != "uncomp") {
        let mut whole = compress(program, arguments, &sample);
        let middle = whole.len() / 2;
        whole[middle] ^= 0x10;
        fs::write(folder.path().join("aa"), &whole).unwrap();
        let read = read(folder.path(), &["aa"], suffix);
        // The old format of LZMA has no checksum: partclone's are there for it.
        assert!(suffix == "lzma" || read.is_err(), "{program} {arguments:?}");
        assert!(!read.is_ok_and(|bytes| bytes == sample), "{program} {arguments:?}");
    }
}

#[test]
fn a_file_that_is_not_the_one_of_the_sums_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("aa"), "content").unwrap();
    for program in ["md5sum", "sha1sum", "sha256sum", "b2sum", "sha512sum"] {
        let out = Command::new(program).arg("aa").current_dir(folder.path()).output().unwrap();
        let file = format!("{}S", program.to_uppercase());
        fs::write(folder.path().join(&file), out.stdout).unwrap();
        assert_eq!(read(folder.path(), &["aa"], "uncomp").unwrap(), b"content");
        fs::write(folder.path().join("aa"), "contents").unwrap();
        let error = read(folder.path(), &["aa"], "uncomp").unwrap_err().to_string();
        assert_eq!(error, format!("aa: it is damaged: its sum is not the one in {file}"));
        fs::write(folder.path().join("aa"), "content").unwrap();
        fs::remove_file(folder.path().join(&file)).unwrap();
    }
}

#[test]
fn lrzip_is_refused_with_a_word() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("aa"), "LRZI").unwrap();
    assert!(read(folder.path(), &["aa"], "lrz").unwrap_err().to_string().contains("lrzip -d"));
}
