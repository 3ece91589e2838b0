//! Model, serial number and bus of the disk that is captured, in the words of a machine that will look for its like.

use std::path::Path;

use anyhow::Result;
use ezio_disk::{Usage, discover};
use ezio_image::conf::Bus;

use super::source::{Kind, Source};

/// What is known of the disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) model: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) bus: Option<Bus>,
}

/// Asks the kernel; a file has no identity.
pub(crate) fn of(source: &Source) -> Result<Identity> {
    if source.kind == Kind::File {
        return Ok(Identity::default());
    }
    let disks = discover(Path::new("/sys"), Path::new("/dev"), &Usage::default())?;
    // A partition has the identity of its disk.
    let found = disks.into_iter().find(|disk| {
        disk.path == source.path || disk.partitions.iter().any(|partition| partition.path == source.path)
    });
    Ok(found
        .map(|disk| Identity { model: disk.model, serial: disk.serial, bus: disk.bus })
        .unwrap_or_default())
}
