//! Writes patches to a device.

use ezio_disk::{BlockTarget, TargetError};
use ezio_image::filesystem::{Patch, PatchContent};

/// Writes them in their order; when this is well, they are on the medium, and whoever reads the device sees them.
pub(crate) fn write(target: &BlockTarget, patches: &[Patch]) -> Result<(), TargetError> {
    for Patch { offset, content } in patches {
        match content {
            PatchContent::Bytes(bytes) => target.write_all_at(*offset, bytes)?,
            PatchContent::Fill { byte, length } => target.fill_at(*offset, *byte, *length)?,
        }
    }
    target.sync()?;
    target.drop_cache()
}
