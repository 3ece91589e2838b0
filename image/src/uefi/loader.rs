//! Which loaders a disk has, and the boot entries that lead to them.

use std::io;

use ezio_contract::Arch;
use uuid::{Uuid, uuid};

use super::boot_entry::{BootEntry, PartitionId};
use crate::filesystem::fat_folder;
use crate::layout::{Entry, Layout, Partition, ReadAt, Table};

/// Type of an EFI system partition, in a GPT and in an MBR.
const ESP_GUID: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const ESP_ID: u8 = 0xef;

const EFI: &str = "EFI";
/// Folder of the loaders that firmware starts without any entry.
const REMOVABLE: &str = "BOOT";
/// As Windows calls its own entry.
pub(crate) const WINDOWS: &str = "Windows Boot Manager";
/// Loaders of a system's folder, before their architecture: the first that is there counts. Shim starts GRUB.
const PROGRAMS: [&str; 3] = ["shim", "grub", "systemd-boot"];

/// What a disk has to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaders {
    /// Those of its systems, the one to start first.
    pub systems: Vec<BootEntry>,
    /// That of the removable path, which firmware may find by itself.
    pub removable: Option<BootEntry>,
}

/// Looks for loaders of this architecture on the disk's EFI system partitions.
///
/// # Errors
/// What the device says.
pub fn find_loaders(disk: &impl ReadAt, layout: &Layout, arch: Arch) -> io::Result<Loaders> {
    let mut found = Loaders::default();
    for partition in layout.partitions().iter().filter(|partition| is_esp(partition)) {
        let Some(id) = PartitionId::of(partition, layout) else { continue };
        let esp = Esp { disk, offset: layout.byte_range(partition).start, partition, id };
        esp.find(arch, &mut found)?;
    }
    // A machine with both is installed so that the other system's menu leads to Windows.
    found.systems.sort_by_key(|entry| entry.description == WINDOWS);
    Ok(found)
}

/// An EFI system partition.
struct Esp<'a, D> {
    disk: &'a D,
    /// In bytes.
    offset: u64,
    partition: &'a Partition,
    id: PartitionId,
}

impl<D: ReadAt> Esp<'_, D> {
    fn find(&self, arch: Arch, found: &mut Loaders) -> io::Result<()> {
        for folder in fat_folder(self.disk, self.offset, &[EFI])? {
            let program = |name: &str| format!("{name}{}.efi", arch.efi());
            if folder.eq_ignore_ascii_case(REMOVABLE) {
                let loader = self.file(&[EFI, &folder], &program("boot"))?;
                found.removable =
                    found.removable.take().or(loader.map(|loader| self.entry("UEFI OS", loader)));
                continue;
            }
            let windows = self.file(&[EFI, &folder, "Boot"], "bootmgfw.efi")?;
            found.systems.extend(windows.map(|loader| self.entry(WINDOWS, loader)));
            for name in PROGRAMS {
                if let Some(loader) = self.file(&[EFI, &folder], &program(name))? {
                    found.systems.push(self.entry(&folder, loader));
                    break;
                }
            }
        }
        Ok(())
    }

    /// The file's path as entries have it, if it is there.
    fn file(&self, folder: &[&str], name: &str) -> io::Result<Option<String>> {
        let files = fat_folder(self.disk, self.offset, folder)?;
        let file = files.iter().find(|file| file.eq_ignore_ascii_case(name));
        Ok(file.map(|file| format!("\\{}\\{file}", folder.join("\\"))))
    }

    fn entry(&self, description: &str, loader: String) -> BootEntry {
        let Partition { number, start, size, .. } = *self.partition;
        BootEntry { description: description.to_owned(), partition: self.id, number, start, size, loader }
    }
}

fn is_esp(partition: &Partition) -> bool {
    match partition.entry {
        Entry::Gpt { type_guid, .. } => type_guid == ESP_GUID,
        Entry::Dos { type_id, .. } => type_id == ESP_ID,
    }
}

impl PartitionId {
    /// Those of all partitions of a table.
    #[must_use]
    pub fn all_of(layout: &Layout) -> Vec<Self> {
        layout.partitions().iter().filter_map(|partition| Self::of(partition, layout)).collect()
    }

    fn of(partition: &Partition, layout: &Layout) -> Option<Self> {
        match (&partition.entry, layout.table()) {
            (Entry::Gpt { uuid, .. }, Table::Gpt { .. }) => Some(Self::Gpt(*uuid)),
            (Entry::Dos { .. }, Table::Dos { disk_id }) => Some(Self::Dos(*disk_id, partition.number)),
            _ => None,
        }
    }
}
