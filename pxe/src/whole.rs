//! Files that are written whole or not at all, whenever this process ends.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Whose a file is, and who may read it.
pub(crate) enum Rights<'a> {
    /// This process's own, and nobody else reads it.
    Private,
    /// Those of another file.
    Of(&'a Metadata),
}

/// Puts a new file in this place. It outlives a power cut when this returns.
pub(crate) fn write(path: &Path, bytes: &[u8], rights: &Rights) -> io::Result<()> {
    let new = beside(path)?;
    match fill(&new, bytes, rights).and_then(|()| fs::rename(&new, path)) {
        Ok(()) => File::open(folder(path))?.sync_all(),
        Err(e) => {
            let _ = fs::remove_file(&new);
            Err(e)
        }
    }
}

pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where it is while it is written: nobody who lists the folder, or has a file of a similar name there, takes it for another.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    Ok(folder(path).join(format!(".{}.ezio-new", name.to_string_lossy())))
}

fn fill(new: &Path, bytes: &[u8], rights: &Rights) -> io::Result<()> {
    // What a write left behind that was cut.
    let _ = fs::remove_file(new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    if let Rights::Of(other) = rights {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (other.uid(), other.gid()) {
            // The unit's filter of system calls ends who tries it without the right.
            if !geteuid().is_root() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its owner cannot be kept"));
            }
            fchown(&file, Some(other.uid()), Some(other.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(other.mode() & 0o777))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn rights_are_kept_and_nothing_else_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(folder.path().join(".file.ezio-new"), "of a write that was cut").unwrap();
        write(&path, b"first", &Rights::Private).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write(&path, b"second", &Rights::Of(&fs::metadata(&path).unwrap())).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"second".as_slice(), 0o640));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn where_it_cannot_be_written_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("place");
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(write(&path, b"new", &Rights::Private).is_err());
        assert!(path.join("full").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
