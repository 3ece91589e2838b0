//! Firmware files for the chosen modules, out of a folder as `/lib/firmware`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_contract::modules::matches;

use super::tree::ModuleTree;

/// What was found of what the modules name.
#[derive(Debug, Default)]
pub(crate) struct Firmware {
    /// By path relative to the firmware folder, as the kernel finds it: where the file is.
    pub(crate) files: BTreeMap<String, PathBuf>,
    /// By name of the module: the files it may ask for.
    pub(crate) of_module: BTreeMap<String, BTreeSet<String>>,
    /// By name of the module: what it names and no file was found for.
    pub(crate) missing: BTreeMap<String, BTreeSet<String>>,
}

/// Finds the firmware that the modules `names` may ask for below `dir`; without a folder all of it is missing. A file
/// may be compressed (`.xz`, `.zst`), which the kernel undoes.
pub(crate) fn find<'a>(
    tree: &ModuleTree,
    names: impl Iterator<Item = &'a String>,
    dir: Option<&Path>,
) -> Result<Firmware> {
    if let Some(dir) = dir {
        ensure!(dir.is_dir(), "firmware folder {} is not a folder", dir.display());
    }
    let mut firmware = Firmware::default();
    for module in names.filter_map(|name| tree.modules.get(name)) {
        for wanted in &module.info.firmware {
            // The index parts its fields by blanks.
            let plain = !wanted.contains(' ')
                && Path::new(wanted).components().all(|c| matches!(c, Component::Normal(_)));
            let found = match dir {
                Some(dir) if plain => candidates(dir, wanted)?,
                _ => Vec::new(),
            };
            let name = module.info.name.clone();
            if found.is_empty() {
                firmware.missing.entry(name).or_default().insert(wanted.clone());
                continue;
            }
            for (path, file) in found {
                // Kernels before 5.19 take firmware under xz, but not under zstd.
                let path = path.strip_suffix(".zst").unwrap_or(&path).to_owned();
                firmware.of_module.entry(name.clone()).or_default().insert(path.clone());
                firmware.files.insert(path, file);
            }
        }
    }
    Ok(firmware)
}

/// Content of a firmware file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    let content = fs::read(file).with_context(|| format!("cannot read firmware {}", file.display()))?;
    if file.extension().is_none_or(|suffix| suffix != "zst") {
        return Ok(content);
    }
    zstd::decode_all(&*content).with_context(|| format!("cannot decompress firmware {}", file.display()))
}

/// Files for one name, which may be a pattern.
fn candidates(dir: &Path, name: &str) -> Result<Vec<(String, PathBuf)>> {
    const SUFFIXES: [&str; 3] = ["", ".zst", ".xz"];
    if !name.contains(['*', '?', '[']) {
        let paths = SUFFIXES.iter().map(|suffix| format!("{name}{suffix}"));
        return Ok(paths.map(|n| (n.clone(), dir.join(n))).filter(|(_, p)| p.is_file()).take(1).collect());
    }
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let Ok(entries) = fs::read_dir(dir.join(folder)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", dir.join(folder).display()))?;
        let path = folder.join(entry.file_name()).to_string_lossy().into_owned();
        if entry.path().is_file() && SUFFIXES.iter().any(|s| matches(&format!("{name}{s}"), &path)) {
            found.push((path, entry.path()));
        }
    }
    Ok(found)
}
