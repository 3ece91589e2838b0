//! The image directory while it is written: beside its place under another name, gone unless it is
//! finished.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ezio_image::conf::units::human_size;
use ezio_image::manifest::MANIFEST_FILE;
use ezio_image::set::SET_FILE;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::statvfs::statvfs;
use nix::unistd::syncfs;
use tempfile::TempDir;

/// An image directory that is being written.
#[derive(Debug)]
pub(crate) struct Output {
    partial: TempDir,
    target: PathBuf,
}

/// Refuses a target that is there, unless it is an image directory (or empty) and may be replaced.
///
/// # Errors
/// What stands in the way.
pub fn check_target(target: &Path, replace: bool) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(target) else { return Ok(()) };
    ensure!(replace, "{} exists already: --force replaces it", target.display());
    let image = metadata.is_dir() && [MANIFEST_FILE, SET_FILE].iter().any(|file| target.join(file).is_file());
    let empty = metadata.is_dir() && fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(image || empty, "{} is no image directory: --force replaces nothing else", target.display());
    Ok(())
}

impl Output {
    /// Makes the folder to write into, where there is room for `needed` bytes.
    pub(crate) fn create(target: &Path, replace: bool, needed: u64) -> Result<Self> {
        check_target(target, replace)?;
        let name =
            target.file_name().context("the image directory needs a name")?.to_string_lossy().into_owned();
        let parent = parent_of(target);
        let partial = tempfile::Builder::new()
            .prefix(&format!("{name}.partial-"))
            .tempdir_in(&parent)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        let room = statvfs(partial.path())
            .with_context(|| format!("cannot ask for room in {}", parent.display()))?;
        let free = room.blocks_available().saturating_mul(room.fragment_size());
        if free < needed {
            bail!(
                "no room for the image in {}: it takes {}, {} are free",
                parent.display(),
                human_size(needed),
                human_size(free)
            );
        }
        Ok(Self { partial, target: target.to_owned() })
    }

    /// Where to write.
    pub(crate) fn folder(&self) -> &Path {
        self.partial.path()
    }

    /// Writes one small file.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.folder().join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Everything is written: brings it to the disk and gives it its name.
    pub(crate) fn finish(self, replace: bool) -> Result<()> {
        let folder = self.folder();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot open {} to others", folder.display()))?;
        let handle = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
        syncfs(&handle).with_context(|| format!("cannot bring {} to the disk", folder.display()))?;
        check_target(&self.target, replace)?;
        let target = &self.target;
        let exchange = target.symlink_metadata().is_ok();
        // In one step: whoever looks finds the old image or the new one.
        let flags = if exchange { RenameFlags::RENAME_EXCHANGE } else { RenameFlags::RENAME_NOREPLACE };
        renameat2(AT_FDCWD, folder, AT_FDCWD, target, flags)
            .with_context(|| format!("cannot put {} in place", target.display()))?;
        if exchange {
            let old = self.partial.path().to_owned();
            self.partial
                .close()
                .with_context(|| format!("cannot remove the old image, now {}", old.display()))?;
        } else {
            // Its old name is gone: there is nothing to remove.
            let _ = self.partial.keep();
        }
        let parent = parent_of(target);
        let parent_handle =
            File::open(&parent).with_context(|| format!("cannot open {}", parent.display()))?;
        parent_handle.sync_all().with_context(|| format!("cannot bring {} to the disk", parent.display()))
    }
}

fn parent_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_unless_finished() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("image");
        let output = Output::create(&target, false, 0).unwrap();
        output.write("x", b"1").unwrap();
        drop(output);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_old_image_is_replaced_only_when_asked() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("image");
        for (content, replace) in [("1", false), ("2", true)] {
            let output = Output::create(&target, replace, 0).unwrap();
            output.write(MANIFEST_FILE, content.as_bytes()).unwrap();
            output.finish(replace).unwrap();
            assert_eq!(fs::read_to_string(target.join(MANIFEST_FILE)).unwrap(), content);
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        }
        assert!(Output::create(&target, false, 0).unwrap_err().to_string().contains("--force"));
        fs::remove_file(target.join(MANIFEST_FILE)).unwrap();
        fs::write(target.join("thesis.txt"), "x").unwrap();
        assert!(Output::create(&target, true, 0).unwrap_err().to_string().contains("no image directory"));
    }

    #[test]
    fn missing_room_is_told_before_it_is_missed() {
        let place = tempfile::tempdir().unwrap();
        let error = Output::create(&place.path().join("image"), false, u64::MAX).unwrap_err();
        assert!(error.to_string().contains("no room"), "{error}");
    }
}
