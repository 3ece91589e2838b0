//! Model and serial number of the disk that is captured, as udev knows them.

use super::source::{Kind, Source};

/// What udev knows about the disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) model: Option<String>,
    pub(crate) serial: Option<String>,
}

/// Asks udev; a file has no identity, and where udev does not run the kernel's own words are taken.
pub(crate) fn of(source: &Source) -> Identity {
    if source.kind == Kind::File {
        return Identity::default();
    }
    let Ok(device) = udev::Device::from_devnum(udev::DeviceType::Block, source.device_number) else {
        return Identity::default();
    };
    // A partition has the identity of its disk.
    let disk = match source.kind {
        Kind::PartitionDevice => device.parent().unwrap_or(device),
        Kind::Device | Kind::File => device,
    };
    let property = |name: &str| clean(disk.property_value(name));
    let attribute = |name: &str| clean(disk.attribute_value(name));
    Identity {
        model: property("ID_MODEL").map(|m| m.replace('_', " ")).or_else(|| attribute("device/model")),
        serial: property("ID_SERIAL_SHORT").or_else(|| attribute("device/serial")),
    }
}

fn clean(value: Option<&std::ffi::OsStr>) -> Option<String> {
    let text = value?.to_string_lossy().trim().to_owned();
    (!text.is_empty()).then_some(text)
}
