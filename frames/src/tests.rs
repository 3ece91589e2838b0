use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use zstd_safe::seekable::Seekable;

use super::*;

const PIECE: u32 = 16 << 10;

/// A file of frames in a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    raw: Vec<u8>,
}

impl Bench {
    fn new(raw: Vec<u8>, frame_size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut packer = Packer::new(1).unwrap();
        let mut writer = FrameWriter::new(Vec::new());
        for (index, frame) in raw.chunks(frame_size as usize).enumerate() {
            packer.set_level(1 + index as i32 % MAX_LEVEL).unwrap();
            writer.write(&packer.pack(frame).unwrap(), frame.len() as u32).unwrap();
        }
        fs::write(folder.path().join("sda1.zst"), writer.finish().unwrap()).unwrap();
        Self { folder, raw }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("sda1.zst")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    fn open(&self) -> Result<FrameReader, FrameError> {
        FrameFile::open(&self.path(), self.raw.len() as u64, PIECE).map(FrameReader::new)
    }

    /// Reads all of it, as whole frames and in small steps; gives what is wrong.
    fn read_all(&self) -> Result<Vec<u8>, FrameError> {
        let reader = self.open()?;
        let mut whole = vec![0; self.raw.len()];
        reader.read_at(0, &mut whole)?;
        let mut steps = vec![0; self.raw.len()];
        for (number, step) in steps.chunks_mut(1000).enumerate() {
            reader.read_at(number as u64 * 1000, step)?;
        }
        assert!(whole == steps);
        Ok(whole)
    }
}

/// Bytes that nothing can make shorter.
fn noise(mut state: u64) -> impl Iterator<Item = u8> {
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
}

/// Zeros, text and noise, one behind the other, of about so many bytes.
fn mixed(length: usize) -> Vec<u8> {
    let mut raw = vec![0; length / 3];
    raw.extend(b"a line like all the others\n".iter().cycle().take(length / 3));
    raw.extend(noise(1).take(length / 3));
    raw
}

#[test]
fn the_programs_of_zstd_read_it() {
    let bench = Bench::new(mixed(200_000), 4 << 10);
    let out = Command::new("zstd").arg("-dc").arg(bench.path()).output();
    let out = out.expect("zstd is missing: apt-get install zstd");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stdout == bench.raw);
}

#[test]
fn the_reference_of_the_seekable_format_reads_it() {
    let bench = Bench::new(mixed(200_000), 4 << 10);
    let (bytes, file) = (bench.bytes(), bench.open().unwrap());
    let mut theirs = Seekable::create();
    theirs.init_buff(&bytes).unwrap();
    let file = file.file();
    assert_eq!(u64::from(theirs.num_frames()), file.frame_count());
    for index in 0..theirs.num_frames() {
        let ours = file.frame(u64::from(index)).unwrap();
        assert_eq!(theirs.frame_compressed_offset(index).ok(), Some(ours.offset));
        assert_eq!(theirs.frame_compressed_size(index), Ok(ours.length as usize));
        assert_eq!(theirs.frame_decompressed_size(index), Ok(ours.raw_length as usize));
    }
    let mut some = vec![0; 50_000];
    theirs.decompress(&mut some[..], 100_001).unwrap();
    assert!(some == bench.raw[100_001..150_001]);
}

#[test]
fn zeros_cost_next_to_nothing_and_noise_costs_little_more_than_itself() {
    let mut packer = Packer::new(1).unwrap();
    let size = frame_size_for(1 << 20) as usize;
    for (raw, most) in [(vec![0; size], 40), (noise(1).take(size).collect(), size + 24)] {
        let length = packer.pack(&raw).unwrap().len();
        assert!(length < most, "{length}");
    }
}

#[test]
fn frames_fit_pieces() {
    for (piece, frame) in [(16 << 10, 16 << 10), (256 << 10, 256 << 10), (64 << 20, 256 << 10)] {
        assert_eq!(frame_size_for(piece), frame);
    }
    // A frame across the border of two pieces, and one longer than a piece.
    for frame in [3 << 10, 32 << 10] {
        let error = Bench::new(mixed(100_000), frame).open().err().unwrap();
        assert!(error.to_string().contains("pieces of 16384"), "{error}");
    }
}

/// What opening and reading the file says once `change` was done to it.
fn refusal(change: impl FnOnce(&Path, Vec<u8>)) -> String {
    let bench = Bench::new(mixed(100_000), 4 << 10);
    change(&bench.path(), bench.bytes());
    bench.read_all().unwrap_err().to_string()
}

fn put(at: usize, new: &[u8], path: &Path, mut bytes: Vec<u8>) {
    bytes[at..at + new.len()].copy_from_slice(new);
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_told_by_file_frame_and_byte() {
    let bench = Bench::new(mixed(100_000), 4 << 10);
    let frame = bench.open().unwrap().file().frame(20).unwrap();
    let (place, end) = (frame.offset as usize, bench.bytes().len());
    let said = refusal(|path, bytes| put(place + 100, &[bytes[place + 100] ^ 1], path, bytes.clone()));
    assert!(said.contains(&format!("sda1.zst: frame 20 at byte {place}: zstd: ")), "{said}");
    // A frame that says to hold more: 4096 bytes are told in two bytes, less 256, behind magic number and descriptor.
    let said = refusal(|path, bytes| put(place + 5, &[0xff, 0xff], path, bytes));
    assert!(said.contains("says to hold 65791 bytes instead of 4096"), "{said}");
    // Entry 20 of the table, and its foot: the number of frames.
    let entry = end - 9 - 25 * 8 + 20 * 8;
    let said = refusal(|path, bytes| put(entry + 4, &[0, 0x20], path, bytes));
    assert!(said.ends_with("its table makes no sense at frame 20"), "{said}");
    let said = refusal(|path, bytes| put(entry, &[1, 0, 0, 0], path, bytes));
    assert!(said.contains("its table says that the frames end at byte"), "{said}");
    let said = refusal(|path, bytes| put(end - 9, &[0xff; 4], path, bytes));
    assert!(said.contains("it is cut short, or no file of frames"), "{said}");
    let said = refusal(|path, _| fs::remove_file(path).unwrap());
    assert!(said.contains("sda1.zst: No such file"), "{said}");
}

#[test]
fn several_frames_where_one_should_be_are_none() {
    let mut packer = Packer::new(1).unwrap();
    let two = [packer.pack(&[1; 10]).unwrap(), packer.pack(&[2; 10]).unwrap()].concat();
    let error = Unpacker::new().unwrap().unpack(&two, &mut [0; 20]).unwrap_err();
    assert!(error.to_string().contains("the frame ends after"), "{error}");
}

#[test]
fn a_frame_is_unpacked_once_however_many_read_it() {
    let bench = Bench::new(mixed(300_000), 4 << 10);
    let reader = bench.open().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (number, bytes) in bench.raw.chunks(777).enumerate() {
                    let mut got = vec![0; bytes.len()];
                    reader.read_at(number as u64 * 777, &mut got).unwrap();
                    assert!(got == bytes);
                }
            });
        }
    });
    let mut beyond = [0; 2];
    let error = reader.read_at(bench.raw.len() as u64 - 1, &mut beyond).unwrap_err();
    assert!(error.to_string().contains("beyond the end"), "{error}");
}

proptest! {
    #[test]
    fn any_part_reads_as_it_was(
        seed in any::<u64>(), length in 1usize..20_000,
        frame in prop::sample::select(vec![512u32, 4 << 10, 16 << 10]),
        parts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..9000), 1..20),
    ) {
        let raw = noise(seed).zip(noise(!seed)).map(|(byte, half)| byte * (half & 1)).take(length);
        let bench = Bench::new(raw.collect(), frame);
        let reader = bench.open().unwrap();
        for (from, length) in parts {
            let from = from.index(bench.raw.len());
            let length = length.min(bench.raw.len() - from);
            let mut got = vec![0; length];
            reader.read_at(from as u64, &mut got).unwrap();
            prop_assert!(got == bench.raw[from..from + length]);
        }
    }

    /// Every frame has a checksum of its own: what was changed is found, and never read as something else.
    #[test]
    fn whatever_is_cut_or_changed_is_an_error(
        at in any::<prop::sample::Index>(), change in 1u8..=255, cut in any::<bool>(),
    ) {
        let bench = Bench::new(mixed(30_000), 4 << 10);
        let mut bytes = bench.bytes();
        let at = at.index(bytes.len());
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] ^= change,
        }
        fs::write(bench.path(), bytes).unwrap();
        if let Ok(read) = bench.read_all() {
            prop_assert!(!cut && read == bench.raw, "byte {}", at);
        }
    }
}

proptest! {
    /// A file of frames is any number of them, with one of another kind behind.
    #[test]
    fn all_frames_are_unpacked_up_to_a_limit(raw in prop::collection::vec(0..4u8, 1..300_000), cut in 1..200usize) {
        let bench = Bench::new(raw, PIECE);
        let (bytes, length) = (bench.bytes(), bench.raw.len() as u64);
        prop_assert!(unpack_all(&bytes, length).unwrap().as_ref() == Some(&bench.raw));
        prop_assert!(unpack_all(&bytes, length - 1).unwrap().is_none());
        let frame = Packer::new(1).unwrap().pack(&bench.raw).unwrap();
        prop_assert!(unpack_all(&frame[..frame.len().saturating_sub(cut)], length).is_err());
    }
}

#[test]
fn a_window_longer_than_http_allows_is_refused() {
    // Long enough a content that the window is not made shorter.
    let pack = |window: &str| {
        let path = tempfile::NamedTempFile::new().unwrap();
        fs::write(&path, noise(1).take(17 << 20).collect::<Vec<u8>>()).unwrap();
        let zstd = Command::new("zstd").args(["-1", "-c", window]).arg(path.path()).output().unwrap();
        assert!(zstd.status.success(), "{}", String::from_utf8_lossy(&zstd.stderr));
        zstd.stdout
    };
    assert_eq!(unpack_all(&pack("--zstd=wlog=23"), u64::MAX).unwrap().unwrap().len(), 17 << 20);
    assert!(unpack_all(&pack("--zstd=wlog=24"), u64::MAX).is_err());
}
