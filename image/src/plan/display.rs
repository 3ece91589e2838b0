//! A plan as `--dry-run` prints it.

use std::fmt;

use super::{Plan, Step};
use crate::conf::units::human_size;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:3}  {step}", index + 1)?;
        }
        if let Some(growth) = &self.growth {
            writeln!(f, "{:3}  grow     {growth}", self.steps.len() + 1)?;
        }
        let bytes = self.payload_bytes();
        writeln!(f, "to receive: {bytes} bytes ({})", human_size(bytes))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |verb: &str, offset: u64, length: u64, what: &str| {
            write!(f, "{verb:8} {length:>15} bytes at {offset:<15} {what}")
        };
        match self {
            Self::Clear { places, what } => {
                let length = places.iter().map(|place| place.end - place.start).sum();
                let count =
                    if places.len() > 1 { format!(", {} places", places.len()) } else { String::new() };
                row("clear", places.first().map_or(0, |p| p.start), length, &format!("{what}{count}"))
            }
            Self::Write { offset, bytes, what } => row("write", *offset, bytes.len() as u64, what),
            Self::Payload(p) => {
                let runs = p.extents.extents().len();
                let what = format!(
                    "{}: {runs} {} up to byte {}, info hash {}",
                    p.name,
                    if runs == 1 { "run" } else { "runs" },
                    p.base + p.extents.target_end(),
                    p.metainfo.info_hash().as_string()
                );
                row("receive", p.base, p.extents.total_length(), &what)
            }
            Self::Table { image, what } => {
                write!(f, "table    {:>15} bytes: {what}", image.total_bytes())?;
                for (offset, bytes) in image.writes() {
                    write!(f, "\n       {:>17} bytes at {offset}", bytes.len())?;
                }
                Ok(())
            }
            Self::Relocate { start, .. } => {
                write!(
                    f,
                    "adapt    boot sectors of FAT, exFAT or NTFS: the volume begins at byte {start} of its disk"
                )
            }
            Self::Sync => write!(f, "sync"),
            Self::Reread => write!(f, "re-read the partition table"),
        }
    }
}
