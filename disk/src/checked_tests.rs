use std::cell::RefCell;
use std::collections::VecDeque;

use nix::errno::Errno;

use super::*;

/// A device that does what the script says: a count of bytes, or an error. Behind the end of the
/// script everything goes through.
struct Faulty {
    script: RefCell<VecDeque<Result<usize, Errno>>>,
    content: RefCell<Vec<u8>>,
}

impl Faulty {
    fn new(script: &[Result<usize, Errno>]) -> Self {
        Self { script: RefCell::new(script.iter().copied().collect()), content: RefCell::new(vec![0; 64]) }
    }

    fn next(&self, length: usize) -> io::Result<usize> {
        match self.script.borrow_mut().pop_front() {
            Some(Ok(count)) => Ok(count.min(length)),
            Some(Err(errno)) => Err(errno.into()),
            None => Ok(length),
        }
    }
}

impl Positioned for Faulty {
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.next(buffer.len())?;
        buffer[..count].copy_from_slice(&self.content.borrow()[offset as usize..offset as usize + count]);
        Ok(count)
    }

    fn write_some(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.next(bytes.len())?;
        self.content.borrow_mut()[offset as usize..offset as usize + count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }
}

#[test]
fn short_and_interrupted_transfers_go_on() {
    let bytes: Vec<u8> = (1..=20).collect();
    let script = [Ok(3), Err(Errno::EINTR), Ok(1), Err(Errno::EINTR), Err(Errno::EINTR), Ok(7)];
    let device = Faulty::new(&script);
    write_all(&device, Path::new("/dev/sdx"), 5, &bytes).unwrap();
    assert_eq!(device.content.borrow()[5..25], bytes);
    let device = Faulty { script: RefCell::new(script.into()), content: device.content };
    let mut back = vec![0; 20];
    read_exact(&device, Path::new("/dev/sdx"), 5, &mut back).unwrap();
    assert_eq!(back, bytes);
}

#[test]
fn errors_name_device_offset_length_and_what_to_do() {
    for (script, words) in [
        (
            &[Ok(4), Err(Errno::EIO)][..],
            "cannot write 10 bytes at byte 8 of /dev/sdx (4 of 10 bytes went through); \
             the disk or its cable fails: look at the kernel's messages and replace it",
        ),
        (
            &[Err(Errno::ENOSPC)],
            "cannot write 10 bytes at byte 8 of /dev/sdx (0 of 10 bytes went through); \
             the target is full or ends here: use a larger one",
        ),
        (
            &[Err(Errno::ENODEV)],
            "cannot write 10 bytes at byte 8 of /dev/sdx (0 of 10 bytes went through); \
             the device is gone: was it unplugged?",
        ),
        (&[Ok(9), Ok(0)], "cannot write 10 bytes at byte 8 of /dev/sdx (9 of 10 bytes went through)"),
    ] {
        let error = write_all(&Faulty::new(script), Path::new("/dev/sdx"), 8, &[1; 10]).unwrap_err();
        assert_eq!(error.to_string(), words);
        // The source says why; the message does not say it again.
        assert!(!error.to_string().contains(&error.source.to_string()), "{error}");
    }
    let error = read_exact(&Faulty::new(&[Ok(2), Ok(0)]), Path::new("x"), 0, &mut [0; 3]).unwrap_err();
    assert_eq!((error.done, error.source.kind()), (2, ErrorKind::UnexpectedEof));
}

#[test]
fn offsets_that_the_kernel_cannot_take_are_refused() {
    let device = Faulty::new(&[]);
    for offset in [u64::MAX, i64::MAX as u64] {
        let error = write_all(&device, Path::new("x"), offset, &[0; 2]).unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::InvalidInput);
    }
}
