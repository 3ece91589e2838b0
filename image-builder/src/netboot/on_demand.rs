//! What the initrd leaves out: modules and firmware that a machine fetches when one of its devices asks for them. They
//! lie in folders beside the initrd, and the index that is in it has their sizes and hashes.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use ezio_contract::modules::{ModuleIndex, Remote};
use ezio_image::checksums::sha256_hex;

use super::firmware::{self, Firmware};
use super::kernel_config::Compression;
use super::module_file;
use super::tree::{KernelModule, ModuleTree};

/// Folder of module files, beside the index in the initrd and beside the initrd on the server.
pub(crate) const MODULES: &str = "modules";
/// Folder of firmware files, likewise.
pub(crate) const FIRMWARE: &str = "firmware";

/// Takes all modules but `early` out of the initrd, and firmware that none of these names. Gives their files by name,
/// and has the index say what they are.
pub(crate) fn take_out(
    index: &mut ModuleIndex,
    tree: &ModuleTree,
    early: &BTreeSet<String>,
    firmware: &Firmware,
    kernel_undoes: Compression,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let early_firmware = of_modules(firmware, early);
    for (name, module) in index.modules.iter_mut().filter(|(name, _)| !early.contains(*name)) {
        let source = tree.modules.get(name).with_context(|| format!("module {name} has no file"))?;
        let (file_name, content) = module_as_served(source, kernel_undoes)?;
        module.file = format!("{MODULES}/{file_name}");
        files.push((module.file.clone(), content));
        let own = firmware.of_module.get(name).into_iter().flatten();
        let later = own.filter(|path| !early_firmware.contains(path));
        module.firmware = later.map(|path| format!("{FIRMWARE}/{path}")).collect();
    }
    for (path, file) in firmware.files.iter().filter(|(path, _)| !early_firmware.contains(path)) {
        files.push((format!("{FIRMWARE}/{path}"), firmware::read(file)?));
    }
    for (name, content) in &files {
        let remote = Remote { size: content.len() as u64, sha256: sha256_hex(content) };
        index.remote.insert(name.clone(), remote);
    }
    Ok(files)
}

/// Firmware that these modules may ask for.
pub(crate) fn of_modules<'a>(firmware: &'a Firmware, modules: &BTreeSet<String>) -> BTreeSet<&'a String> {
    let named = firmware.of_module.iter().filter(|(name, _)| modules.contains(*name));
    named.flat_map(|(_, paths)| paths).collect()
}

/// A module's file name and content on the server: as the kernel's package has it, if the kernel itself can undo that
/// compression, else uncompressed.
fn module_as_served(module: &KernelModule, kernel_undoes: Compression) -> Result<(String, Vec<u8>)> {
    let as_packaged = module.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if kernel_undoes.is_of(as_packaged) {
        let content = fs::read(&module.file)
            .with_context(|| format!("cannot read module {}", module.file.display()))?;
        return Ok((as_packaged.to_owned(), content));
    }
    let plain = module.path.rsplit('/').next().unwrap_or(&module.path);
    Ok((plain.to_owned(), module_file::read(&module.file)?))
}
