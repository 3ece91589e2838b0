//! Any bytes of a file of frames. What was unpacked last is kept: who reads on in small steps unpacks each frame once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::codec::Unpacker;
use crate::error::FrameError;
use crate::file::FrameFile;

/// Unpacked bytes that are kept at most; at least two frames are.
const KEPT: u32 = 4 << 20;

/// Reads raw bytes. Several threads may do so at once.
pub struct FrameReader {
    file: FrameFile,
    /// Frames in use, the latest last.
    kept: Mutex<VecDeque<(u64, Arc<Mutex<Unpacked>>)>>,
    /// Idle tools.
    tools: Mutex<Vec<Tools>>,
}

/// The content of a frame.
#[derive(Default)]
struct Unpacked {
    bytes: Vec<u8>,
    /// False: there are any bytes in it.
    done: bool,
}

struct Tools {
    unpacker: Unpacker,
    packed: Vec<u8>,
}

impl FrameReader {
    /// Reads this file.
    #[must_use]
    pub fn new(file: FrameFile) -> Self {
        Self { file, kept: Mutex::default(), tools: Mutex::default() }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &FrameFile {
        &self.file
    }

    /// Fills `buffer` with the raw bytes from `offset` on.
    ///
    /// # Errors
    /// A frame cannot be read or is damaged, or the content ends before.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FrameError> {
        let size = u64::from(self.file.frame_size());
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let index = at / size;
            let Some(frame) = self.file.frame(index) else {
                let beyond = io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the content");
                return Err(self.file.error(None, beyond));
            };
            // Less than a frame.
            let within = (at % size) as usize;
            let take = rest.len().min((frame.raw_length as usize).saturating_sub(within));
            if take == 0 {
                // Behind the end of the last frame: the next one is none.
                at = (index + 1) * size;
                continue;
            }
            let (head, tail) = rest.split_at_mut(take);
            if take == frame.raw_length as usize {
                self.unpack(index, head)?;
            } else {
                let slot = self.slot(index);
                let mut unpacked = lock(&slot);
                if !unpacked.done {
                    unpacked.bytes.resize(frame.raw_length as usize, 0);
                    self.unpack(index, &mut unpacked.bytes)?;
                    unpacked.done = true;
                }
                head.copy_from_slice(&unpacked.bytes[within..within + take]);
            }
            at += take as u64;
            rest = tail;
        }
        Ok(())
    }

    /// The place of a frame among those that are kept.
    fn slot(&self, index: u64) -> Arc<Mutex<Unpacked>> {
        let mut kept = lock(&self.kept);
        let found = kept.iter().position(|(i, _)| *i == index).and_then(|place| kept.remove(place));
        let slot = found.map_or_else(
            || {
                let full = kept.len() >= 2 && kept.len() >= (KEPT / self.file.frame_size()) as usize;
                let oldest = kept.pop_front_if(|_| full).and_then(|(_, slot)| Arc::into_inner(slot));
                // Its memory serves again.
                let memory = oldest.map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
                let bytes = memory.unwrap_or_default().bytes;
                Arc::new(Mutex::new(Unpacked { bytes, done: false }))
            },
            |(_, slot)| slot,
        );
        kept.push_back((index, Arc::clone(&slot)));
        slot
    }

    fn unpack(&self, index: u64, raw: &mut [u8]) -> Result<(), FrameError> {
        let idle = lock(&self.tools).pop();
        let mut tools = match idle {
            Some(tools) => tools,
            None => {
                let unpacker = Unpacker::new().map_err(|cause| self.file.error(None, cause))?;
                Tools { unpacker, packed: Vec::new() }
            }
        };
        let read = self.file.read(index, &mut tools.unpacker, &mut tools.packed, raw);
        lock(&self.tools).push(tools);
        read
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
