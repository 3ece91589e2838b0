//! The compressions that Clonezilla knows, by the ends of its file names.

use std::io::{self, BufRead, Read};

use super::lzop::LzopDecoder;

/// Most memory for a decoder of the LZMA family, in bytes: `xz -9` needs 65 MiB, and nobody saves disks with more.
const MOST_MEMORY: u64 = 256 << 20;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// gzip, pigz.
    Gzip,
    /// bzip2, pbzip2.
    Bzip2,
    /// lzop.
    Lzop,
    /// The old format of LZMA.
    Lzma,
    /// xz, pixz.
    Xz,
    /// lzip, plzip.
    Lzip,
    /// lrzip, which cannot be read as a stream.
    Lrzip,
    /// lz4, lz4mt.
    Lz4,
    /// zstd.
    Zstd,
    /// Not compressed.
    None,
}

impl Compression {
    /// By the end of a file name.
    pub(crate) fn of_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "gz" => Self::Gzip,
            "bz2" => Self::Bzip2,
            "lzo" => Self::Lzop,
            "lzma" => Self::Lzma,
            "xz" => Self::Xz,
            "lzip" | "lz" => Self::Lzip,
            "lrz" => Self::Lrzip,
            "lz4" => Self::Lz4,
            "zst" => Self::Zstd,
            "uncomp" => Self::None,
            _ => return None,
        })
    }

    pub(super) fn decoder(self, stream: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        use liblzma::bufread::XzDecoder;
        use liblzma::stream::Stream;
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(stream)),
            Self::Lzop => Box::new(LzopDecoder::new(stream)?),
            Self::Lzma => Box::new(XzDecoder::new_stream(stream, Stream::new_lzma_decoder(MOST_MEMORY)?)),
            Self::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                Box::new(XzDecoder::new_stream(stream, Stream::new_stream_decoder(MOST_MEMORY, flags)?))
            }
            Self::Lzip => {
                let flags = liblzma::stream::CONCATENATED;
                Box::new(XzDecoder::new_stream(stream, Stream::new_lzip_decoder(MOST_MEMORY, flags)?))
            }
            Self::Lrzip => {
                let what = "lrzip cannot be read as a stream: make it anew with another compression \
                            (lrzip -d, then zstd), or save the disk anew";
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            Self::Lz4 => Box::new(Lz4Frames { frame: Some(lz4_flex::frame::FrameDecoder::new(stream)) }),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
            Self::None => Box::new(stream),
        })
    }
}

/// Frame after frame: `lz4` itself writes one, others write many.
struct Lz4Frames<R: BufRead> {
    frame: Option<lz4_flex::frame::FrameDecoder<R>>,
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(frame) = &mut self.frame {
            let count = frame.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if frame.get_mut().fill_buf()?.is_empty() {
                self.frame = None;
            }
        }
        Ok(0)
    }
}
