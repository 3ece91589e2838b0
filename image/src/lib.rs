//! Pure data of ezio: what an image is, and what a machine is told. No I/O.

pub mod checksums;
pub mod conf;
pub mod contents;
pub mod directory;
pub mod extents;
pub mod filesystem;
pub mod identity;
pub mod layout;
pub mod lvm;
pub mod manifest;
pub mod metainfo;
pub mod names;
pub mod plan;
pub mod set;
pub mod swap;
pub mod uefi;
pub mod zeros;
