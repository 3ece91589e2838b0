//! `image-builder netboot`: packs Debian's kernel and an initrd with init and drivers into a folder,
//! with the programs that network boot begins with. Same inputs, same bytes.

mod archive;
mod boot_programs;
mod closure;
mod description;
mod firmware;
mod inputs;
mod kernel_image;
mod modinfo;
mod module_file;
mod selection;
mod stick;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_contract::modules::ModuleIndex;
use ezio_contract::netboot::{DESCRIPTION, INITRD, KERNEL};
use ezio_contract::{Arch, initrd};
use ezio_image::conf::Conf;
use ezio_image::conf::units::human_size;
use tempfile::NamedTempFile;

use crate::cli::NetbootArgs;
use archive::Archive;
use description::Sizes;
use firmware::Firmware;
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
    let index = closure::index(&tree, &selection)?;
    let names: Vec<&String> = index.modules.keys().collect();
    let firmware = match &args.firmware {
        Some(dir) => firmware::find(&tree, &names, dir)?,
        None => Firmware::default(),
    };
    ensure!(
        args.stick.is_none() || inputs.arch == Arch::Amd64,
        "--stick: a stick is for PCs (amd64), and the kernel is for {}",
        inputs.arch
    );
    if args.dry_run {
        return crate::print(&description::module_list(&tree, &index, &selection.names, &firmware));
    }
    let mut sizes = Sizes::default();
    let archive = fill(&inputs, args, &tree, &index, &firmware, &mut sizes)?;
    let packed = archive.to_initrd()?;
    if let Some(file) = &args.stick {
        return write_stick(file, &inputs.kernel, &packed, args);
    }
    let mut files = vec![(KERNEL.to_owned(), inputs.kernel.clone()), (INITRD.to_owned(), packed)];
    files.extend(boot_programs::read(args, inputs.arch)?);
    let description = description::describe(inputs.arch, &tree.kernel, &names, &files);
    let folder = args.output.as_deref().context("neither --output nor --stick is given")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
    for (name, content) in &files {
        replace(&folder.join(name), content)?;
    }
    replace(&folder.join(DESCRIPTION), description.to_toml().as_bytes())?;
    crate::print(&description::table(&description, &sizes))
}

/// Packs all that a machine needs into the image of a stick.
fn write_stick(path: &Path, kernel: &[u8], initrd: &[u8], args: &NetbootArgs) -> Result<()> {
    let uefi = boot_programs::read_for_stick(args)?;
    let file = new_file(path)?;
    stick::make(file.path(), kernel, initrd, &uefi)?;
    let size = human_size(file.as_file().metadata().context("looking at the image")?.len());
    put_in_place(file, path)?;
    crate::print(&format!(
        "{path}: {size}, for `dd if={path} of=/dev/STICK bs=4M conv=fsync` or any program that writes disk images\n",
        path = path.display()
    ))
}

/// Puts together what the initrd holds.
fn fill(
    inputs: &Inputs,
    args: &NetbootArgs,
    tree: &ModuleTree,
    index: &ModuleIndex,
    firmware: &Firmware,
    sizes: &mut Sizes,
) -> Result<Archive> {
    let mut archive = Archive::default();
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

    let index_path = inside(initrd::MODULE_INDEX);
    let index_folder = Path::new(index_path).parent().unwrap_or(Path::new("")).display();
    archive.file(index_path, index.to_text().into_bytes(), 0o644);
    for (name, module) in &index.modules {
        let source = tree.modules.get(name).with_context(|| format!("module {name} has no file"))?;
        sizes.modules += source.size;
        sizes.module_count += 1;
        archive.file(&format!("{index_folder}/{}", module.file), module_file::read(&source.file)?, 0o644);
    }
    for (path, file) in &firmware.files {
        let mut content =
            fs::read(file).with_context(|| format!("cannot read firmware {}", file.display()))?;
        let mut path = path.as_str();
        // Debian's kernel takes firmware under xz, but not under zstd.
        if let Some(plain) = path.strip_suffix(".zst") {
            path = plain;
            content = zstd::decode_all(&*content)
                .with_context(|| format!("cannot decompress firmware {}", file.display()))?;
        }
        sizes.firmware += content.len() as u64;
        archive.file(&format!("{}/{path}", inside(initrd::FIRMWARE)), content, 0o644);
    }
    for (path, source) in [(initrd::CONF, &args.conf), (initrd::KEY, &args.key)] {
        if let Some(file) = source {
            let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            archive.file(inside(path), content, 0o644);
        }
    }
    Ok(archive)
}

/// A path of the initrd as its archive has it.
fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// Refuses a configuration that every machine would refuse.
fn check_conf(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Conf::parse(&text).with_context(|| format!("{} is no ezio.conf", file.display()))?;
    Ok(())
}

/// Writes a file in one step: a server that reads the folder sees the old one or the new one.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = new_file(path)?;
    std::io::Write::write_all(&mut file, content)
        .with_context(|| format!("cannot write {}", path.display()))?;
    put_in_place(file, path)
}

/// A file that is to become `path`.
fn new_file(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".netboot-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(|| format!("cannot make a file in {}", folder.display()))
}

fn put_in_place(file: NamedTempFile, path: &Path) -> Result<()> {
    file.persist(path).with_context(|| format!("cannot put {} in place", path.display()))?;
    Ok(())
}

/// Names of modules that came in because others need them.
fn needed_only<'a>(index: &'a ModuleIndex, chosen: &BTreeSet<String>) -> Vec<&'a String> {
    index.modules.keys().filter(|name| !chosen.contains(*name)).collect()
}
