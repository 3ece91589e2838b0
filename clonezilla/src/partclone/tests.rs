//! Streams that are whole, cut short, damaged and lying; made here, and by the real partclone.

use std::fs;
use std::process::Command;

use ezio_image::extents::{Extent, ExtentMap};
use proptest::prelude::*;

use super::checksum::{Checksum, Mode, seeded_crc32};
use super::{Reader, StreamError};

const LIMIT: u64 = 1 << 30;

/// A stream to be written.
#[derive(Debug, Clone)]
struct Sample {
    block_size: u32,
    used: Vec<bool>,
    mode: Mode,
    blocks_per_checksum: u32,
    reseed: bool,
    /// Format 0001, and the bytes that old 64-bit versions left behind each checksum.
    first_format: Option<usize>,
}

impl Sample {
    /// What is in use, block by block.
    fn content(&self) -> Vec<Vec<u8>> {
        let used = self.used.iter().enumerate().filter(|(_, used)| **used);
        used.map(|(i, _)| (0..self.block_size).map(|at| (at as usize * 7 + i * 31) as u8).collect()).collect()
    }

    fn write(&self) -> Vec<u8> {
        let mut out = b"partclone-image".to_vec();
        let (blocks, size) = (self.used.len() as u64, self.used.len() as u64 * u64::from(self.block_size));
        if self.first_format.is_some() {
            out.extend(b"EXTFS\0\0\0\0\0\0\0\0\0\x000001\0\0");
            out.extend(self.block_size.to_le_bytes());
            for number in [size, blocks, blocks] {
                out.extend(number.to_le_bytes());
            }
            out.resize(4160, 0);
            out.extend(self.used.iter().map(|used| u8::from(*used)));
            out.extend(b"BiTmAgIc");
        } else {
            out.extend(b"\x000.3.23\0\0\0\0\0\0\0\x000002\xde\xc0EXTFS\0\0\0\0\0\0\0\0\0\0\0");
            for number in [size, blocks, blocks, blocks] {
                out.extend(number.to_le_bytes());
            }
            out.extend(self.block_size.to_le_bytes());
            out.extend([18, 0, 0, 0, 2, 0, 64, 0]);
            let mode: u16 = match self.mode {
                Mode::None => 0,
                Mode::Crc32 | Mode::FirstCrc32 => 0x20,
                Mode::Xxh64 => 0x30,
                Mode::Xxh128 => 0x31,
            };
            out.extend(mode.to_le_bytes());
            out.extend((self.mode.length() as u16).to_le_bytes());
            out.extend(self.blocks_per_checksum.to_le_bytes());
            out.extend([u8::from(self.reseed), 1]);
            out.extend(seeded_crc32(&out).to_le_bytes());
            let bits = |byte: &[bool]| byte.iter().rev().fold(0, |n, used| n << 1 | u8::from(*used));
            let map: Vec<u8> = self.used.chunks(8).map(bits).collect();
            out.extend(&map);
            out.extend(seeded_crc32(&map).to_le_bytes());
        }
        self.write_blocks(&mut out);
        out
    }

    fn write_blocks(&self, out: &mut Vec<u8>) {
        let fresh = || Checksum::new(self.mode, self.block_size);
        let (mut sum, mut since) = (fresh(), 0);
        for block in self.content() {
            out.extend(&block);
            sum.update(&block);
            since += 1;
            if since == self.blocks_per_checksum {
                out.extend(sum.value());
                out.extend(vec![0xee; self.first_format.unwrap_or(0)]);
                since = 0;
                sum = if self.reseed { fresh() } else { sum };
            }
        }
        if since > 0 {
            out.extend(sum.value());
        }
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let modes = prop::sample::select(vec![Mode::None, Mode::Crc32, Mode::Xxh64, Mode::Xxh128]);
    let first = prop::sample::select(vec![None, Some(0), Some(4)]);
    let sizes = prop::sample::select(vec![64u32, 100, 512]);
    (sizes, prop::collection::vec(any::<bool>(), 1..60), modes, 1u32..9, any::<bool>(), first).prop_map(
        |(block_size, mut used, mode, blocks_per_checksum, reseed, first_format)| {
            used[0] = true;
            match first_format {
                None => Sample { block_size, used, mode, blocks_per_checksum, reseed, first_format },
                Some(_) => Sample {
                    block_size,
                    used,
                    mode: Mode::FirstCrc32,
                    blocks_per_checksum: 1,
                    reseed: false,
                    first_format,
                },
            }
        },
    )
}

/// Reads a stream whole, so many bytes at a time: the runs, and what is in use.
fn read(stream: &[u8], at_once: usize) -> Result<(ExtentMap, Vec<u8>), StreamError> {
    let mut reader = Reader::open(stream, LIMIT)?;
    let runs = reader.runs().clone();
    let mut content = vec![0; reader.runs().total_length() as usize];
    content.chunks_mut(at_once).try_for_each(|part| reader.read(part))?;
    reader.finish()?;
    Ok((runs, content))
}

proptest! {
    #[test]
    fn what_was_saved_is_read(sample in sample(), at_once in 1usize..2000) {
        let (runs, content) = read(&sample.write(), at_once).unwrap();
        prop_assert_eq!(content, sample.content().concat());
        let block = u64::from(sample.block_size);
        let blocks: Vec<bool> = (0..sample.used.len() as u64)
            .map(|i| runs.extents().iter().any(|run| (run.offset..run.offset + run.length).contains(&(i * block))))
            .collect();
        prop_assert_eq!(blocks, sample.used);
    }

    #[test]
    fn what_is_cut_short_is_refused(sample in sample(), cut in any::<prop::sample::Index>()) {
        let whole = sample.write();
        let end = cut.index(whole.len());
        let stray = sample.first_format.unwrap_or(0);
        prop_assert!(end + stray >= whole.len() || read(&whole[..end], 700).is_err());
    }

    #[test]
    fn what_is_damaged_is_refused(sample in sample(), at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let mut stream = sample.write();
        let at = at.index(stream.len());
        stream[at] ^= 1 << bit;
        let read = read(&stream, 700);
        // Without checksums, and in format 0001, only the head can tell.
        if sample.first_format.is_none() && (sample.mode != Mode::None || at < 110 + sample.used.len().div_ceil(8)) {
            prop_assert!(read.is_err());
        }
    }

    #[test]
    fn nonsense_is_refused(mut stream in prop::collection::vec(any::<u8>(), 0..6000), version in 1u8..3) {
        if let Some(head) = stream.get_mut(..34) {
            head[..15].copy_from_slice(b"partclone-image");
            head[30..34].copy_from_slice(&[b'0', b'0', b'0', b'0' + version]);
        }
        prop_assert!(read(&stream, 700).is_err());
    }
}

#[test]
fn what_lies_or_goes_on_is_refused() {
    let sample = Sample {
        block_size: 512,
        used: vec![true; 20],
        mode: Mode::Crc32,
        blocks_per_checksum: 8,
        reseed: true,
        first_format: None,
    };
    let mut stream = sample.write();
    assert!(Reader::open(stream.as_slice(), 20 * 512).is_ok());
    let larger = Reader::open(stream.as_slice(), 20 * 512 - 1).err().unwrap().to_string();
    assert!(larger.contains("a file system of 10240 bytes, and the partition has 10239"), "{larger}");
    stream.push(0);
    assert!(matches!(read(&stream, 700), Err(StreamError::Surplus)));
    // So many blocks that their map alone would fill all memory.
    stream[60..68].copy_from_slice(&(u64::MAX / 512).to_le_bytes());
    let sum = seeded_crc32(&stream[..106]);
    stream[106..110].copy_from_slice(&sum.to_le_bytes());
    assert!(matches!(Reader::open(stream.as_slice(), 1 << 40).err(), Some(StreamError::Header(_))));
    assert!(matches!(Reader::open(&b"partimage"[..], LIMIT).err(), Some(StreamError::NotPartclone)));
}

#[test]
fn a_map_of_nothing_is_refused() {
    let sample = Sample {
        block_size: 512,
        used: vec![false; 20],
        mode: Mode::None,
        blocks_per_checksum: 0,
        reseed: true,
        first_format: None,
    };
    assert!(matches!(read(&sample.write(), 700), Err(StreamError::Bitmap(_))));
}

#[test]
fn what_partclone_saves_and_restores_is_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["disk", "restored"] {
        fs::File::create(at(name)).unwrap().set_len(8 << 20).unwrap();
    }
    run("mkfs.ext4", &["-q", "-b", "1024", &at("disk")]);
    // partclone takes two seconds, whatever it does.
    let ways = [&[][..], &["-a0"], &["-k", "3"], &["-k", "5", "-K"]];
    let stream = |way: &[&str]| at(&format!("stream{}", way.concat()));
    std::thread::scope(|scope| {
        for way in ways {
            let (disk, stream) = (at("disk"), stream(way));
            let fixed = ["-c", "-L", "/dev/null", "-q", "-s", &disk, "-O", &stream].map(str::to_owned);
            scope.spawn(move || {
                let fixed = fixed.each_ref().map(String::as_str);
                run("partclone.ext4", &[&fixed, way].concat());
            });
        }
    });
    let saved = stream(ways[0]);
    run("partclone.restore", &["-C", "-L", "/dev/null", "-q", "-s", &saved, "-O", &at("restored")]);
    let restored = fs::read(at("restored")).unwrap();
    for way in ways {
        let (runs, content) = read(&fs::read(stream(way)).unwrap(), 4000).unwrap();
        let mut ours = vec![0; 8 << 20];
        let mut rest = content.as_slice();
        for run in runs.extents() {
            let (bytes, behind) = rest.split_at(run.length as usize);
            ours[run.offset as usize..][..bytes.len()].copy_from_slice(bytes);
            rest = behind;
        }
        assert!(ours == restored, "{way:?}");
    }
}

fn run(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let out = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

proptest! {
    #[test]
    fn what_we_write_we_read(cuts in prop::collection::vec((1u64..40, 1u64..40), 1..20), unit in 0u32..4) {
        let unit = 512u64 << unit;
        let mut end = 0;
        let runs = cuts.iter().map(|(gap, length)| {
            let run = Extent { offset: end + gap * unit, length: length * unit };
            end = run.offset + run.length;
            run
        });
        let map = ExtentMap::new(runs.collect()).unwrap();
        let mut stream = Vec::new();
        super::write(&mut stream, "EXTFS", end + 512, &map, |offset, bytes| {
            bytes.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = (at / 7) as u8);
            Ok(())
        }).unwrap();
        let (runs, content) = read(&stream, 9999).unwrap();
        prop_assert_eq!(&runs, &map);
        let bytes = map.extents().iter().flat_map(|run| run.offset..run.offset + run.length);
        prop_assert!(bytes.zip(content).all(|(at, byte)| byte == (at / 7) as u8));
    }
}
