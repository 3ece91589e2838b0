//! Whether a system of an image could be looked into, by what the manifest says of it.

use ezio_image::manifest::Manifest;

use crate::target::volume::IN_ONE_PIECE;

/// File systems that a system may be on, as blkid names them.
const ROOTS: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "ntfs"];
/// What hides one.
const ENCRYPTED: [&str; 2] = ["crypto_LUKS", "BitLocker"];

/// Why no system can be looked into; none where one can, or where nothing tells of any.
pub(super) fn why_hidden(manifest: &Manifest) -> Option<String> {
    let mut hidden = Vec::new();
    for info in &manifest.partitions {
        let group = info.lvm.as_ref().map(|lvm| lvm.group.as_str()).unwrap_or_default();
        let logical = info.logical_volumes().into_iter().map(|(volume, in_one_piece)| {
            (format!("{group}/{}", volume.name), volume.filesystem.as_deref(), in_one_piece)
        });
        let own = (info.name.clone(), info.filesystem.as_deref(), true);
        for (name, filesystem, in_one_piece) in std::iter::once(own).chain(logical) {
            match filesystem {
                Some(kind) if ROOTS.contains(&kind) && in_one_piece => return None,
                Some(kind) if ROOTS.contains(&kind) => hidden.push(format!("{name}: {IN_ONE_PIECE}")),
                Some(kind) if ENCRYPTED.contains(&kind) => hidden.push(format!("{name} is encrypted")),
                _ => {}
            }
        }
    }
    (!hidden.is_empty()).then(|| hidden.join("; "))
}
