//! What `netboot` packs, and where it is looked for when the command line does not say.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ezio_contract::Arch;
use object::read::elf::ElfFile64;
use object::{Architecture, Object, ObjectSection};

use super::kernel_config::Compression;
use super::kernel_image;
use crate::cli::NetbootArgs;

/// The inputs of an initrd.
pub(crate) struct Inputs {
    /// What all of them are for: the kernel says it.
    pub(crate) arch: Arch,
    /// Content of the kernel image.
    pub(crate) kernel: Vec<u8>,
    /// The kernel's modules.
    pub(crate) modules_dir: PathBuf,
    /// Content of the init program.
    pub(crate) init: Vec<u8>,
    /// Content of the shell, if one is wanted.
    pub(crate) shell: Option<Vec<u8>>,
    /// Compression of modules that the kernel undoes by itself.
    pub(crate) kernel_undoes: Compression,
    kernel_path: PathBuf,
    version: String,
}

impl Inputs {
    /// Finds and reads the kernel and init.
    pub(crate) fn locate(args: &NetbootArgs) -> Result<Self> {
        let kernel_path = match &args.kernel {
            Some(path) => path.clone(),
            None => newest_kernel(&args.root.join("boot"))?,
        };
        let kernel = fs::read(&kernel_path)
            .with_context(|| format!("cannot read kernel {}", kernel_path.display()))?;
        let unusable = || format!("cannot use kernel {}", kernel_path.display());
        let arch = kernel_image::arch(&kernel).with_context(unusable)?;
        let version = kernel_image::version(&kernel).with_context(unusable)?.to_owned();
        let modules_dir = match &args.modules_dir {
            Some(dir) => dir.clone(),
            None => modules_beside(&kernel_path, &version)?,
        };
        let init_path = match &args.init {
            Some(path) => path.clone(),
            None => installed_init(arch)?,
        };
        let read = |path: &Path| read_program(path, arch);
        let init = read(&init_path).context("init")?;
        let shell = args.shell.as_deref().map(read).transpose().context("shell")?;
        let kernel_undoes = Compression::undone_by(&kernel_path, &version);
        Ok(Self { arch, kernel, modules_dir, init, shell, kernel_undoes, kernel_path, version })
    }

    /// Refuses modules of another kernel: none of them would load.
    pub(crate) fn check_kernel_matches(&self, modules_version: &str) -> Result<()> {
        ensure!(
            self.version == modules_version,
            "kernel {} is version {}, but the modules are for {modules_version}",
            self.kernel_path.display(),
            self.version
        );
        Ok(())
    }
}

/// The kernel in `boot` that was installed last.
fn newest_kernel(boot: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(boot).with_context(|| format!("cannot list {}", boot.display()))?;
    let kernels = entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("vmlinuz-"));
    kernels
        .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
        .max()
        .map(|(_, path)| path)
        .with_context(|| format!("there is no kernel in {}: say which with --kernel", boot.display()))
}

/// The modules of a kernel: in the tree it was unpacked with, else in the system's.
fn modules_beside(kernel: &Path, version: &str) -> Result<PathBuf> {
    let folder = fs::canonicalize(kernel).ok();
    let root = folder.as_deref().and_then(Path::parent).and_then(Path::parent).map(Path::to_owned);
    let candidates =
        root.into_iter().chain([PathBuf::from("/")]).map(|r| r.join("lib/modules").join(version));
    let mut seen = Vec::new();
    for dir in candidates {
        if dir.is_dir() {
            return Ok(dir);
        }
        seen.push(dir.display().to_string());
    }
    bail!("modules of kernel {version} are not in {}: say where with --modules-dir", seen.join(", "))
}

/// `ezio-init` beside this program, where `make install` puts it, or where cargo does.
fn installed_init(arch: Arch) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own place")?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let built = format!("../{}-unknown-linux-musl/initrd/ezio-init", arch.kernel());
    let places = ["../sbin/ezio-init", &built, "ezio-init"];
    let mut found = places.iter().map(|place| folder.join(place)).filter(|path| path.is_file());
    found.next().with_context(|| format!("ezio-init is not beside {}: say where with --init", own.display()))
}

/// A program that runs in the initrd.
fn read_program(path: &Path, arch: Arch) -> Result<Vec<u8>> {
    let program = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    check_program(&program, arch).with_context(|| format!("{} cannot be used", path.display()))?;
    Ok(program)
}

/// It is for the kernel's architecture, and needs no libraries: the initrd has none.
fn check_program(program: &[u8], arch: Arch) -> Result<()> {
    let file =
        ElfFile64::<object::Endianness>::parse(program).context("it is not an ELF program of 64 bits")?;
    let own = match file.architecture() {
        Architecture::X86_64 => Some(Arch::Amd64),
        Architecture::Aarch64 => Some(Arch::Arm64),
        _ => None,
    };
    ensure!(own == Some(arch), "it is not for {arch}, as the kernel is");
    let interpreter = file.section_by_name(".interp").and_then(|s| s.data().ok());
    if let Some(path) = interpreter {
        let path = String::from_utf8_lossy(path);
        bail!(
            "it is not static: it needs {} (ezio-init is built with --profile initrd --target {}-unknown-linux-musl)",
            path.trim_end_matches('\0'),
            arch.kernel()
        );
    }
    Ok(())
}
