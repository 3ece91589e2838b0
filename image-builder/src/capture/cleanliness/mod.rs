//! Was a file system unmounted properly? What neither its superblock tells ([`ezio_image::filesystem`]) nor partclone
//! looks at; programs of the system look for it on a device (or file) of its own.

use std::path::Path;

use anyhow::Result;

use crate::stop::Stop;

mod ntfs;
mod xfs;

/// Why a file system should not be captured as it is, and what to do; none where it is clean, or not known here.
pub(crate) fn complaint_of_device(filesystem: &str, stop: &Stop, device: &Path) -> Result<Option<String>> {
    match filesystem {
        "ntfs" => ntfs::hibernated(device),
        "xfs" => xfs::dirty_log(stop, device),
        _ => Ok(None),
    }
}

/// What could not be looked for is a complaint too: nobody else would notice.
fn unchecked(what: &str, program: &str, package: &str) -> String {
    format!("cannot be checked for {what} without {program}: apt-get install {package}")
}
