//! Making the kernel know the partitions of a table that was just written.

use std::fs::File;
use std::thread::sleep;
use std::time::Duration;

use ezio_image::layout::Layout;
use nix::errno::Errno;

use crate::ioctl;

/// A partition that the kernel should know afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSpan {
    /// Number in the table.
    pub number: u32,
    /// Offset on the disk in bytes.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
}

impl PartitionSpan {
    /// Those of a layout. The kernel keeps of an extended partition its first kilobyte, so that the
    /// logical ones do not overlap it.
    #[must_use]
    pub fn of(layout: &Layout) -> Vec<Self> {
        let span = |p: &ezio_image::layout::Partition| {
            let range = layout.byte_range(p);
            let length = range.end - range.start;
            let length =
                if p.is_extended() { length.min(u64::from(layout.sector_size()).max(1024)) } else { length };
            Self { number: p.number, start: range.start, length }
        };
        layout.partitions().iter().map(span).collect()
    }
}

/// Udev and the like may have the device open for a moment after it was written.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// Highest partition number that we make the kernel forget.
const HIGHEST: u32 = 256;

/// The kernel reads the table itself, where it can; what it does not know afterwards is told to it.
pub(crate) fn reread(device: &File, wanted: &[PartitionSpan]) -> Result<(), Errno> {
    match retry_while_busy(TRIES, || ioctl::reread(device), || sleep(PAUSE)) {
        Ok(()) => {}
        // The kernel scans no partitions on this device, or cannot: forget the old ones one by one.
        Err(Errno::EINVAL | Errno::ENOTTY | Errno::ENOSYS) => forget_all(device)?,
        Err(error) => return Err(error),
    }
    for span in wanted {
        match ioctl::add_partition(device, span.number, span.start, span.length) {
            // It is there already.
            Ok(()) | Err(Errno::EBUSY | Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the kernel know a partition at another place, until it reads the table again. Nobody may have it open.
pub(crate) fn replace(device: &File, span: &PartitionSpan) -> Result<(), Errno> {
    match retry_while_busy(TRIES, || ioctl::delete_partition(device, span.number), || sleep(PAUSE)) {
        Ok(()) | Err(Errno::ENXIO) => ioctl::add_partition(device, span.number, span.start, span.length),
        Err(error) => Err(error),
    }
}

fn forget_all(device: &File) -> Result<(), Errno> {
    for number in 1..=HIGHEST {
        match ioctl::delete_partition(device, number) {
            Ok(()) | Err(Errno::ENXIO) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn retry_while_busy(
    tries: u32,
    mut step: impl FnMut() -> Result<(), Errno>,
    mut pause: impl FnMut(),
) -> Result<(), Errno> {
    for _ in 1..tries {
        match step() {
            Err(Errno::EBUSY | Errno::EINTR) => pause(),
            other => return other,
        }
    }
    step()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_device_is_tried_again_but_not_for_ever() {
        let mut left = 3;
        let soon = retry_while_busy(
            5,
            || {
                left -= 1;
                if left == 0 { Ok(()) } else { Err(Errno::EBUSY) }
            },
            || {},
        );
        assert_eq!(soon, Ok(()));
        let (mut tries, mut pauses) = (0, 0);
        let never = retry_while_busy(
            5,
            || {
                tries += 1;
                Err(Errno::EBUSY)
            },
            || pauses += 1,
        );
        assert_eq!((never, tries, pauses), (Err(Errno::EBUSY), 5, 4));
    }

    #[test]
    fn other_errors_are_final() {
        let mut tries = 0;
        let result = retry_while_busy(
            5,
            || {
                tries += 1;
                Err(Errno::EIO)
            },
            || {},
        );
        assert_eq!((result, tries), (Err(Errno::EIO), 1));
    }
}
