//! The modules of one kernel: a folder as `/lib/modules/VERSION`, needing no `depmod` run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use ezio_contract::modules::matches;

use super::modinfo::{ModInfo, canonical_name};
use super::module_file;

/// One module file of the tree.
#[derive(Debug, Clone)]
pub(crate) struct KernelModule {
    /// Path below the tree's `kernel` folder, without the suffix of a compression ("drivers/ata/ahci.ko").
    pub(crate) path: String,
    /// Where the file is.
    pub(crate) file: PathBuf,
    /// Size of the uncompressed module in bytes.
    pub(crate) size: u64,
    /// What it says of itself.
    pub(crate) info: ModInfo,
}

impl KernelModule {
    fn read(folder: &Path, file: &Path) -> Result<Self> {
        let bytes = module_file::read(file)?;
        let relative = file.strip_prefix(folder).unwrap_or(file).to_string_lossy();
        let path = match relative.split_once(".ko") {
            Some((stem, _)) => format!("{stem}.ko"),
            None => relative.into_owned(),
        };
        let info = ModInfo::read(&bytes, &name_of(&path))
            .with_context(|| format!("{} is no kernel module", file.display()))?;
        Ok(Self { path, file: file.to_owned(), size: bytes.len() as u64, info })
    }
}

/// All modules of one kernel, by name.
#[derive(Debug, Default)]
pub(crate) struct ModuleTree {
    pub(crate) kernel: String,
    pub(crate) modules: BTreeMap<String, KernelModule>,
    builtin: BTreeSet<String>,
    /// Aliases of what is built in, which nothing needs to be loaded for.
    builtin_aliases: Vec<String>,
    /// Names in the kernel's link order, which is the order of preference among several drivers.
    order: BTreeMap<String, usize>,
}

impl ModuleTree {
    /// Reads every module below `dir` (a folder named by the kernel's version).
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let dir = &fs::canonicalize(dir)
            .with_context(|| format!("cannot open modules folder {}", dir.display()))?;
        let kernel = dir.file_name().and_then(|n| n.to_str()).context("the modules folder has no name")?;
        let mut tree = Self { kernel: kernel.to_owned(), ..Self::default() };
        tree.read_builtin(dir)?;
        for (i, line) in read_list(&dir.join("modules.order"))?.lines().enumerate() {
            tree.order.entry(name_of(line)).or_insert(i);
        }
        let folder = dir.join("kernel");
        let modules = read_modules(&folder, &module_files(&folder)?)?;
        ensure!(!modules.is_empty(), "there are no modules below {}", dir.display());
        tree.modules = modules.into_iter().map(|module| (module.info.name.clone(), module)).collect();
        Ok(tree)
    }

    fn read_builtin(&mut self, dir: &Path) -> Result<()> {
        self.builtin = read_list(&dir.join("modules.builtin"))?.lines().map(name_of).collect();
        // Fields of all built-in modules as `name.key=value`, each ended by a NUL.
        let fields = read_list(&dir.join("modules.builtin.modinfo"))?;
        self.builtin_aliases =
            fields.split('\0').filter_map(|f| Some(f.split_once(".alias=")?.1.to_owned())).collect();
        Ok(())
    }

    /// Is it part of the kernel image?
    pub(crate) fn is_builtin(&self, name_or_alias: &str) -> bool {
        self.builtin.contains(&canonical_name(name_or_alias))
            || self.builtin_aliases.iter().any(|pattern| matches(pattern, name_or_alias))
    }

    /// Names of the modules that a soft dependency means: a module's name, or an alias of several.
    pub(crate) fn resolve(&self, name_or_alias: &str) -> Vec<String> {
        let name = canonical_name(name_or_alias);
        if self.modules.contains_key(&name) {
            return vec![name];
        }
        let claims = |m: &&KernelModule| m.info.aliases.iter().any(|pattern| matches(pattern, name_or_alias));
        let mut names: Vec<String> =
            self.modules.values().filter(claims).map(|m| m.info.name.clone()).collect();
        names.sort_by_key(|name| self.rank(name));
        names
    }

    /// Place of a module in the kernel's order of preference.
    pub(crate) fn rank(&self, name: &str) -> usize {
        self.order.get(name).copied().unwrap_or(usize::MAX)
    }
}

/// All module files below a folder.
fn module_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().is_some_and(|p| p.contains(".ko")) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Reads modules on all cores: to decompress a whole kernel's takes one of them many seconds.
fn read_modules(folder: &Path, files: &[PathBuf]) -> Result<Vec<KernelModule>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = files.len().div_ceil(threads).max(1);
    let read_share = |files: &[PathBuf]| files.iter().map(|file| KernelModule::read(folder, file)).collect();
    thread::scope(|scope| {
        let readers: Vec<_> =
            files.chunks(share).map(|files| scope.spawn(move || read_share(files))).collect();
        let mut modules = Vec::new();
        for reader in readers {
            let share: Result<Vec<_>> =
                reader.join().map_err(|_| anyhow!("a thread that reads modules has crashed"))?;
            modules.extend(share?);
        }
        Ok(modules)
    })
}

/// A file that a kernel package may lack; then it is empty.
fn read_list(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Name of the module in a file such as `kernel/drivers/usb/storage/usb-storage.ko`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    canonical_name(file.split_once(".ko").map_or(file, |(stem, _)| stem))
}
