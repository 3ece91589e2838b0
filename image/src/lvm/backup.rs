//! A physical volume made of what `vgcfgbackup` wrote of its group, as `pvcreate --restorefile` and `vgcfgrestore` make it.

use super::text::{self, Section};
use super::{Label, PhysicalVolume, SECTOR, Writes, area};

/// Where `pvcreate` begins the metadata.
const AREA: u64 = 4096;

impl PhysicalVolume {
    /// The volume with this UUID, and the bytes of its label and metadata, by their places. None where the backup makes no
    /// sense, or does not know it.
    #[must_use]
    pub fn of_backup(backup: &str, uuid: &str) -> Option<(Self, Writes)> {
        let all = text::parse(backup)?;
        let (_, group) = all.sections().next()?;
        let is_this = |volume: &&Section| volume.text("id") == Some(uuid);
        let volume = group.section("physical_volumes")?.sections().map(|(_, volume)| volume).find(is_this)?;
        let (size, first) = (volume.number("dev_size")?.checked_mul(SECTOR)?, volume.number("pe_start")?);
        let first = first.checked_mul(SECTOR).filter(|first| *first > AREA)?;
        let label = Label::usual(uuid, size, std::iter::once(AREA..first).collect());
        // On a volume the group comes first: LVM reads its name there.
        let (before, behind) = (&backup[..group.at.start], &backup[group.at.end..]);
        let text = format!("{}\n{before}{behind}\n\0", &backup[group.at.clone()]);
        let mut writes = vec![label.encode(first)];
        writes.extend(area::replace(&label.areas[0], None, &text)?);
        Some((Self::parse(&label, text)?, writes))
    }
}
