//! The content of one partition, from the files that hold it.

use std::io::{self, Read};

use anyhow::{Context, Result, anyhow};
use ezio_image::extents::ExtentMap;
use ezio_image::filesystem;
use ezio_imagedir::Content;

use crate::directory::{Directory, Form, Saved};
use crate::partclone::{Reader, StreamError};
use crate::stream::{self, Parts, Place};

/// Bytes of the largest sector.
const HEAD: usize = 4096;

/// A stream that is being read.
pub(super) struct Stream {
    form: Opened,
    /// Bytes of its own content that are still to come. What is read behind them is the copy of NTFS's boot sector.
    left: u64,
    /// The first bytes of the content: a boot sector, if it is one.
    head: Vec<u8>,
    /// Bytes of the copy that were read.
    copied: usize,
    place: Place,
    folder: String,
}

enum Opened {
    Partclone(Box<Reader<Box<dyn Read + Send>>>),
    Whole(Box<dyn Read + Send>),
}

impl Stream {
    /// Opens the files of a partition of `size` bytes, and reads what comes before its content.
    pub(super) fn open(directory: &Directory, saved: &Saved, size: u64) -> Result<Self> {
        let parts = Parts::new(directory.path(), &saved.files, directory.sums());
        let place = parts.place();
        let folder = directory.path().display().to_string();
        let opened = || -> Result<Opened, StreamError> {
            let decoder = stream::open(parts, saved.compression)?;
            Ok(match saved.form {
                Form::Partclone => Opened::Partclone(Box::new(Reader::open(decoder, size)?)),
                Form::Whole => Opened::Whole(decoder),
            })
        };
        let form = opened().with_context(|| where_it_is(&folder, &place))?;
        let left = match &form {
            Opened::Partclone(reader) => reader.runs().total_length(),
            Opened::Whole(_) => size,
        };
        Ok(Self { form, left, head: Vec::new(), copied: 0, place, folder })
    }

    /// The bytes in use, as an image keeps them: with the copy of NTFS's boot sector, which partclone leaves out. None where
    /// the stream does not tell them.
    pub(super) fn map(mut self, size: u64) -> Result<Option<ExtentMap>> {
        let Opened::Partclone(reader) = &self.form else { return Ok(None) };
        let map = reader.runs().clone();
        let first = map.extents().first().filter(|run| run.offset == 0);
        let Some(length) = first.map(|run| run.length.min(HEAD as u64)) else { return Ok(Some(map)) };
        let mut head = vec![0; length as usize];
        self.read(0, &mut head)?;
        head.resize(HEAD, 0);
        Ok(Some(filesystem::with_boot_copy(map, &head, size)?))
    }

    /// All has been read: checks what can be checked at the end.
    pub(super) fn finish(self) -> Result<()> {
        let finished = match self.form {
            Opened::Partclone(reader) => reader.finish(),
            Opened::Whole(mut stream) => match stream.read(&mut [0]) {
                Ok(0) => Ok(()),
                Ok(_) => Err(StreamError::Surplus),
                Err(error) => Err(error.into()),
            },
        };
        finished.map_err(|error| anyhow!(error)).with_context(|| where_it_is(&self.folder, &self.place))
    }
}

impl Content for Stream {
    fn read(&mut self, _offset: u64, buffer: &mut [u8]) -> Result<()> {
        let own = self.left.min(buffer.len() as u64) as usize;
        let (own, copy) = buffer.split_at_mut(own);
        let read = match &mut self.form {
            Opened::Partclone(reader) => reader.read(own),
            Opened::Whole(stream) => stream.read_exact(own).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => StreamError::CutShort("the partition"),
                _ => StreamError::Io(error),
            }),
        };
        read.map_err(|error| anyhow!(error)).with_context(|| where_it_is(&self.folder, &self.place))?;
        self.left -= own.len() as u64;
        self.head.extend(own.iter().take(HEAD - self.head.len()));
        let rest = self.head.get(self.copied..self.copied + copy.len());
        copy.copy_from_slice(rest.context("more is asked for than a boot sector")?);
        self.copied += copy.len();
        Ok(())
    }
}

fn where_it_is(folder: &str, place: &Place) -> String {
    format!("{folder}/{place}")
}
