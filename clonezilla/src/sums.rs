//! `MD5SUMS`, `SHA1SUMS` and their like, as Clonezilla writes them of all files of an image.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use blake2::Blake2b512;
use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha256, Sha512};

/// Makes a digest of one kind.
type Make = fn() -> Box<dyn DynDigest + Send>;

/// Files of sums, the strongest first, and what they are made by.
const FILES: [(&str, Make); 5] = [
    ("SHA512SUMS", || Box::new(Sha512::default())),
    ("B2SUMS", || Box::new(Blake2b512::default())),
    ("SHA256SUMS", || Box::new(Sha256::default())),
    ("SHA1SUMS", || Box::new(Sha1::default())),
    ("MD5SUMS", || Box::new(Md5::default())),
];

/// The sums of an image's files.
#[derive(Default)]
pub(crate) struct Sums {
    file: &'static str,
    digest: Option<Make>,
    /// Sums in lower-case hex by file name.
    sums: HashMap<String, String>,
}

impl Sums {
    /// Reads the strongest ones that are there.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        for (file, digest) in FILES {
            match fs::read(folder.join(file)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let sums = text.lines().filter_map(parse_line).collect();
                    return Ok(Self { file, digest: Some(digest), sums });
                }
            }
        }
        Ok(Self::default())
    }

    /// Begins to check a file; none: there is no sum of it.
    pub(crate) fn begin(&self, name: &str) -> Option<Sum> {
        let told = self.sums.get(name)?.clone();
        Some(Sum { file: self.file, told, digest: self.digest?() })
    }

    /// Checks a small file.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let Some(mut sum) = self.begin(name) else { return Ok(()) };
        sum.update(bytes);
        sum.check()
    }
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (sum, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
    Some((name.trim_start_matches("./").to_owned(), sum.to_ascii_lowercase()))
}

/// The sum of one file, as it is read.
pub(crate) struct Sum {
    file: &'static str,
    told: String,
    digest: Box<dyn DynDigest + Send>,
}

impl Sum {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The file is over: is it the one whose sum was told?
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn check(self) -> Result<(), String> {
        let hex: String = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if hex == self.told {
            Ok(())
        } else {
            Err(format!("it is damaged: its sum is not the one in {}", self.file))
        }
    }
}
