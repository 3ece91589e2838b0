//! HFS+ and HFSX (Apple's technical note TN1150, "Volume Header").

use std::io;

use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

/// Attributes of the volume.
const UNMOUNTED: u64 = 1 << 8;
const INCONSISTENT: u64 = 1 << 11;

fn header(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    let fields = Fields(volume.read(1024, 512)?);
    Ok(matches!(fields.bytes(0, 2), b"H+" | b"HX").then_some(fields))
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(fields) = header(volume)? else { return Ok(None) };
    let attributes = fields.be(4, 4);
    let clean = attributes & (UNMOUNTED | INCONSISTENT) == UNMOUNTED;
    Ok(Some(FileSystem {
        label: None,
        size: fields.be(44, 4).saturating_mul(fields.be(40, 4)),
        block: fields.be(40, 4),
        unclean: (!clean).then(|| {
            "was not cleanly unmounted: mount and eject it once on a Mac, or run fsck.hfsplus on it"
                .to_owned()
        }),
        unmappable: None,
    }))
}

pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    let used =
        |fields: Fields| fields.be(44, 4).saturating_sub(fields.be(48, 4)).saturating_mul(fields.be(40, 4));
    Ok(header(volume)?.map(used))
}
