//! Linux block devices for ezio: discovery, checked access, partition table re-read.
//!
//! ```text
//! discover  -> every disk, from sysfs          Disk
//! choose    -> the disks that the rules allow  or which were seen, and why each does not fit
//! locate    -> the one partition that is meant
//! BlockTarget -> exclusive, checked access to a disk, a partition or a file
//! ```

mod checked;
mod choose;
mod discover;
mod ioctl;
mod locate;
mod reread;
mod target;
mod usage;

pub use checked::{IoError, Operation};
pub use choose::{ChooseError, Rejected, choose};
pub use discover::{DiscoverError, Disk, PartitionNode, discover};
pub use locate::{LocateError, PartitionTarget, locate};
pub use reread::PartitionSpan;
pub use target::{BlockTarget, TargetError};
pub use usage::Usage;
