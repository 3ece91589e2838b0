//! The content of one partition, from the files that hold it.

use std::io::{self, Read};

use anyhow::{Context, Result, anyhow};
use ezio_image::extents::ExtentMap;
use ezio_imagedir::Content;

use crate::directory::{Directory, Form, Saved};
use crate::partclone::{Reader, StreamError};
use crate::stream::{self, Parts, Place};

/// A stream that is being read.
pub(super) struct Stream {
    form: Opened,
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
        Ok(Self { form, place, folder })
    }

    /// The bytes in use, where the stream tells them.
    pub(super) fn runs(&self) -> Option<&ExtentMap> {
        match &self.form {
            Opened::Partclone(reader) => Some(reader.runs()),
            Opened::Whole(_) => None,
        }
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
        let read = match &mut self.form {
            Opened::Partclone(reader) => reader.read(buffer),
            Opened::Whole(stream) => stream.read_exact(buffer).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => StreamError::CutShort("the partition"),
                _ => StreamError::Io(error),
            }),
        };
        read.map_err(|error| anyhow!(error)).with_context(|| where_it_is(&self.folder, &self.place))
    }
}

fn where_it_is(folder: &str, place: &Place) -> String {
    format!("{folder}/{place}")
}
