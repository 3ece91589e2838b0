//! The container of `lzop`: a header, and blocks of LZO1X with their checksums.

use std::io::{self, BufRead, Read};

use super::lzo;

const MAGIC: [u8; 9] = [0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a];
/// Largest block that `lzop` writes, in bytes (`MAX_BLOCK_SIZE` of its `conf.h`).
const MOST: u32 = 64 << 20;
/// First version of `lzop` whose header has a level, and a filter where a flag says so.
const VERSION_WITH_LEVEL: u16 = 0x0940;

/// Flags of the header (`lzop`'s `F_…`).
mod flag {
    pub(super) const ADLER_OF_DATA: u32 = 1 << 0;
    pub(super) const ADLER_OF_BLOCK: u32 = 1 << 1;
    pub(super) const EXTRA_FIELD: u32 = 1 << 6;
    pub(super) const CRC_OF_DATA: u32 = 1 << 8;
    pub(super) const CRC_OF_BLOCK: u32 = 1 << 9;
    pub(super) const MULTIPART: u32 = 1 << 10;
    pub(super) const FILTER: u32 = 1 << 11;
}

/// Decompresses what `lzop` wrote.
pub(super) struct LzopDecoder<R> {
    stream: R,
    flags: u32,
    block: Vec<u8>,
    /// Bytes of the block that were read.
    read: usize,
    ended: bool,
}

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl<R: BufRead> LzopDecoder<R> {
    /// Reads the header.
    pub(super) fn new(mut stream: R) -> io::Result<Self> {
        let flags = read_header(&mut stream)?;
        Ok(Self { stream, flags, block: Vec::new(), read: 0, ended: false })
    }

    fn next_block(&mut self) -> io::Result<()> {
        let length = be32(&mut self.stream)?;
        if length == 0 {
            return self.next_member();
        }
        let stored = be32(&mut self.stream)?;
        if length > MOST || stored == 0 || stored > length {
            return Err(damaged(format!("lzop tells of a block of {length} bytes in {stored}")));
        }
        let of_data = self.sums(flag::ADLER_OF_DATA, flag::CRC_OF_DATA)?;
        // A block that did not become shorter is stored as it is, without sums of its own.
        let of_block = match stored < length {
            true => self.sums(flag::ADLER_OF_BLOCK, flag::CRC_OF_BLOCK)?,
            false => [None, None],
        };
        let mut bytes = vec![0; stored as usize];
        self.stream.read_exact(&mut bytes)?;
        check(&bytes, of_block)?;
        if stored < length {
            bytes = lzo::decompress(&bytes, length as usize).map_err(|error| damaged(error.to_string()))?;
        }
        check(&bytes, of_data)?;
        (self.block, self.read) = (bytes, 0);
        Ok(())
    }

    /// Adler-32 and CRC32, where the header says that they are there.
    fn sums(&mut self, adler: u32, crc: u32) -> io::Result<[Option<u32>; 2]> {
        let mut sums = [None, None];
        for (sum, flag) in sums.iter_mut().zip([adler, crc]) {
            if self.flags & flag != 0 {
                *sum = Some(be32(&mut self.stream)?);
            }
        }
        Ok(sums)
    }

    /// Behind the last block another file may follow.
    fn next_member(&mut self) -> io::Result<()> {
        if self.stream.fill_buf()?.is_empty() {
            self.ended = true;
        } else {
            self.flags = read_header(&mut self.stream)?;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for LzopDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.block.len() && !self.ended {
            self.next_block()?;
        }
        let count = buffer.len().min(self.block.len() - self.read);
        buffer[..count].copy_from_slice(&self.block[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

fn check(bytes: &[u8], [adler, crc]: [Option<u32>; 2]) -> io::Result<()> {
    let fits =
        adler.is_none_or(|sum| sum == adler32(bytes)) && crc.is_none_or(|sum| sum == crc32fast::hash(bytes));
    if fits { Ok(()) } else { Err(damaged("a checksum of lzop's does not fit")) }
}

/// Gives the flags.
fn read_header(stream: &mut impl Read) -> io::Result<u32> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(damaged("it does not begin as lzop's files do"));
    }
    let mut header = Vec::new();
    let version = be16(&take(stream, &mut header, 2)?);
    // Version of the library; version that is needed to decompress.
    take(stream, &mut header, 2)?;
    if version >= VERSION_WITH_LEVEL {
        take(stream, &mut header, 2)?;
    }
    let method = take(stream, &mut header, 1)?[0];
    if !(1..=3).contains(&method) {
        return Err(damaged(format!("lzop's method {method} is not known")));
    }
    if version >= VERSION_WITH_LEVEL {
        take(stream, &mut header, 1)?;
    }
    let flags = be32(&mut take(stream, &mut header, 4)?.as_slice())?;
    if flags & (flag::FILTER | flag::MULTIPART) != 0 {
        return Err(damaged("lzop's filters and multi-part files are not known"));
    }
    // Mode; time, and its upper half in later versions.
    take(stream, &mut header, if version >= VERSION_WITH_LEVEL { 12 } else { 8 })?;
    let name = take(stream, &mut header, 1)?[0];
    take(stream, &mut header, usize::from(name))?;
    // Header of a version that has no CRC has Adler-32: both are told by the flag of the header's sum.
    let sum = be32(stream)?;
    if sum != adler32(&header) && sum != crc32fast::hash(&header) {
        return Err(damaged("the header of lzop is damaged: its checksum does not fit"));
    }
    if flags & flag::EXTRA_FIELD != 0 {
        let length = be32(stream)?;
        io::copy(&mut stream.take(u64::from(length) + 4), &mut io::sink())?;
    }
    Ok(flags)
}

/// Reads so many bytes, and keeps them for the header's checksum.
fn take(stream: &mut impl Read, header: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    header.extend_from_slice(&bytes);
    Ok(bytes)
}

fn be16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |n, &b| n << 8 | u16::from(b))
}

fn be32(stream: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// The checksum of zlib (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    /// So many bytes can be added before the sums outgrow 32 bits.
    const MOST_ADDED: usize = 5552;
    let (mut a, mut b) = (1u32, 0u32);
    for chunk in bytes.chunks(MOST_ADDED) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        (a, b) = (a % MODULUS, b % MODULUS);
    }
    b << 16 | a
}
