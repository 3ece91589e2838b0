//! Firmware files for the chosen modules, out of a folder as `/lib/firmware`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_contract::modules::matches;

use super::tree::ModuleTree;

/// What was found of what the modules name.
#[derive(Debug, Default)]
pub(crate) struct Firmware {
    /// Paths relative to the firmware folder (with the suffix of a compression), and where the files are.
    pub(crate) files: Vec<(String, PathBuf)>,
    /// Names that no file was found for.
    pub(crate) missing: Vec<String>,
}

/// Finds the firmware that the modules `names` may ask for below `dir`. A file may be compressed
/// (`.xz`, `.zst`), which the kernel undoes.
pub(crate) fn find(tree: &ModuleTree, names: &[&String], dir: &Path) -> Result<Firmware> {
    ensure!(dir.is_dir(), "firmware folder {} is not a folder", dir.display());
    let modules = names.iter().filter_map(|name| tree.modules.get(*name));
    let wanted: BTreeSet<&String> = modules.flat_map(|m| &m.info.firmware).collect();
    let mut files = BTreeSet::new();
    let mut missing = Vec::new();
    for name in wanted {
        let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        let found = if plain { candidates(dir, name)? } else { Vec::new() };
        if found.is_empty() {
            missing.push(name.clone());
        }
        files.extend(found);
    }
    Ok(Firmware { files: files.into_iter().collect(), missing })
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
