//! LZO1X, as the kernel's `Documentation/staging/lzo.rst` tells it: a block of instructions that copy what comes with
//! them, and what was copied before.

use thiserror::Error;

/// A block that is no LZO1X, or not of the length that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the LZO block is damaged at its byte {at}")]
pub(super) struct Damaged {
    at: usize,
}

/// What distance the end of a block is told by.
const END: usize = 16384;

/// Decompresses a block that becomes `length` bytes.
pub(super) fn decompress(block: &[u8], length: usize) -> Result<Vec<u8>, Damaged> {
    let mut decoder = Decoder { block, at: 0, out: Vec::with_capacity(length), length };
    match decoder.run() {
        Some(()) if decoder.out.len() == length && decoder.at == block.len() => Ok(decoder.out),
        _ => Err(Damaged { at: decoder.at }),
    }
}

/// What the instruction before has copied of its own bytes: the same code means another thing after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literals {
    None,
    /// One to three.
    Few,
    /// Four or more.
    Many,
}

struct Decoder<'a> {
    block: &'a [u8],
    at: usize,
    out: Vec<u8>,
    length: usize,
}

impl Decoder<'_> {
    /// Carries out all instructions; none: the block makes no sense.
    fn run(&mut self) -> Option<()> {
        let mut before = Literals::None;
        let first = usize::from(*self.block.first()?);
        if first > 17 {
            self.at += 1;
            self.literals(first - 17)?;
            before = if first - 17 < 4 { Literals::Few } else { Literals::Many };
        }
        loop {
            let code = self.byte()?;
            let (length, distance, literals) = match code {
                0..16 if before == Literals::None => {
                    let length = 3 + self.length_of(code, 15)?;
                    self.literals(length)?;
                    before = Literals::Many;
                    continue;
                }
                0..16 => {
                    let near = (self.byte()? << 2) + (code >> 2);
                    match before {
                        Literals::Many => (3, near + 2049, code & 3),
                        _ => (2, near + 1, code & 3),
                    }
                }
                16..32 => {
                    let length = 2 + self.length_of(code & 7, 7)?;
                    let low = self.pair()?;
                    let distance = END + ((code & 8) << 11) + (low >> 2);
                    if distance == END {
                        return (length == 3).then_some(());
                    }
                    (length, distance, low & 3)
                }
                32..64 => {
                    let length = 2 + self.length_of(code & 31, 31)?;
                    let low = self.pair()?;
                    (length, (low >> 2) + 1, low & 3)
                }
                _ => {
                    let distance = (self.byte()? << 3) + (code >> 2 & 7) + 1;
                    ((code >> 5) + 1, distance, code & 3)
                }
            };
            self.copy(length, distance)?;
            self.literals(literals)?;
            before = if literals == 0 { Literals::None } else { Literals::Few };
        }
    }

    fn byte(&mut self) -> Option<usize> {
        let byte = *self.block.get(self.at)?;
        self.at += 1;
        Some(usize::from(byte))
    }

    /// Two bytes, little-endian.
    fn pair(&mut self) -> Option<usize> {
        Some(self.byte()? | self.byte()? << 8)
    }

    /// The length that a code tells; with 0 it goes on behind: `base`, 255 for each zero, and what follows them.
    fn length_of(&mut self, told: usize, base: usize) -> Option<usize> {
        if told > 0 {
            return Some(told);
        }
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length = length.checked_add(255)?,
                last => return length.checked_add(last),
            }
        }
    }

    /// Copies bytes of the block.
    fn literals(&mut self, length: usize) -> Option<()> {
        let bytes = self.block.get(self.at..self.at.checked_add(length)?)?;
        self.room(length)?;
        self.out.extend_from_slice(bytes);
        self.at += length;
        Some(())
    }

    /// Copies what was copied before; the two may overlap, and then it repeats.
    fn copy(&mut self, length: usize, distance: usize) -> Option<()> {
        let from = self.out.len().checked_sub(distance)?;
        self.room(length)?;
        for at in from..from + length {
            self.out.push(self.out[at]);
        }
        Some(())
    }

    fn room(&self, length: usize) -> Option<()> {
        (length <= self.length - self.out.len()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_and_repetitions_are_copied() {
        // Four literals ("abcd"), five bytes from a distance of four, the end.
        let block = [21, b'a', b'b', b'c', b'd', 0x80 | 3 << 2, 0, 17, 0, 0];
        assert_eq!(decompress(&block, 9).unwrap(), b"abcdabcda");
        for wrong in [8, 10] {
            assert!(decompress(&block, wrong).is_err());
        }
        for cut in 0..block.len() {
            assert!(decompress(&block[..cut], 9).is_err());
        }
        assert!(decompress(&[21, 1, 2, 3, 4, 0x80 | 4 << 2, 0, 17, 0, 0], 9).is_err());
    }

    proptest! {
        #[test]
        fn nonsense_is_refused_without_harm(block in prop::collection::vec(any::<u8>(), 0..300), length in 0usize..5000) {
            if let Ok(out) = decompress(&block, length) {
                prop_assert_eq!(out.len(), length);
            }
        }
    }
}
