//! The folder that is made: its files, and `netboot.toml`, which describes them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use ezio_contract::Arch;
use ezio_contract::netboot::{DESCRIPTION, Description, File, SERVER_CARDS};
use ezio_image::checksums::sha256_hex;
use tempfile::NamedTempFile;

use super::on_demand;

/// Describes files by name and content.
pub(crate) fn describe<'a>(
    arch: Arch,
    kernel: &str,
    modules: impl Iterator<Item = &'a String>,
    files: &[(String, Vec<u8>)],
) -> Description {
    let file = |(name, content): &(String, Vec<u8>)| File {
        name: name.clone(),
        size: content.len() as u64,
        sha256: sha256_hex(content),
    };
    Description::new(
        crate::BUILDER,
        arch,
        kernel,
        modules.cloned().collect(),
        files.iter().map(file).collect(),
    )
}

/// Writes them, the description last, and removes what an earlier run left for machines to fetch.
pub(crate) fn write(folder: &Path, files: &[(String, Vec<u8>)], description: &Description) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
    for (name, content) in files {
        replace(&folder.join(name), content)?;
    }
    replace(&folder.join(DESCRIPTION), description.to_toml().as_bytes())?;
    for part in [on_demand::MODULES, on_demand::FIRMWARE] {
        remove_others(folder, part, files)?;
    }
    if !files.iter().any(|(name, _)| name == SERVER_CARDS) {
        remove(&folder.join(SERVER_CARDS))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file in one step: a server that reads the folder sees the old one or the new one.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = new_file(path)?;
    std::io::Write::write_all(&mut file, content)
        .with_context(|| format!("cannot write {}", path.display()))?;
    put_in_place(file, path)
}

/// A file that is to become `path`.
pub(crate) fn new_file(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
    tempfile::Builder::new()
        .prefix(".netboot-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(|| format!("cannot make a file in {}", folder.display()))
}

/// Puts it there.
pub(crate) fn put_in_place(file: NamedTempFile, path: &Path) -> Result<()> {
    file.persist(path).with_context(|| format!("cannot put {} in place", path.display()))?;
    Ok(())
}

/// Removes from the folder `part`, and from those in it, all but `files`.
fn remove_others(root: &Path, part: &str, files: &[(String, Vec<u8>)]) -> Result<()> {
    let folder = root.join(part);
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() {
            remove_others(root, &name, files)?;
        } else if !files.iter().any(|(file, _)| *file == name) {
            remove(&path)?;
        }
    }
    // Only an empty folder goes.
    let _ = fs::remove_dir(&folder);
    Ok(())
}
