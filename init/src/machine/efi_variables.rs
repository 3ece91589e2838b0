//! The firmware's boot entries, through efivarfs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ezio_image::uefi::{BootEntries, Changes};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::SystemPaths;

const KIND: &str = "efivarfs";
/// `EFI_GLOBAL_VARIABLE`.
const VENDOR: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Kept without power, there for boot services and at run time: what boot entries are.
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];
/// Firmware keeps kilobytes; more than this is no variable of its own.
const MAX_LENGTH: u64 = 64 << 10;

/// Was this machine started by UEFI?
pub(crate) fn is_uefi(paths: &SystemPaths) -> bool {
    paths.sys.join("firmware/efi").exists()
}

/// The variables.
#[derive(Debug)]
pub(crate) struct EfiVariables {
    folder: PathBuf,
}

impl EfiVariables {
    /// Of this machine: mounted, where they are not.
    pub(crate) fn of_machine(paths: &SystemPaths) -> anyhow::Result<Self> {
        let folder = paths.sys.join("firmware/efi/efivars");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        match mount(Some(KIND), &folder, Some(KIND), flags, None::<&str>) {
            Ok(()) | Err(Errno::EBUSY) => Ok(Self::at(folder)),
            Err(e) => Err(e).with_context(|| format!("mounting {KIND} on {}", folder.display())),
        }
    }

    /// Those that are mounted here.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All boot entries and their order.
    pub(crate) fn boot_entries(&self) -> anyhow::Result<BootEntries> {
        let folder = &self.folder;
        let mut found = BootEntries::default();
        for file in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
            let file = file.with_context(|| format!("listing {}", folder.display()))?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(name) = name.strip_suffix(VENDOR).and_then(|name| name.strip_suffix('-')) else {
                continue;
            };
            if name == "BootOrder" {
                let numbers = read(&file)?;
                found.order =
                    numbers.as_chunks().0.iter().map(|number| u16::from_le_bytes(*number)).collect();
            } else if let Some(number) = entry_number(name) {
                found.entries.insert(number, read(&file)?);
            }
        }
        Ok(found)
    }

    /// Carries out changes, in their order.
    pub(crate) fn apply(&self, changes: &Changes) -> anyhow::Result<()> {
        for (number, bytes) in &changes.write {
            self.write(&entry_name(*number), bytes)?;
        }
        if let Some(order) = &changes.order {
            let bytes: Vec<u8> = order.iter().flat_map(|number| number.to_le_bytes()).collect();
            self.write("BootOrder", &bytes)?;
        }
        for number in &changes.remove {
            let path = self.path(&entry_name(*number));
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-{VENDOR}"))
    }

    /// The kernel takes a variable in one write.
    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::write(&path, [&ATTRIBUTES, bytes].concat()).with_context(|| format!("writing {}", path.display()))
    }
}

/// As a variable's name: `Boot000A`.
pub(crate) fn entry_name(number: u16) -> String {
    format!("Boot{number:04X}")
}

fn entry_number(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("Boot").filter(|digits| digits.len() == 4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// A variable without its attributes.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let length = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?.len();
    ensure!(length <= MAX_LENGTH, "{} has {length} bytes: that is no boot entry", path.display());
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(bytes.get(ATTRIBUTES.len()..).unwrap_or_default().to_vec())
}
