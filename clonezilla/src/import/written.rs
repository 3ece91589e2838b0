//! What the file systems say of themselves, once they are written: how long they are, and what is wrong with them.

use std::io;

use ezio_image::conf::units::human_size;
use ezio_image::extents::ExtentMap;
use ezio_image::filesystem;
use ezio_image::manifest::PartitionInfo;
use ezio_imagedir::{Evidence, Stored};

/// Looks at one partition. What people should know becomes a note: the image is kept as it was saved.
pub(crate) fn look(
    stored: &Stored,
    info: &mut PartitionInfo,
    map: Option<&ExtentMap>,
    notes: &mut Vec<String>,
    evidence: &mut Evidence,
) -> io::Result<()> {
    let Some(own) = filesystem::inspect(stored, 0)? else { return Ok(()) };
    info.filesystem_size = Some(own.size).filter(|size| (1..=info.size).contains(size));
    info.block_size = Some(own.block);
    info.label = info.label.take().or(own.label);
    let (name, mut note) = (&info.name, |text: String| notes.push(text));
    if let Some(complaint) = own.unclean {
        note(format!("{name}: it was saved although it {complaint}"));
    }
    if let Some(map) = map {
        let in_use = filesystem::bytes_in_use(stored, 0)?;
        let missing = in_use.unwrap_or(0).saturating_sub(map.total_length());
        if let Some(why) = own.unmappable {
            note(format!(
                "{name}: files may be missing, for {why}, and what partclone took for used was saved"
            ));
        } else if missing > 0 {
            note(format!(
                "{name}: at least {} of what is in use are missing: partclone's map is wrong",
                human_size(missing)
            ));
        }
    }
    if info.filesystem.as_deref() == Some("vfat") {
        evidence.look_for_loaders(stored, 0)?;
    }
    Ok(())
}
