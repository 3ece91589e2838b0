//! What a room needs before its first machine is switched on, and who may use a room.

use anyhow::{Context, Result, bail, ensure};
use ezio_contract::netboot::{self, Description};
use ezio_image::checksums::sha256_hex;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// `dist/`, as `make netboot` made it.
pub fn netboot() -> Result<PathBuf> {
    made("dist", netboot::KERNEL, "make netboot")
}

/// `folder`, made a folder for network boot of the files of `make netboot`. `change` is given the name and the place of
/// each, and says where the one is that is to stand there, if any.
pub fn netboot_with(folder: &Path, change: impl Fn(&str, PathBuf) -> Option<PathBuf>) -> Result<()> {
    let all = netboot()?;
    let text = fs::read_to_string(all.join(netboot::DESCRIPTION)).context("reading the description")?;
    let mut description = Description::parse(&text)?;
    for netboot::File { name, .. } in std::mem::take(&mut description.files) {
        let Some(source) = change(&name, all.join(&name)) else { continue };
        let content = fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
        let place = folder.join(&name);
        fs::create_dir_all(place.parent().unwrap_or(folder)).context("making a folder")?;
        symlink(&source, &place).with_context(|| format!("making {}", place.display()))?;
        let (size, sha256) = (content.len() as u64, sha256_hex(&content));
        description.files.push(netboot::File { name, size, sha256 });
    }
    fs::write(folder.join(netboot::DESCRIPTION), description.to_toml()).context("writing the description")
}

/// Debian's kernel and boot programs, unpacked, as `make netboot` got them.
pub fn chain() -> Result<PathBuf> {
    made("build/debian/amd64", "packages", "make netboot")
}

/// Image of the stick, as `make stick` made it.
pub fn stick() -> Result<PathBuf> {
    Ok(made("build", "stick.img", "make stick")?.join("stick.img"))
}

/// Image directory of the golden disk, as `make golden` made it.
pub fn golden_image() -> Result<PathBuf> {
    made("build/golden", "manifest.toml", "make golden")
}

/// Firmware variables of a machine that trusts Microsoft's authorities of 2023 alone, as `make material` made them.
pub fn variables_2023() -> Result<PathBuf> {
    Ok(made("build/material", "variables-2023.fd", "make material")?.join("variables-2023.fd"))
}

/// The signed network GRUB of Debian 12, which knows no HTTP and takes its boot server from the lease.
pub fn old_grub() -> Result<PathBuf> {
    Ok(made("build/material", "grub-2.06.efi", "make material")?.join("grub-2.06.efi"))
}

/// Clonezilla's packages, unpacked, as `make material` got them.
pub fn clonezilla() -> Result<PathBuf> {
    made("build/material/clonezilla", "packages", "make material")
}

/// `dist/arm64`, as `make netboot ARCH=arm64` made it.
pub fn netboot_arm64() -> Result<PathBuf> {
    made("dist/arm64", "vmlinuz", "make netboot ARCH=arm64")
}

/// Image directory of a small system, as `make small` made it: for UEFI it has no loader but where a boot entry leads.
pub fn small_image() -> Result<PathBuf> {
    made("build/small-amd64", "manifest.toml", "make small")
}

/// The disk that this image is of.
pub fn small_disk() -> Result<PathBuf> {
    Ok(made("build", "small-amd64.img", "make small")?.join("small-amd64.img"))
}

/// The same image for ARM64, as `make arm64` made it.
pub fn small_image_arm64() -> Result<PathBuf> {
    made("build/small-arm64", "manifest.toml", "make arm64")
}

fn made(folder: &str, file: &str, how: &str) -> Result<PathBuf> {
    let folder = workspace().join(folder);
    ensure!(folder.join(file).exists(), "{} is missing: run {how}", folder.join(file).display());
    Ok(folder)
}

/// Smallest disk that an image fits on, in bytes, as its manifest says.
pub fn smallest_disk(image: &Path) -> Result<u64> {
    let path = image.join("manifest.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let manifest: toml::Table = text.parse().with_context(|| format!("reading {}", path.display()))?;
    let size =
        manifest.get("disk").and_then(|disk| disk.get("minimum_size")).and_then(toml::Value::as_integer);
    match size.map(u64::try_from) {
        Some(Ok(size)) => Ok(size),
        _ => bail!("{} is no image of a whole disk (it has no disk.minimum_size)", path.display()),
    }
}

/// A turn to run heavy things: virtual machines of two tests at once would starve each other. Waits for it; dropping
/// gives it back, and so does the end of the process.
pub fn turn() -> Result<File> {
    let path = std::env::temp_dir().join("ezio-tests.lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}
