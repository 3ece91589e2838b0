//! Sets: the image directories of several disks of one machine, in one directory with their list.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ezio_image::checksums::Checksums;
use ezio_image::manifest::CHECKSUM_FILE;
use ezio_image::set::{DiskSet, SET_FILE, SET_VERSION, SetDisk, SetError, check_sum, image_name, sums_of};

use crate::output::Output;

/// A set that is there, and its list, which is whole.
#[derive(Debug)]
pub struct Set {
    path: PathBuf,
    /// What it says of itself.
    pub list: DiskSet,
    sums: Checksums,
}

impl Set {
    /// Is this one?
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        path.join(SET_FILE).is_file()
    }

    /// Opens one.
    ///
    /// # Errors
    /// Its list cannot be read, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let read = |name: &str| fs::read(path.join(name)).with_context(|| format!("reading {name}"));
        let opened = || -> Result<Self> {
            let sums =
                Checksums::parse(&String::from_utf8_lossy(&read(CHECKSUM_FILE)?)).context(CHECKSUM_FILE)?;
            let list = DiskSet::open(&read(SET_FILE)?, &sums)?;
            Ok(Self { path: path.to_owned(), list, sums })
        };
        opened().with_context(|| format!("the set of disks {}", path.display()))
    }

    /// The image directories of its disks, in order.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        self.list.disks.iter().map(|disk| self.path.join(&disk.name)).collect()
    }

    /// Images that are missing, or not those that the list was made of.
    ///
    /// # Errors
    /// What the system says.
    pub fn findings(&self) -> Result<Vec<SetError>> {
        let mut findings = Vec::new();
        for disk in &self.list.disks {
            let file = sums_of(&disk.name);
            match fs::read(self.path.join(&file)) {
                Ok(bytes) => findings.extend(check_sum(&file, &bytes, &self.sums).err()),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    findings
                        .push(SetError { file, what: "is missing, and the set has this disk".to_owned() });
                }
                Err(error) => return Err(error).with_context(|| format!("reading {file}")),
            }
        }
        Ok(findings)
    }

    /// The set, if its images are those that it was made of; each has to be checked by itself.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(self) -> Result<Self> {
        match self.findings()?.into_iter().next() {
            Some(error) => Err(error).with_context(|| format!("the set of disks {}", self.path.display())),
            None => Ok(self),
        }
    }
}

/// A set that is being written. Dropped before [`SetWriter::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct SetWriter {
    output: Output,
    replace: bool,
    list: DiskSet,
}

impl SetWriter {
    /// Begins a set that is to be `target`, with images that take `needed` bytes on the disk. What is there already is
    /// replaced at the end, if at all.
    ///
    /// # Errors
    /// Something is in the way, or there is no room.
    pub fn create(target: &Path, name: &str, builder: &str, replace: bool, needed: u64) -> Result<Self> {
        let output = Output::create(target, replace, needed)?;
        let (name, builder) = (name.to_owned(), builder.to_owned());
        let list = DiskSet { format: SET_VERSION, name, builder, disks: Vec::new() };
        Ok(Self { output, replace, list })
    }

    /// One more disk: where its image is to be written, and its name.
    pub fn add(&mut self, disk: SetDisk) -> (PathBuf, String) {
        let place = (self.output.folder().join(&disk.name), image_name(&self.list.name, &disk.name));
        self.list.disks.push(disk);
        place
    }

    /// All images are written: writes the list, and gives the directory its name.
    ///
    /// # Errors
    /// An image was not finished; what the system says.
    pub fn finish(self) -> Result<()> {
        if let Some(problem) = self.list.problem() {
            return Err(SetError { file: SET_FILE.to_owned(), what: problem })
                .context("the set would make no sense");
        }
        let list = self.list.to_toml();
        let mut sums = Checksums::default();
        sums.add(SET_FILE, list.as_bytes());
        for disk in &self.list.disks {
            let file = sums_of(&disk.name);
            let path = self.output.folder().join(&file);
            sums.add(&file, &fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
        }
        self.output.write(SET_FILE, list.as_bytes())?;
        self.output.write(CHECKSUM_FILE, sums.to_string().as_bytes())?;
        self.output.finish(self.replace)
    }
}
