//! `netboot.toml`, which says what a netboot folder holds, and the tables for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ezio_contract::Arch;
use ezio_contract::modules::ModuleIndex;
use ezio_contract::netboot::{Description, File, INITRD, KERNEL};
use ezio_image::checksums::sha256_hex;
use ezio_image::conf::units::human_size;

use super::firmware::Firmware;
use super::needed_only;
use super::tree::ModuleTree;

/// Kernel and initrd should stay below this: every machine fetches them.
const AIM: u64 = 24 << 20;

/// Sizes in bytes of what is in the initrd, before compression.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) init: u64,
    pub(crate) shell: u64,
    pub(crate) modules: u64,
    pub(crate) module_count: usize,
    pub(crate) firmware: u64,
}

/// Describes files by name and content.
pub(crate) fn describe(
    arch: Arch,
    kernel: &str,
    modules: &[&String],
    files: &[(String, Vec<u8>)],
) -> Description {
    let file = |(name, content): &(String, Vec<u8>)| File {
        name: name.clone(),
        size: content.len() as u64,
        sha256: sha256_hex(content),
    };
    let modules = modules.iter().map(|name| (*name).clone()).collect();
    Description::new(crate::BUILDER, arch, kernel, modules, files.iter().map(file).collect())
}

/// Table of sizes.
pub(crate) fn table(description: &Description, sizes: &Sizes) -> String {
    let mut out = format!("kernel {}, {} modules\n", description.kernel, sizes.module_count);
    for file in &description.files {
        let _ = writeln!(out, "  {:<16}{:>12}", file.name, human_size(file.size));
        if file.name == INITRD {
            let parts = [
                ("init", sizes.init),
                ("shell", sizes.shell),
                ("modules", sizes.modules),
                ("firmware", sizes.firmware),
            ];
            for (part, size) in parts {
                let _ = writeln!(out, "    {:<14}{:>12} before compression", part, human_size(size));
            }
        }
    }
    let fetched: u64 =
        description.files.iter().filter(|f| f.name == KERNEL || f.name == INITRD).map(|f| f.size).sum();
    let verdict = if fetched <= AIM { "within" } else { "ABOVE" };
    let _ = writeln!(
        out,
        "each machine fetches {} (kernel + initrd), {verdict} the aim of {}",
        human_size(fetched),
        human_size(AIM)
    );
    out
}

/// The modules that would be packed, by folder, for `--dry-run`.
pub(crate) fn module_list(
    tree: &ModuleTree,
    index: &ModuleIndex,
    chosen: &BTreeSet<String>,
    firmware: &Firmware,
) -> String {
    let mut folders: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for module in index.modules.keys().filter_map(|name| tree.modules.get(name)) {
        let folder = module.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().push((&module.info.name, module.size));
    }
    let mut out = format!("kernel {}\n", index.kernel);
    for (folder, modules) in &folders {
        let size: u64 = modules.iter().map(|(_, size)| size).sum();
        let names: Vec<&str> = modules.iter().map(|(name, _)| *name).collect();
        let _ = writeln!(out, "{folder} ({}): {}", human_size(size), names.join(" "));
    }
    let total: u64 = folders.values().flatten().map(|(_, size)| size).sum();
    let needed = needed_only(index, chosen);
    let _ = writeln!(
        out,
        "{} modules ({} of them because others need them), {} before compression, {} aliases",
        index.modules.len(),
        needed.len(),
        human_size(total),
        index.aliases.len()
    );
    if !firmware.files.is_empty() || !firmware.missing.is_empty() {
        let _ = writeln!(
            out,
            "{} firmware files; not found: {}",
            firmware.files.len(),
            firmware.missing.join(" ")
        );
    }
    out
}
