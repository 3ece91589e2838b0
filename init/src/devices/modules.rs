//! Loads kernel modules: the files that the index names for a device's modalias, in its order.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ezio_contract::initrd::MODULE_INDEX;
use ezio_contract::modules::ModuleIndex;
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

/// Loads modules of one index, each file once.
#[derive(Debug)]
pub(crate) struct ModuleLoader {
    index: ModuleIndex,
    folder: PathBuf,
    seen: HashSet<String>,
    tried: HashSet<String>,
}

impl ModuleLoader {
    /// Reads the index of the initrd.
    pub(crate) fn open() -> anyhow::Result<Self> {
        Self::open_at(Path::new(MODULE_INDEX))
    }

    /// Knows no module.
    pub(crate) fn empty() -> Self {
        let (index, folder) = (ModuleIndex::default(), PathBuf::new());
        Self { index, folder, seen: HashSet::new(), tried: HashSet::new() }
    }

    fn open_at(index: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(index).with_context(|| format!("reading {}", index.display()))?;
        let folder = index.parent().unwrap_or(Path::new("/")).to_owned();
        let index = ModuleIndex::parse(&text).with_context(|| format!("reading {}", index.display()))?;
        Ok(Self { index, folder, seen: HashSet::new(), tried: HashSet::new() })
    }

    /// Loads what is wanted whatever devices there are.
    pub(crate) fn load_always(&mut self) {
        let files: Vec<String> = self.index.files_always().into_iter().map(str::to_owned).collect();
        self.load(files);
    }

    /// Loads what a modalias (or a module name) asks for. Says how many files it tried.
    pub(crate) fn load_for(&mut self, modalias: &str) -> usize {
        if !self.seen.insert(modalias.to_owned()) {
            return 0;
        }
        let files: Vec<String> = self.index.files_for(modalias).into_iter().map(str::to_owned).collect();
        self.load(files)
    }

    /// A module that fails is logged and no more: the device may do without, and if not, a later
    /// step says what is missing.
    fn load(&mut self, files: Vec<String>) -> usize {
        let mut tried = 0;
        for file in files {
            if self.tried.insert(file.clone()) {
                tried += 1;
                if let Err(error) = insert(&self.folder.join(&file)) {
                    tracing::warn!("module {error:#}");
                }
            }
        }
        tried
    }
}

fn insert(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        // ENODEV: a driver that finds no hardware of its own (crypto for another CPU) is no fault.
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(e) => Err(e).with_context(|| path.display().to_string()),
    }
}

/// Modaliases of all devices that the kernel knows now.
pub(crate) fn coldplug_modaliases(sys: &Path) -> Vec<String> {
    let list = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let devices = list(sys.join("bus")).flat_map(|bus| list(bus.join("devices")));
    let mut found: Vec<String> = devices
        .filter_map(|device| fs::read_to_string(device.join("modalias")).ok())
        .map(|text| text.trim_end_matches('\n').to_owned())
        .filter(|modalias| !modalias.is_empty())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// `/sbin/modprobe`, as the kernel calls it (`modprobe -q -- NAME`) when it wants a module itself.
/// Says whether there was anything to load.
pub(crate) fn modprobe(arguments: impl Iterator<Item = String>) -> bool {
    let Some(name) = arguments.filter(|a| !a.starts_with('-')).last() else { return false };
    ModuleLoader::open().is_ok_and(|mut loader| loader.load_for(&name) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modaliases_of_every_bus_once() {
        let root = tempfile::tempdir().unwrap();
        for (device, modalias) in [
            ("bus/pci/devices/0000:00:01.0", "pci:v1\n"),
            ("bus/pci/devices/0000:00:02.0", "pci:v1\n"),
            ("bus/virtio/devices/virtio0", "virtio:d00000001v00001AF4\n"),
            ("bus/platform/devices/empty", "\n"),
        ] {
            let dir = root.path().join(device);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("modalias"), modalias).unwrap();
        }
        fs::create_dir_all(root.path().join("bus/usb/devices/no-modalias")).unwrap();
        assert_eq!(coldplug_modaliases(root.path()), ["pci:v1", "virtio:d00000001v00001AF4"]);
    }

    #[test]
    fn each_file_is_tried_once_and_failures_do_not_stop_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let index = root.path().join("modules.idx");
        let text = "ezio-modules 1 6.1\nmodule a a.ko\nmodule b b.ko a\nalias pci:* b\nalias usb:* a\n";
        fs::write(&index, text).unwrap();
        let mut loader = ModuleLoader::open_at(&index).unwrap();
        assert_eq!(loader.load_for("pci:v1"), 2, "a.ko is missing: b.ko is tried all the same");
        assert_eq!(loader.load_for("usb:v1"), 0, "a.ko was tried before");
        assert!(ModuleLoader::open_at(&root.path().join("none")).is_err());
    }
}
