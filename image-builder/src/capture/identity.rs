//! Model, serial number and bus of the disk that is captured: in the words of a machine that will look for its like, and where
//! the kernel has none (behind many a USB bridge), as udev got them from the disk.

use std::ffi::OsStr;
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

/// Asks the kernel, and then udev; a file has no identity.
pub(crate) fn of(source: &Source) -> Result<Identity> {
    if source.kind == Kind::File {
        return Ok(Identity::default());
    }
    let disks = discover(Path::new("/sys"), Path::new("/dev"), &Usage::default())?;
    // A partition has the identity of its disk.
    let found = disks.into_iter().find(|disk| {
        disk.path == source.path || disk.partitions.iter().any(|partition| partition.path == source.path)
    });
    let known = found
        .map(|disk| Identity { model: disk.model, serial: disk.serial, bus: disk.bus })
        .unwrap_or_default();
    Ok(Identity {
        model: known.model.or_else(|| of_udev(source, "ID_MODEL").map(|model| model.replace('_', " "))),
        serial: known.serial.or_else(|| of_udev(source, "ID_SERIAL_SHORT")),
        bus: known.bus,
    })
}

/// A property that udev keeps of the disk.
fn of_udev(source: &Source, name: &str) -> Option<String> {
    let device = udev::Device::from_devnum(udev::DeviceType::Block, source.device_number).ok()?;
    let disk = match source.kind {
        Kind::PartitionDevice => device.parent()?,
        Kind::Device | Kind::File => device,
    };
    let text = disk.property_value(name).map(OsStr::to_string_lossy)?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
