//! One frame: packed, and unpacked within bounds.

use std::io::{Error, ErrorKind, Result};

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

/// Strongest level that is worth its time on frames as short as ours.
pub const MAX_LEVEL: i32 = 12;

/// Longest window of what comes over HTTP, as a power of two (RFC 9659): so much memory an unknown sender makes us take.
const HTTP_WINDOW: u32 = 23;

/// Packs one frame after the other.
pub struct Packer {
    context: CCtx<'static>,
    level: i32,
}

impl Packer {
    /// Of this level, from 1 (fast) on.
    ///
    /// # Errors
    /// There is no memory.
    pub fn new(level: i32) -> Result<Self> {
        let context = CCtx::try_create().ok_or(ErrorKind::OutOfMemory)?;
        let mut packer = Self { context, level };
        // A damaged frame is found when it is unpacked, by whatever program.
        packer.set(CParameter::ChecksumFlag(true))?;
        packer.set(CParameter::CompressionLevel(level))?;
        Ok(packer)
    }

    /// Takes another level for the frames to come.
    ///
    /// # Errors
    /// zstd refuses the level.
    pub fn set_level(&mut self, level: i32) -> Result<()> {
        if self.level != level {
            self.set(CParameter::CompressionLevel(level))?;
            self.level = level;
        }
        Ok(())
    }

    /// Packs these bytes into a frame of their own. What cannot be compressed becomes a few bytes longer.
    ///
    /// # Errors
    /// There is no memory.
    pub fn pack(&mut self, raw: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::with_capacity(zstd_safe::compress_bound(raw.len()));
        self.context.compress2(&mut frame, raw).map_err(refused)?;
        Ok(frame)
    }

    fn set(&mut self, parameter: CParameter) -> Result<()> {
        self.context.set_parameter(parameter).map(drop).map_err(refused)
    }
}

/// Unpacks one frame after the other.
pub struct Unpacker {
    context: DCtx<'static>,
}

impl Unpacker {
    /// A new one.
    ///
    /// # Errors
    /// There is no memory.
    pub fn new() -> Result<Self> {
        Ok(Self { context: DCtx::try_create().ok_or(ErrorKind::OutOfMemory)? })
    }

    /// As [`unpack`].
    ///
    /// # Errors
    /// As [`unpack`].
    pub fn unpack(&mut self, frame: &[u8], raw: &mut [u8]) -> Result<()> {
        unpack(&mut self.context, frame, raw)
    }
}

/// Fills `raw` from `frame`, which must be one frame that says to hold just as many bytes, and holds them. Whatever the frame
/// says, no memory is taken for it.
///
/// # Errors
/// It is none, is damaged, needs a dictionary, or holds another number of bytes.
pub fn unpack(context: &mut DCtx<'_>, frame: &[u8], raw: &mut [u8]) -> Result<()> {
    let length = zstd_safe::find_frame_compressed_size(frame).map_err(refused)?;
    if length != frame.len() {
        return Err(invalid(format!("the frame ends after {length} of its {} bytes", frame.len())));
    }
    let says = zstd_safe::get_frame_content_size(frame).ok().flatten();
    if says != Some(raw.len() as u64) {
        let says = says.map_or("any number of".to_owned(), |says| says.to_string());
        return Err(invalid(format!("the frame says to hold {says} bytes instead of {}", raw.len())));
    }
    if zstd_safe::get_dict_id_from_frame(frame).is_some() {
        return Err(invalid("the frame needs a dictionary".to_owned()));
    }
    let found = context.decompress(raw, frame).map_err(refused)?;
    match found == raw.len() {
        true => Ok(()),
        false => Err(invalid(format!("the frame holds {found} bytes instead of {}", raw.len()))),
    }
}

/// What is in any number of frames, whoever made them; none where that is more than `limit` bytes.
///
/// # Errors
/// They are damaged or cut off, need a dictionary, or a window longer than HTTP allows.
pub fn unpack_all(frames: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
    let mut context = DCtx::try_create().ok_or(ErrorKind::OutOfMemory)?;
    context.set_parameter(DParameter::WindowLogMax(HTTP_WINDOW)).map_err(refused)?;
    let mut input = InBuffer::around(frames);
    let mut chunk = vec![0; DCtx::out_size()];
    let mut raw = Vec::new();
    loop {
        let mut output = OutBuffer::around(&mut chunk[..]);
        let left = context.decompress_stream(&mut output, &mut input).map_err(refused)?;
        let found = output.pos();
        if (raw.len() + found) as u64 > limit {
            return Ok(None);
        }
        raw.extend_from_slice(&chunk[..found]);
        match (input.pos() == frames.len(), left) {
            (true, 0) => return Ok(Some(raw)),
            (true, _) if found == 0 => return Err(invalid("the last frame is cut off".to_owned())),
            _ => {}
        }
    }
}

fn refused(code: zstd_safe::ErrorCode) -> Error {
    invalid(format!("zstd: {}", zstd_safe::get_error_name(code)))
}

pub(crate) fn invalid(what: String) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
