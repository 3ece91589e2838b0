//! One target, and what its plan wrote besides the contents.

use std::sync::Arc;

use ezio_disk::BlockTarget;
use ezio_image::layout::{Layout, TableImage};
use ezio_image::plan::{Plan, Step};
use ezio_swarm::Content;
use ezio_swarm::storage::{DeviceStorage, Medium as _, Storage};
use uuid::Uuid;

use super::boot_sectors;
use super::{Fixed, Place};

/// A target that is read, and what was written to it.
pub(super) struct Target {
    pub(super) device: BlockTarget,
    pub(super) plan: Plan,
    /// Names of partitions, and the bytes of the source at which they began.
    pub(super) starts: Vec<(String, u64)>,
}

impl Target {
    /// The table and what is written besides contents.
    pub(super) fn look_at_fixed(&self, fixed: &mut Fixed) {
        for step in self.plan.after_payload() {
            match step {
                Step::Write { offset, bytes, what } => {
                    fixed
                        .wrong
                        .extend(self.difference(*offset, bytes).map(|why| self.place(*offset, what, &why)));
                }
                Step::Table { image, what } => self.look_at_table(image, what, fixed),
                Step::Clear { .. } | Step::Payload(_) | Step::Relocate { .. } | Step::Sync | Step::Reread => {
                }
            }
        }
    }

    fn look_at_table(&self, table: &TableImage, what: &str, fixed: &mut Fixed) {
        let different =
            table.writes().iter().find_map(|(at, bytes)| Some((*at, self.difference(*at, bytes)?)));
        let Some((at, why)) = different else { return };
        let name = self.device.path().display();
        if self.plan.layout().is_some_and(|layout| self.has_ids_of_its_own(table, layout)) {
            fixed.notes.push(format!(
                "{name}: the partition table is the image's, but for ids of its own, as regenerate = [\"disk-guid\"] makes them"
            ));
        } else {
            fixed.wrong.push(self.place(at, what, &why));
        }
    }

    /// Is there a whole table, backup and all, that differs from the image's in its ids alone?
    fn has_ids_of_its_own(&self, table: &TableImage, layout: &Layout) -> bool {
        let (device, name) = (&self.device, self.device.path().display().to_string());
        let (size, sector_size) = (device.size(), device.sector_size());
        let Ok(there) = Layout::read_from_disk(device, size, sector_size, &name) else { return false };
        let nameless = |layout: &Layout| layout.renewed(Uuid::nil).0;
        if nameless(&there).partitions() != nameless(layout).partitions() {
            return false;
        }
        let Ok(encoded) = there.encode(size, sector_size) else { return false };
        let boot_code = table.writes().iter().find(|(at, _)| *at == 0).map(|(_, bytes)| &bytes[..]);
        let expected = encoded.with_boot_code(boot_code.unwrap_or_default());
        expected.writes().iter().all(|(at, bytes)| self.difference(*at, bytes).is_none())
    }

    /// Why these bytes are not at this place of the medium; none: they are.
    fn difference(&self, offset: u64, bytes: &[u8]) -> Option<String> {
        self.device.file().forget(offset, bytes.len() as u64);
        let mut there = vec![0; bytes.len()];
        match self.device.read_exact_at(offset, &mut there) {
            Ok(()) => (there != *bytes).then(|| "something else is there".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    fn place(&self, offset: u64, what: &str, why: &str) -> Place {
        let disk = self.device.path().display().to_string();
        Place { disk, offset: Some(offset), partition: None, piece: None, why: format!("{what}: {why}") }
    }

    /// What the image has in blocks, and where it lies here. What was amended is read as the image has it.
    pub(super) fn contents(&self, notes: &mut Vec<String>) -> anyhow::Result<Vec<Content>> {
        let name = self.device.path().display().to_string();
        let contents = self.plan.payloads().map(|payload| {
            let extents = (*payload.extents).clone();
            let storage: Arc<dyn Storage> =
                Arc::new(DeviceStorage::new(self.device.file(), name.clone(), payload.base, extents));
            let relocated = self.plan.steps().iter().find_map(|step| match step {
                Step::Relocate { volume, .. } if volume.start == payload.base => Some(volume),
                _ => None,
            });
            let was = self.starts.iter().filter(|(name, _)| *name == payload.name).map(|(_, offset)| *offset);
            let storage = match relocated {
                Some(volume) => boot_sectors::as_before(storage, &self.device, payload, volume, was, notes)?,
                None => storage,
            };
            let metainfo = Arc::clone(&payload.metainfo);
            Ok(Content { metainfo, storage, complete: true, trackers: Vec::new() })
        });
        contents.collect()
    }
}
