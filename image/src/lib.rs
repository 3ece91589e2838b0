//! Pure data of ezio: what an image is, what a machine is told, and what it reports. No I/O.

pub mod checksums;
pub mod conf;
pub mod extents;
pub mod layout;
pub mod manifest;
pub mod metainfo;
pub mod modules;
pub mod names;
pub mod plan;
pub mod report;
pub mod swap;
