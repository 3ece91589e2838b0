//! The text that `sha256sum` prints and checks.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// SHA-256 of files, by their paths inside an image directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums {
    files: BTreeMap<String, [u8; 32]>,
}

/// A line that is no checksum.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} of the checksums: {what}")]
pub struct ChecksumError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Checksums {
    /// Reads what `sha256sum` printed, in text or binary mode.
    ///
    /// # Errors
    /// The first line that is none, names a file outside, or one that was there already.
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        let mut sums = Self::default();
        for (index, line) in text.lines().enumerate().filter(|(_, l)| !l.is_empty()) {
            let refuse = |what: String| ChecksumError { line: index + 1, what };
            let (hash, path) = line
                .split_once("  ")
                .or_else(|| line.split_once(" *"))
                .ok_or_else(|| refuse("it is not a hash and a file name".to_owned()))?;
            let hash =
                decode(hash).ok_or_else(|| refuse(format!("{hash:?} is not 64 hexadecimal digits")))?;
            if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(refuse(format!("{path:?} is not a file inside the image")));
            }
            if sums.files.insert(path.to_owned(), hash).is_some() {
                return Err(refuse(format!("{path:?} is there twice")));
            }
        }
        Ok(sums)
    }

    /// Adds a file with these bytes.
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        self.add_hash(path, Sha256::digest(bytes).into());
    }

    /// Adds a file whose hash is known.
    pub fn add_hash(&mut self, path: &str, hash: [u8; 32]) {
        self.files.insert(path.to_owned(), hash);
    }

    /// The hash of a file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8; 32]> {
        self.files.get(path)
    }

    /// Are these the bytes of that file? `None` where it is not listed.
    #[must_use]
    pub fn matches(&self, path: &str, bytes: &[u8]) -> Option<bool> {
        Some(self.get(path)? == <[u8; 32]>::from(Sha256::digest(bytes)).as_slice())
    }

    /// Paths and hashes, in order of paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.files.iter().map(|(path, hash)| (path.as_str(), hash))
    }
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, hash) in self.iter() {
            writeln!(f, "{}  {path}", hex(hash))?;
        }
        Ok(())
    }
}

/// The SHA-256 of these bytes in lower case hex, as `sha256sum` writes it.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of what is written to it.
#[derive(Debug, Default)]
pub struct Sha256Sum(Sha256);

impl Sha256Sum {
    /// The sum in lower case hex.
    #[must_use]
    pub fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

impl Write for Sha256Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn sha256sum_checks_ours_and_we_read_its() {
        let dir = tempfile::tempdir().unwrap();
        let mut ours = Checksums::default();
        for (name, bytes) in [("manifest.toml", &b"a"[..]), ("sda1.torrent", b"bc")] {
            std::fs::write(dir.path().join(name), bytes).unwrap();
            ours.add(name, bytes);
        }
        std::fs::write(dir.path().join("SUMS"), ours.to_string()).unwrap();
        let run = |args: &[&str]| {
            let out = Command::new("sha256sum").args(args).current_dir(dir.path()).output();
            out.expect("sha256sum is missing: apt-get install coreutils")
        };
        let check = run(&["--check", "--strict", "SUMS"]);
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
        for mode in ["--text", "--binary"] {
            let theirs = run(&[mode, "manifest.toml", "sda1.torrent"]).stdout;
            assert_eq!(Checksums::parse(&String::from_utf8(theirs).unwrap()).unwrap(), ours);
        }
        assert_eq!(ours.matches("manifest.toml", b"a"), Some(true));
        assert_eq!(ours.matches("manifest.toml", b"b"), Some(false));
        assert_eq!(ours.matches("other", b"b"), None);
    }

    #[test]
    fn bad_lines_are_refused() {
        let hash = "0".repeat(64);
        for bad in [
            "x  file".to_owned(),
            hash.clone(),
            format!("{hash}  /etc/passwd"),
            format!("{hash}  ../file"),
            format!("{hash}  a\n{hash}  a"),
        ] {
            assert!(Checksums::parse(&bad).is_err(), "{bad}");
        }
    }
}
