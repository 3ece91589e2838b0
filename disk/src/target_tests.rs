use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::*;

fn file_target(size: u64) -> (tempfile::TempDir, BlockTarget) {
    let dir = tempfile::tempdir().unwrap();
    let target = BlockTarget::create_file(&dir.path().join("disk.img"), size).unwrap();
    (dir, target)
}

#[test]
fn a_file_stands_for_a_disk() {
    let (dir, target) = file_target(1 << 20);
    assert_eq!((target.size(), target.sector_size(), target.is_device()), (1 << 20, 512, false));
    target.write_all_at(4096, b"hello").unwrap();
    target.write_zeros_at(4097, 3).unwrap();
    target.sync().unwrap();
    target.drop_cache().unwrap();
    target.reread_partitions(&[PartitionSpan { number: 1, start: 4096, length: 4096 }]).unwrap();
    let mut back = [1; 6];
    target.read_exact_at(4095, &mut back).unwrap();
    assert_eq!(&back, b"\0h\0\0\0o");
    let again = BlockTarget::create_file(&dir.path().join("disk.img"), 1 << 10).unwrap();
    assert_eq!(again.size(), 1 << 20, "an existing file is never cut");
    let mut back = [0; 5];
    again.read_exact_at(4096, &mut back).unwrap();
    assert_eq!(&back, b"h\0\0\0o");
}

#[test]
fn reading_behind_the_end_is_an_error() {
    let (_dir, target) = file_target(100);
    let error = target.read_exact_at(90, &mut [0; 20]).unwrap_err();
    assert_eq!((error.done, error.offset, error.length), (10, 90, 20));
}

#[test]
fn only_devices_and_files_are_targets() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path(), Path::new("/dev/null"), Path::new("/dev/full")] {
        let error = BlockTarget::open_exclusive(path).unwrap_err();
        assert!(matches!(error, TargetError::WrongKind(_)), "{error}");
    }
    let error = BlockTarget::open_exclusive(&dir.path().join("missing")).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open {}", dir.path().join("missing").display()));
}

#[test]
fn a_full_device_is_an_error_with_advice() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = write_all(&full, Path::new("/dev/full"), 0, &[1; 4096]).unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(Errno::ENOSPC as i32));
    assert!(error.to_string().ends_with("the target is full or ends here: use a larger one"), "{error}");
}

/// Name of the variable by which this test runs itself in a process of its own.
const LIMITED: &str = "EZIO_DISK_TEST_LIMITED";

#[test]
fn a_write_that_the_system_cuts_short_is_an_error() {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::signal::{SigSet, Signal};
    if std::env::var_os(LIMITED).is_none() {
        // A limit on file sizes holds for the whole process: run this test alone in another one.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "target::tests::a_write_that_the_system_cuts_short_is_an_error"])
            .env(LIMITED, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&status.stdout);
        assert!(status.status.success() && text.contains("1 passed"), "{:?}\n{text}", status.status.signal());
        return;
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    signals.thread_block().unwrap();
    let (_dir, target) = file_target(0);
    setrlimit(Resource::RLIMIT_FSIZE, 6000, 6000).unwrap();
    let error = target.write_all_at(0, &[7; 8192]).unwrap_err();
    assert_eq!((error.done, error.length), (6000, 8192));
    assert_eq!(error.source.raw_os_error(), Some(Errno::EFBIG as i32));
}
