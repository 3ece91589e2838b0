//! Loads kernel modules: the files that the index names for a device's modalias, in its order. Files that the initrd
//! left out have to be fetched first ([`super::depot`]).

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ezio_contract::initrd::MODULE_INDEX;
use ezio_contract::modules::{Module, ModuleIndex, Remote};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

/// The kernel is to undo the module's compression: `MODULE_INIT_COMPRESSED_FILE` of linux/module.h.
const COMPRESSED: ModuleInitFlags = ModuleInitFlags::from_bits_retain(4);

/// What came of a modalias.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Files that were tried: of those that had not been tried before.
    pub(crate) tried: usize,
    /// Others have to be fetched first.
    pub(crate) missing: bool,
}

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

    /// The folder that files are in, by their names in the index.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Loads what is wanted whatever devices there are.
    pub(crate) fn load_always(&mut self) {
        let files = files(self.index.modules_always());
        self.load(files);
    }

    /// Loads what a modalias (or a module name) asks for, when it is first asked for: each module that is here with all
    /// it needs.
    pub(crate) fn load_for(&mut self, modalias: &str) -> Asked {
        if !self.seen.insert(modalias.to_owned()) {
            return Asked { tried: 0, missing: false };
        }
        let missing = !self.missing_for(modalias).is_empty();
        let modules = self.index.modules_for(modalias);
        let files = files(modules.into_iter().filter(|module| self.is_whole(module)));
        Asked { tried: self.load(files), missing }
    }

    /// Are a module's files here, and those of all that comes before it?
    fn is_whole(&self, module: &Module) -> bool {
        let needs = module.before.iter().filter_map(|name| self.index.modules.get(name));
        needs.chain([module]).all(|module| {
            let mut remote = self.index.remote_files(module);
            remote.all(|(file, _)| self.folder.join(file).exists())
        })
    }

    /// Files that a modalias asks for and that have to be fetched.
    pub(crate) fn missing_for(&self, modalias: &str) -> Vec<(String, Remote)> {
        let modules = self.index.modules_for(modalias);
        let remote = modules.into_iter().flat_map(|module| self.index.remote_files(module));
        let missing = remote.filter(|(file, _)| !self.folder.join(file).exists());
        missing.map(|(file, remote)| (file.to_owned(), remote.clone())).collect()
    }

    /// Loads what a modalias asks for; where a file is missing, without it.
    pub(crate) fn load_all_that_is_here(&mut self, modalias: &str) -> usize {
        let mut files = files(self.index.modules_for(modalias));
        files.retain(|file| self.folder.join(file).exists());
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

fn files<'a>(modules: impl IntoIterator<Item = &'a Module>) -> Vec<String> {
    modules.into_iter().map(|module| module.file.clone()).collect()
}

fn insert(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let flags =
        if path.extension().is_some_and(|e| e == "ko") { ModuleInitFlags::empty() } else { COMPRESSED };
    match finit_module(&file, c"", flags) {
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
        let text = "ezio-modules 2 6.1\nmodule a a.ko\nmodule b b.ko a\nalias pci:* b\nalias usb:* a\n";
        fs::write(&index, text).unwrap();
        for file in ["a.ko", "b.ko"] {
            fs::write(root.path().join(file), "no module").unwrap();
        }
        let mut loader = ModuleLoader::open_at(&index).unwrap();
        assert_eq!(
            loader.load_for("pci:v1"),
            Asked { tried: 2, missing: false },
            "a.ko is no module: b.ko is tried all the same"
        );
        assert_eq!(loader.load_for("usb:v1"), Asked { tried: 0, missing: false }, "a.ko was tried before");
        assert!(ModuleLoader::open_at(&root.path().join("none")).is_err());
    }

    #[test]
    fn what_the_initrd_left_out_is_waited_for_and_the_rest_can_do_without() {
        let root = tempfile::tempdir().unwrap();
        let index = root.path().join("modules.idx");
        let text = "ezio-modules 2 6.1\nmodule a a.ko\nmodule b b.ko.xz a\nmodule c c.ko b\nmodule d d.ko a\n\
            firmware b firmware/b.fw\nalias pci:* c\nalias pci:* d\n\
            fetch b.ko.xz 1 aa\nfetch firmware/b.fw 2 bb\n";
        fs::write(&index, text).unwrap();
        for file in ["a.ko", "c.ko", "d.ko"] {
            fs::write(root.path().join(file), "no module").unwrap();
        }
        let mut loader = ModuleLoader::open_at(&index).unwrap();
        assert_eq!(loader.load_for("pci:v1"), Asked { tried: 2, missing: true }, "a.ko and d.ko");
        assert_eq!(loader.load_for("pci:v1"), Asked { tried: 0, missing: false }, "it waits already");
        let names = |loader: &ModuleLoader| -> Vec<String> {
            loader.missing_for("pci:v1").into_iter().map(|(file, _)| file).collect()
        };
        assert_eq!(names(&loader), ["firmware/b.fw", "b.ko.xz"], "firmware first");
        fs::write(root.path().join("b.ko.xz"), "no module").unwrap();
        assert_eq!(names(&loader), ["firmware/b.fw"]);
        assert_eq!(
            loader.load_all_that_is_here("pci:v1"),
            2,
            "b.ko.xz, for it may do without firmware, and c.ko"
        );
    }
}
