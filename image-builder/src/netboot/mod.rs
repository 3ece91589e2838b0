//! `image-builder netboot`: packs Debian's kernel and an initrd with init and drivers into a folder, with the modules
//! that machines fetch on demand and the programs that network boot begins with. Same inputs, same bytes.

mod archive;
mod boot_programs;
mod closure;
mod contents;
mod firmware;
mod inputs;
mod kernel_config;
mod kernel_image;
mod modinfo;
mod module_file;
mod on_demand;
mod output;
mod report;
mod selection;
mod stick;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_contract::Arch;
use ezio_contract::modules::ModuleIndex;
use ezio_contract::netboot::{INITRD, KERNEL, SERVER_CARDS};
use ezio_image::conf::Conf;
use ezio_image::conf::units::human_size;

use crate::cli::NetbootArgs;
use inputs::Inputs;
use tree::ModuleTree;

/// Runs the command.
pub(crate) fn run(args: &NetbootArgs) -> Result<()> {
    if let Some(file) = &args.conf {
        check_conf(file)?;
    }
    let inputs = Inputs::locate(args)?;
    let tree = ModuleTree::read(&inputs.modules_dir)?;
    inputs.check_kernel_matches(&tree.kernel)?;
    let selection = selection::select(&tree, &args.modules)?;
    let mut index = closure::index(&tree, &selection)?;
    let firmware = firmware::find(&tree, index.modules.keys(), args.firmware.as_deref())?;
    // A stick has to do where there is no server yet.
    let early = match args.all_in_one || args.stick.is_some() {
        true => index.modules.keys().cloned().collect(),
        false => closure::with_needs(&index, &selection.early),
    };
    ensure!(
        args.stick.is_none() || inputs.arch == Arch::Amd64,
        "--stick: a stick is for PCs (amd64), and the kernel is for {}",
        inputs.arch
    );
    let server_cards = &closure::with_needs(&index, &selection.server_cards) - &early;
    let missing_firmware = report::firmware(&firmware, &(&early | &server_cards), &tree);
    if args.dry_run {
        let text = report::module_list(&tree, &index, &selection.names, &early, &server_cards);
        return crate::print(&(text + &missing_firmware));
    }
    let on_demand = on_demand::take_out(&mut index, &tree, &early, &firmware, inputs.kernel_undoes)?;
    let (archive, sizes) = contents::fill(&inputs, args, &tree, &index, &firmware)?;
    let packed = archive.to_initrd()?;
    if let Some(file) = &args.stick {
        return write_stick(file, &inputs.kernel, &packed, args);
    }
    let mut files = vec![(KERNEL.to_owned(), inputs.kernel.clone()), (INITRD.to_owned(), packed)];
    if !server_cards.is_empty() {
        let archive = contents::second(&index, &server_cards, &on_demand)?;
        files.push((SERVER_CARDS.to_owned(), archive.to_initrd()?));
    }
    files.extend(boot_programs::read(args, inputs.arch)?);
    files.extend(on_demand);
    let description = output::describe(inputs.arch, &tree.kernel, index.modules.keys(), &files);
    let folder = args.output.as_deref().context("neither --output nor --stick is given")?;
    output::write(folder, &files, &description)?;
    crate::print(&(report::sizes(&description, &sizes, &index) + &missing_firmware))
}

/// Packs all that a machine needs into the image of a stick.
fn write_stick(path: &Path, kernel: &[u8], initrd: &[u8], args: &NetbootArgs) -> Result<()> {
    let uefi = boot_programs::read_for_stick(args)?;
    let file = output::new_file(path)?;
    stick::make(file.path(), kernel, initrd, &uefi)?;
    let size = human_size(file.as_file().metadata().context("looking at the image")?.len());
    output::put_in_place(file, path)?;
    crate::print(&format!(
        "{path}: {size}, for `dd if={path} of=/dev/STICK bs=4M conv=fsync` or any program that writes disk images\n",
        path = path.display()
    ))
}

/// Refuses a configuration that every machine would refuse.
fn check_conf(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Conf::parse(&text).with_context(|| format!("{} is no ezio.conf", file.display()))?;
    Ok(())
}

/// Names of modules that came in because others need them.
fn needed_only<'a>(index: &'a ModuleIndex, chosen: &BTreeSet<String>) -> Vec<&'a String> {
    index.modules.keys().filter(|name| !chosen.contains(*name)).collect()
}
