//! Files that belong together, as one stream (`split` made them): each is checked against its sum when it is over.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sums::{Sum, Sums};

/// Reads file after file.
pub(crate) struct Parts {
    folder: PathBuf,
    /// Those that are still to come, the next one last.
    names: Vec<String>,
    sums: Arc<Sums>,
    open: Option<Open>,
    place: Place,
}

struct Open {
    file: File,
    name: String,
    sum: Option<Sum>,
}

impl Parts {
    /// These files of a folder, in this order.
    pub(crate) fn new(folder: &Path, names: &[String], sums: &Arc<Sums>) -> Self {
        let place = Place::default();
        // What is wrong with all of them is told of the first.
        names.first().iter().for_each(|name| place.set(name, 0));
        Self {
            folder: folder.to_owned(),
            names: names.iter().rev().cloned().collect(),
            sums: Arc::clone(sums),
            open: None,
            place,
        }
    }

    /// Where reading is, to be asked when something is wrong.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    fn next(&mut self) -> io::Result<bool> {
        let Some(name) = self.names.pop() else { return Ok(false) };
        let file = File::open(self.folder.join(&name));
        self.place.set(&name, 0);
        self.open = Some(Open { file: file?, sum: self.sums.begin(&name), name });
        Ok(true)
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(open) = &mut self.open else {
                if self.next()? {
                    continue;
                }
                return Ok(0);
            };
            let count = open.file.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                open.sum.iter_mut().for_each(|sum| sum.update(&buffer[..count]));
                self.place.advance(count);
                return Ok(count);
            }
            if let Some(Open { name, sum: Some(sum), .. }) = self.open.take() {
                sum.check()
                    .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {what}")))?;
            }
        }
    }
}

/// The file that is being read, and how far. What a decoder finds lies before this byte, and little before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    shared: Arc<Mutex<(String, u64)>>,
}

impl Place {
    fn set(&self, name: &str, offset: u64) {
        *self.lock() = (name.to_owned(), offset);
    }

    fn advance(&self, count: usize) {
        self.lock().1 += count as u64;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (String, u64)> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, offset) = &*self.lock();
        write!(f, "{name}, before byte {offset}")
    }
}
