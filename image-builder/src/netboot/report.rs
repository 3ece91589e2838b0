//! What is said to people about a netboot folder: sizes, what a machine fetches, modules, and missing firmware.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ezio_contract::Arch;
use ezio_contract::modules::ModuleIndex;
use ezio_contract::netboot::{Description, INITRD, KERNEL, SERVER_CARDS};
use ezio_image::conf::units::human_size;

use super::contents::Sizes;
use super::firmware::Firmware;
use super::needed_only;
use super::tree::ModuleTree;

/// Kernel, initrd and what a usual PC then fetches should stay below this, in bytes. (ARM64's kernels come uncompressed.)
const AIM: u64 = 18 << 20;

/// Devices of a usual PC, as the kernel names them, whose drivers may be fetched on demand.
const USUAL_PC: &[&str] = &[
    // AHCI with a disk at it.
    "pci:v00008086d0000A352sv00001028sd0000085Cbc01sc06i01",
    "scsi:t-0x00",
    // NVMe.
    "pci:v0000144Dd0000A808sv0000144Dsd0000A801bc01sc08i02",
    // USB 3 with a keyboard at it.
    "pci:v00008086d0000A36Dsv00001028sd0000085Cbc0Csc03i30",
    "usb:v046DpC31Cd4920dc00dsc00dp00ic03isc01ip01in00",
    "hid:b0003g0001v0000046Dp0000C31C",
];

/// Table of sizes.
pub(crate) fn sizes(description: &Description, sizes: &Sizes, index: &ModuleIndex) -> String {
    let mut out = format!(
        "kernel {}, {} modules in the initrd, {} on demand\n",
        description.kernel,
        sizes.module_count,
        index.modules.len() - sizes.module_count
    );
    let mut line = |name: &str, size| {
        let _ = writeln!(out, "  {name:<16}{:>12}", human_size(size));
    };
    for file in description.files.iter().filter(|file| !index.remote.contains_key(&file.name)) {
        line(&file.name, file.size);
    }
    if !index.remote.is_empty() {
        line("on demand", index.remote.values().map(|remote| remote.size).sum());
    }
    let parts = [
        ("init", sizes.init),
        ("shell", sizes.shell),
        ("modules", sizes.modules),
        ("firmware", sizes.firmware),
    ];
    out.push_str("the initrd, before compression:\n");
    for (part, size) in parts {
        let _ = writeln!(out, "  {part:<16}{:>12}", human_size(size));
    }
    out.push_str(&fetched(description, index));
    out
}

fn fetched(description: &Description, index: &ModuleIndex) -> String {
    let first = description.files.iter().filter(|file| file.name == KERNEL || file.name == INITRD);
    let first: u64 = first.map(|file| file.size).sum();
    let later = of_usual_pc(index);
    let verdict = match first + later {
        _ if description.arch != Arch::Amd64 => String::new(),
        0..=AIM => format!(": within the aim of {}", human_size(AIM)),
        _ => format!(": ABOVE the aim of {}", human_size(AIM)),
    };
    let mut out = format!(
        "each machine fetches {} (kernel + initrd); a usual one (AHCI, NVMe, USB keyboard) {} more, together {}{verdict}\n",
        human_size(first),
        human_size(later),
        human_size(first + later),
    );
    if let Some(cards) = description.files.iter().find(|file| file.name == SERVER_CARDS) {
        let _ = writeln!(
            out,
            "what does not say that it is a PC fetches {SERVER_CARDS} too: {}",
            human_size(cards.size)
        );
    }
    out
}

/// Bytes that a usual PC fetches on demand.
fn of_usual_pc(index: &ModuleIndex) -> u64 {
    let modules = USUAL_PC.iter().flat_map(|modalias| index.modules_for(modalias));
    let files: BTreeMap<&str, u64> = modules
        .flat_map(|module| index.remote_files(module))
        .map(|(file, remote)| (file, remote.size))
        .collect();
    files.values().sum()
}

/// The modules that would be packed, by folder, for `--dry-run`.
pub(crate) fn module_list(
    tree: &ModuleTree,
    index: &ModuleIndex,
    chosen: &BTreeSet<String>,
    early: &BTreeSet<String>,
    server_cards: &BTreeSet<String>,
) -> String {
    let mut out = format!("kernel {}\n", index.kernel);
    let all: BTreeSet<String> = index.modules.keys().cloned().collect();
    let on_demand = &(&all - early) - server_cards;
    for (title, names) in
        [("in the initrd", early), ("in that of servers", server_cards), ("on demand", &on_demand)]
    {
        let folders = by_folder(tree, names.iter());
        let total: u64 = folders.values().flatten().map(|(_, size)| size).sum();
        let _ = writeln!(out, "{title}, {} before compression:", human_size(total));
        for (folder, modules) in &folders {
            let size: u64 = modules.iter().map(|(_, size)| size).sum();
            let names: Vec<&str> = modules.iter().map(|(name, _)| *name).collect();
            let _ = writeln!(out, "{folder} ({}): {}", human_size(size), names.join(" "));
        }
    }
    let _ = writeln!(
        out,
        "{} modules ({} of them because others need them), {} of them on demand, {} aliases",
        index.modules.len(),
        needed_only(index, chosen).len(),
        on_demand.len(),
        index.aliases.len()
    );
    out
}

/// Folders, and the names and sizes of the modules in them.
fn by_folder<'a>(
    tree: &'a ModuleTree,
    names: impl Iterator<Item = &'a String>,
) -> BTreeMap<&'a str, Vec<(&'a str, u64)>> {
    let mut folders: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for module in names.filter_map(|name| tree.modules.get(name)) {
        let folder = module.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().push((&module.info.name, module.size));
    }
    folders
}

/// Network cards whose drivers name firmware that is not packed: many do without, others stay silent.
pub(crate) fn firmware(firmware: &Firmware, cards: &BTreeSet<String>, tree: &ModuleTree) -> String {
    let of_card = |name: &String| tree.modules.get(name).is_some_and(|m| m.path.starts_with("drivers/net/"));
    let mut cards =
        firmware.missing.iter().filter(|(name, _)| cards.contains(*name) && of_card(name)).peekable();
    if cards.peek().is_none() {
        return String::new();
    }
    let mut out =
        "these network cards' drivers may ask for firmware that is not packed (--firmware DIR):\n".to_owned();
    for (name, files) in cards {
        let first = files.first().map_or("", String::as_str);
        let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
        let _ = writeln!(out, "  {name:<16}{first}{more}");
    }
    out
}
