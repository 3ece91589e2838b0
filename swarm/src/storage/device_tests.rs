use super::*;
use ezio_image::extents::{Extent, Part};
use proptest::prelude::*;
use std::sync::Mutex;

fn map(runs: &[(u64, u64)]) -> ExtentMap {
    ExtentMap::new(runs.iter().map(|&(offset, length)| Extent { offset, length }).collect()).unwrap()
}

/// A device of bytes in memory that moves at most `step` bytes a call, and fails from `bad` on.
struct Faulty {
    bytes: Mutex<Vec<u8>>,
    step: usize,
    bad: Option<(u64, i32)>,
    sync_error: Option<i32>,
}

impl Faulty {
    fn new(length: usize, step: usize) -> Self {
        Self { bytes: Mutex::new(vec![0; length]), step, bad: None, sync_error: None }
    }

    fn room(&self, offset: u64) -> io::Result<usize> {
        match self.bad {
            Some((at, errno)) if offset >= at => Err(io::Error::from_raw_os_error(errno)),
            Some((at, _)) => Ok(self.step.min((at - offset) as usize)),
            None => Ok(self.step),
        }
    }
}

impl Medium for Faulty {
    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let room = self.room(offset)?;
        let bytes = self.bytes.lock().unwrap();
        let mut source = &bytes[(offset as usize).min(bytes.len())..];
        source = &source[..source.len().min(room)];
        io::Read::read_vectored(&mut source, bufs)
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let room = self.room(offset)?;
        let mut bytes = self.bytes.lock().unwrap();
        let start = (offset as usize).min(bytes.len());
        let end = (start + room).min(bytes.len());
        io::Write::write_vectored(&mut &mut bytes[start..end], bufs)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_error.map_or(Ok(()), |e| Err(io::Error::from_raw_os_error(e)))
    }
}

#[test]
fn padding_is_written_nowhere_and_reads_as_zeros() {
    let medium = Arc::new(Faulty::new(64, 5));
    let run = |offset, length| Part::Used(Extent { offset, length });
    let parts = ExtentMap::of_parts([run(10, 6), Part::Padding(8), run(30, 6)]).unwrap();
    let storage = DeviceStorage::new(Arc::clone(&medium), "/dev/test", 4, parts);
    storage.write_at(0, b"abcdef--------ghijkl").unwrap();
    let mut device = [0; 64];
    device[14..20].copy_from_slice(b"abcdef");
    device[34..40].copy_from_slice(b"ghijkl");
    assert_eq!(*medium.bytes.lock().unwrap(), device);
    let mut content = [1; 20];
    storage.read_at(0, &mut content).unwrap();
    assert_eq!(&content, b"abcdef\0\0\0\0\0\0\0\0ghijkl");
}

#[test]
fn zeros_lie_where_they_should_and_nowhere_else() {
    // One run that the system makes zeros by itself, one that is too short for that, and one behind the file's end.
    let map = map(&[(4096, 200 << 10), (300 << 10, 1000), (400 << 10, 128 << 10)]);
    let file = Arc::new(tempfile::tempfile().unwrap());
    file.write_all_at(&vec![0xee; 450 << 10], 0).unwrap();
    let total = map.total_length();
    let storage = DeviceStorage::new(Arc::clone(&file), "disk", 512, map.clone());
    storage.write_zeros_at(100, total - 100).unwrap();
    let mut disk = vec![1; (512 + (528 << 10)) as usize];
    file.read_exact_at(&mut disk, 0).unwrap();
    let mut expected = vec![0xee; 450 << 10];
    expected.resize(disk.len(), 0);
    for Slice { offset, length } in map.slices(100, total - 100) {
        let from = 512 + offset.unwrap() as usize;
        expected[from..from + length as usize].fill(0);
    }
    assert!(disk == expected);
    assert_eq!(storage.write_stats().bytes, total - 100);
    assert!(storage.write_zeros_at(total, 1).is_err());
}

#[test]
fn a_read_error_names_device_offset_and_piece() {
    let mut medium = Faulty::new(4096, 100);
    medium.bad = Some((1500, 5)); // EIO
    let storage = DeviceStorage::new(Arc::new(medium), "/dev/test", 1000, map(&[(0, 1024), (2048, 1000)]));
    let error = storage.read_at(0, &mut [0; 1024]).unwrap_err().in_torrent("sda1", 256);
    assert_eq!(error.to_string(), "cannot read /dev/test at byte 1500 (piece 1 of sda1)");
    assert_eq!(error.source.raw_os_error(), Some(5));
}

#[test]
fn a_full_device_names_where_the_bytes_ended() {
    let mut medium = Faulty::new(4096, usize::MAX);
    medium.bad = Some((2100, 28)); // ENOSPC after a short write
    let storage = DeviceStorage::new(Arc::new(medium), "/dev/test", 0, map(&[(0, 1024), (2048, 1000)]));
    let error = storage.write_at(0, &[7; 2024]).unwrap_err().in_torrent("sda1", 1024);
    assert_eq!(error.to_string(), "cannot write /dev/test at byte 2100 (piece 1 of sda1)");
    assert_eq!(error.source.raw_os_error(), Some(28));
    assert_eq!(error.content_offset, Some(1024 + 52));
}

#[test]
fn a_write_of_nothing_is_an_error() {
    let storage = DeviceStorage::new(Arc::new(Faulty::new(100, 64)), "small", 0, map(&[(0, 200)]));
    let error = storage.write_at(0, &[1; 200]).unwrap_err();
    assert_eq!((error.device_offset, error.source.kind()), (Some(100), io::ErrorKind::WriteZero));
    let error = storage.read_at(0, &mut [0; 200]).unwrap_err();
    assert_eq!((error.device_offset, error.source.kind()), (Some(100), io::ErrorKind::UnexpectedEof));
}

#[test]
fn a_failed_sync_is_an_error() {
    let mut medium = Faulty::new(10, 10);
    medium.sync_error = Some(5);
    let storage = DeviceStorage::new(Arc::new(medium), "/dev/test", 0, map(&[(0, 10)]));
    assert_eq!(storage.sync().unwrap_err().to_string(), "cannot sync /dev/test");
}

#[test]
fn the_kernels_full_device_is_reported() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let storage = DeviceStorage::new(Arc::new(full), "/dev/full", 512, map(&[(0, 4096)]));
    let error = storage.write_at(0, &[1; 4096]).unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(28));
    assert_eq!(error.to_string(), "cannot write /dev/full at byte 512");
}

#[test]
fn bytes_beyond_the_content_are_refused() {
    let storage = DeviceStorage::new(Arc::new(Faulty::new(100, 64)), "small", 0, map(&[(0, 50)]));
    assert!(storage.write_at(40, &[1; 11]).is_err());
    assert!(storage.read_at(50, &mut [0; 1]).is_err());
}

proptest! {
    #[test]
    fn what_is_written_in_parts_reads_back_and_lies_where_it_should(
        runs in prop::collection::vec((1u64..3000, 0u64..50), 1..12),
        base in 0u64..1000, step in 1usize..700,
        cuts in prop::collection::vec(1usize..2000, 1..20),
    ) {
        let mut offset = 0;
        let extents: Vec<_> = runs.iter().map(|&(length, gap)| {
            let e = (offset + gap, length);
            offset = e.0 + length;
            e
        }).collect();
        let map = map(&extents);
        let total = map.total_length() as usize;
        let content: Vec<u8> = (0..total).map(|i| (i * 31 + i / 251) as u8).collect();
        let medium = Arc::new(Faulty::new((base + map.target_end()) as usize, step));
        let storage = DeviceStorage::new(medium.clone(), "mem", base, map);
        let mut at = 0;
        let mut parts: Vec<&[u8]> = Vec::new();
        for cut in cuts.iter().cycle() {
            let end = (at + cut).min(total);
            parts.push(&content[at..end]);
            at = end;
            if at == total { break }
        }
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        storage.write_vectored_at(0, &slices).unwrap();
        let mut back = vec![0; total];
        storage.read_at(0, &mut back).unwrap();
        prop_assert_eq!(&back, &content);
        let bytes = medium.bytes.lock().unwrap();
        let mut seen = Vec::new();
        for (offset, length) in extents {
            let from = (base + offset) as usize;
            seen.extend_from_slice(&bytes[from..from + length as usize]);
        }
        prop_assert_eq!(&seen, &content);
        prop_assert_eq!(storage.write_stats().bytes, total as u64);
    }
}
