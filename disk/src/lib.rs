//! Linux block devices for ezio: discovery, checked access, partition table re-read.
//!
//! ```text
//! discover  -> every disk, from sysfs          Disk
//! coming    -> whether there may be more           Coming
//! choose    -> the disks that the rules allow  or which were seen, and why each does not fit
//! share_out -> a disk for each of several images, or why that would be a guess
//! locate    -> the one partition that is meant
//! holds     -> what is on a disk or a partition
//! health    -> what a disk says of its own health
//! BlockTarget -> exclusive, checked access to a disk, a partition or a file
//! grow_mounted -> a file system that the kernel makes longer
//! renew_mounted_id -> one that it gives another id
//! ```

mod boot_medium;
mod checked;
mod choose;
mod coming;
mod discover;
mod grow;
mod health;
mod inventory;
mod ioctl;
mod locate;
mod reread;
mod share_out;
mod target;
mod usage;
mod volume_id;

pub use boot_medium::mark_boot_medium;
pub use checked::{IoError, Operation};
pub use choose::{ChooseError, Rejected, allows_usb, choose};
pub use coming::{Coming, coming};
pub use discover::{DiscoverError, Disk, PartitionNode, discover, partitions};
pub use grow::grow_mounted;
pub use health::health;
pub use inventory::holds;
pub use locate::{LocateError, PartitionTarget, locate, start_of};
pub use reread::PartitionSpan;
pub use share_out::{Origin, ShareError, share_out};
pub use target::{BlockTarget, TargetError};
pub use usage::Usage;
pub use volume_id::renew_mounted_id;
