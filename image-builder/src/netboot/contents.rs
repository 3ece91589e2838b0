//! What the initrd holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Display, Path};

use anyhow::{Context, Result};
use ezio_contract::initrd;
use ezio_contract::modules::ModuleIndex;

use super::archive::Archive;
use super::firmware::{self, Firmware};
use super::inputs::Inputs;
use super::module_file;
use super::on_demand;
use super::tree::ModuleTree;
use crate::cli::NetbootArgs;

/// Sizes in bytes of what is in the initrd, before compression.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) init: u64,
    pub(crate) shell: u64,
    pub(crate) modules: u64,
    pub(crate) module_count: usize,
    pub(crate) firmware: u64,
}

/// Puts it together: all but what the index says is fetched.
pub(crate) fn fill(
    inputs: &Inputs,
    args: &NetbootArgs,
    tree: &ModuleTree,
    index: &ModuleIndex,
    firmware: &Firmware,
) -> Result<(Archive, Sizes)> {
    let (mut archive, mut sizes) = (Archive::default(), Sizes::default());
    for folder in ["dev", "etc/ezio", "proc", "run", "sys", "tmp"] {
        archive.directory(folder);
    }
    archive.char_device("dev/console", 5, 1);
    sizes.init = inputs.init.len() as u64;
    archive.file(inside(initrd::INIT), inputs.init.clone(), 0o755);
    if let Some(shell) = &inputs.shell {
        sizes.shell = shell.len() as u64;
        archive.file(inside(initrd::SHELL), shell.clone(), 0o755);
    }
    // The kernel asks for modules by itself, too (transceivers, checksums): init answers under this name.
    archive.symlink(inside(initrd::MODPROBE), initrd::INIT);
    add_drivers(&mut archive, &mut sizes, tree, index, firmware)?;
    for (path, source) in [(initrd::CONF, &args.conf), (initrd::KEY, &args.key)] {
        if let Some(file) = source {
            let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            archive.file(inside(path), content, 0o644);
        }
    }
    Ok((archive, sizes))
}

/// A second initrd: files of these modules as they would be fetched, where they would be put.
pub(crate) fn second(
    index: &ModuleIndex,
    names: &BTreeSet<String>,
    files: &[(String, Vec<u8>)],
) -> Result<Archive> {
    let mut archive = Archive::default();
    let modules = names.iter().filter_map(|name| index.modules.get(name));
    for (file, _) in modules.flat_map(|module| index.remote_files(module)) {
        let found = files.iter().find(|(name, _)| name == file);
        let (_, content) = found.with_context(|| format!("{file} was not made"))?;
        archive.file(&format!("{}/{file}", folder()), content.clone(), 0o644);
    }
    Ok(archive)
}

fn add_drivers(
    archive: &mut Archive,
    sizes: &mut Sizes,
    tree: &ModuleTree,
    index: &ModuleIndex,
    firmware: &Firmware,
) -> Result<()> {
    let folder = folder();
    archive.file(inside(initrd::MODULE_INDEX), index.to_text().into_bytes(), 0o644);
    for (name, module) in index.modules.iter().filter(|(_, m)| !index.remote.contains_key(&m.file)) {
        let source = tree.modules.get(name).with_context(|| format!("module {name} has no file"))?;
        sizes.modules += source.size;
        sizes.module_count += 1;
        archive.file(&format!("{folder}/{}", module.file), module_file::read(&source.file)?, 0o644);
    }
    // The kernel looks for firmware in its own place. What is fetched lies beside the index, as modules do.
    archive.directory(&format!("{folder}/{}", on_demand::FIRMWARE));
    archive.symlink(inside(initrd::FIRMWARE), &format!("/{folder}/{}", on_demand::FIRMWARE));
    for (path, file) in &firmware.files {
        let name = format!("{}/{path}", on_demand::FIRMWARE);
        if !index.remote.contains_key(&name) {
            let content = firmware::read(file)?;
            sizes.firmware += content.len() as u64;
            archive.file(&format!("{folder}/{name}"), content, 0o644);
        }
    }
    Ok(())
}

/// The folder of the index, which the files it names are in.
fn folder() -> Display<'static> {
    Path::new(inside(initrd::MODULE_INDEX)).parent().unwrap_or(Path::new("")).display()
}

/// A path of the initrd as its archive has it.
fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}
