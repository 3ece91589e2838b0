//! Files below a folder, by paths that are resolved as if that folder were `/`: no symbolic link and no `..` in an image
//! leads out of it, and none leads to another mount. A file is replaced as a whole or not at all.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, XattrFlags, fchmod, fchown,
    fgetxattr, fsetxattr, fstat, fsync, mkdirat, openat, openat2, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// Largest file that is read, in bytes: those of an identity have a few kilobytes.
const MAX_FILE: u64 = 4 << 20;
/// Bytes that are searched at a time.
const CHUNK: u64 = 1 << 20;
/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 65536;
/// Links that lead from one to the next, as the kernel counts.
const MAX_LINKS: usize = 40;
/// A file's label under SELinux; one without it cannot be read by the services that need it.
const LABEL: &str = "security.selinux";
/// Longest label, in bytes; real ones have some 40.
const MAX_LABEL: usize = 256;

/// A tree of files.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// A folder, and the name of a file in it that is no link.
struct Place {
    folder: OwnedFd,
    name: PathBuf,
    old: Option<Stat>,
}

impl Tree {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The tree below a folder of this machine.
    #[cfg(test)]
    pub(crate) fn of(folder: &Path) -> Self {
        Self { root: rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap() }
    }

    /// The tree below a folder of this one.
    pub(crate) fn below(&self, folder: &str) -> anyhow::Result<Self> {
        let root = self.open(Path::new(folder), OFlags::DIRECTORY).with_context(|| folder.to_owned())?;
        Ok(Self { root })
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // A device node or a pipe in an image must not hold us up.
        let calm =
            if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK | OFlags::NOCTTY };
        openat2(&self.root, path, flags | calm | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Its root, open.
    pub(crate) fn folder(&self) -> anyhow::Result<std::fs::File> {
        let opened = self.open(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY);
        Ok(opened.context("opening the root of the file system")?.into())
    }

    /// Is there anything of this name, be it a link that leads nowhere?
    pub(crate) fn has(&self, path: &str) -> anyhow::Result<bool> {
        let opened = self.open(Path::new(path), OFlags::PATH | OFlags::NOFOLLOW);
        Ok(there(opened).with_context(|| path.to_owned())?.is_some())
    }

    /// What is in a file; `None` where there is none.
    pub(crate) fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let opened = self.open(Path::new(path), OFlags::RDONLY);
        let Some(file) = there(opened).with_context(|| format!("opening {path}"))? else { return Ok(None) };
        let is_file = fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        ensure!(is_file.with_context(|| path.to_owned())?, "{path} is no file");
        let mut bytes = Vec::new();
        let read = std::fs::File::from(file).take(MAX_FILE + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("reading {path}"))?;
        ensure!(bytes.len() as u64 <= MAX_FILE, "{path} has more than {MAX_FILE} bytes");
        Ok(Some(bytes))
    }

    /// Which of these are in a file, in upper or lower case; it has at most `most` bytes. None where there is no file.
    pub(crate) fn search(&self, path: &str, wanted: &[&str], most: u64) -> anyhow::Result<Vec<String>> {
        let opened = self.open(Path::new(path), OFlags::RDONLY);
        let Some(file) = there(opened).with_context(|| format!("opening {path}"))? else {
            return Ok(Vec::new());
        };
        let longest = wanted.iter().map(|text| text.len()).max().unwrap_or(0);
        let mut file = std::fs::File::from(file).take(most);
        let (mut window, mut found) = (Vec::new(), Vec::new());
        loop {
            let kept = window.len();
            (&mut file).take(CHUNK).read_to_end(&mut window).with_context(|| format!("reading {path}"))?;
            if window.len() == kept {
                return Ok(found);
            }
            for text in wanted {
                let is_there = window
                    .windows(text.len().max(1))
                    .any(|bytes| bytes.eq_ignore_ascii_case(text.as_bytes()));
                if is_there && !found.iter().any(|known| known == text) {
                    found.push((*text).to_owned());
                }
            }
            // What begins here may end in what is read next.
            window.drain(..window.len().saturating_sub(longest));
        }
    }

    /// Text of a file; what is no text in it is shown as such.
    pub(crate) fn text(&self, path: &str) -> anyhow::Result<Option<String>> {
        Ok(self.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Names in a folder, in order; none where there is no such folder.
    pub(crate) fn names(&self, folder: &str) -> anyhow::Result<Vec<String>> {
        let opened = self.open(Path::new(folder), OFlags::RDONLY | OFlags::DIRECTORY);
        let Some(opened) = there(opened).with_context(|| folder.to_owned())? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in Dir::new(opened).with_context(|| folder.to_owned())? {
            let entry = entry.with_context(|| format!("reading the folder {folder}"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                ensure!(names.len() < MAX_ENTRIES, "{folder} has more than {MAX_ENTRIES} entries");
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The path as it is written on this file system, where upper and lower case count as the same for who wrote it.
    pub(crate) fn path_in_any_case(&self, parts: &[&str]) -> anyhow::Result<Option<String>> {
        let mut path = String::new();
        for part in parts {
            let found = self.names(&path)?.into_iter().find(|name| name.eq_ignore_ascii_case(part));
            let Some(name) = found else { return Ok(None) };
            path = if path.is_empty() { name } else { format!("{path}/{name}") };
        }
        Ok(Some(path))
    }

    /// Where a file is, or would be made: links are followed, within the tree.
    fn place(&self, path: &str) -> anyhow::Result<Place> {
        let mut path = PathBuf::from(path);
        for _ in 0..MAX_LINKS {
            let parent = path.parent().unwrap_or(Path::new("")).to_owned();
            let name =
                PathBuf::from(path.file_name().with_context(|| format!("{} names no file", path.display()))?);
            let folder = self
                .open(&parent, OFlags::RDONLY | OFlags::DIRECTORY)
                .with_context(|| format!("opening the folder {}", parent.display()))?;
            let old = there(statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW))?;
            match old.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode)) {
                None | Some(FileType::RegularFile) => return Ok(Place { folder, name, old }),
                Some(FileType::Symlink) => {
                    let target = readlinkat(&folder, &name, Vec::new())?;
                    // An absolute one takes the place of the whole: the tree's root is its `/`.
                    path = parent.join(OsStr::from_bytes(target.to_bytes()));
                }
                Some(_) => bail!("{} is no file", path.display()),
            }
        }
        bail!("{}: too many links that lead to each other", path.display())
    }

    /// Puts a file in place of what has this name, whose owner, mode and label it takes; where there is none, `mode`.
    pub(crate) fn write(&self, path: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        self.write_by(path, mode, |file| Ok(file.write_all(bytes)?))
    }

    /// The same with what `fill` writes.
    pub(crate) fn write_by(
        &self,
        path: &str,
        mode: u32,
        fill: impl FnOnce(&mut std::fs::File) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let place = self.place(path)?;
        place.write(fill, mode).with_context(|| format!("writing {path}"))
    }

    /// Removes a file; says whether there was one. Of a link, itself.
    pub(crate) fn remove(&self, path: &str) -> anyhow::Result<bool> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.open(Path::new(parent), OFlags::RDONLY | OFlags::DIRECTORY);
        let Some(folder) = there(folder).with_context(|| parent.to_owned())? else { return Ok(false) };
        let removed = there(unlinkat(&folder, name, AtFlags::empty()));
        let removed = removed.with_context(|| format!("removing {path}"))?.is_some();
        if removed {
            fsync(&folder).with_context(|| format!("removing {path}"))?;
        }
        Ok(removed)
    }

    /// Makes a folder where there is none.
    pub(crate) fn make_folder(&self, path: &str) -> anyhow::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.open(Path::new(parent), OFlags::RDONLY | OFlags::DIRECTORY);
        let made = folder.and_then(|folder| match mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => fsync(&folder),
        });
        made.with_context(|| format!("making the folder {path}"))
    }
}

impl Place {
    fn write(
        &self,
        fill: impl FnOnce(&mut std::fs::File) -> anyhow::Result<()>,
        mode: u32,
    ) -> anyhow::Result<()> {
        let name = format!(".ezio-{:016x}", rand::random::<u64>());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.folder, &name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = std::fs::File::from(file);
        let placed = fill(&mut file).and_then(|()| self.finish(file, mode)).and_then(|()| {
            renameat(&self.folder, &name, &self.folder, &self.name)?;
            Ok(fsync(&self.folder)?)
        });
        if placed.is_err() {
            // It is an error already; a leftover that cannot be removed changes nothing.
            let _ = unlinkat(&self.folder, &name, AtFlags::empty());
        }
        placed
    }

    /// Gives the new file what it takes over from the old one.
    fn finish(&self, file: std::fs::File, mode: u32) -> anyhow::Result<()> {
        match &self.old {
            None => fchmod(&file, Mode::from_raw_mode(mode))?,
            Some(old) => {
                let new = fstat(&file)?;
                if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) {
                    fchown(&file, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)))?;
                }
                // A file system that knows no modes has every file in the same one.
                if new.st_mode != old.st_mode {
                    fchmod(&file, Mode::from_raw_mode(old.st_mode))?;
                }
                self.copy_label(file.as_fd())?;
            }
        }
        Ok(file.sync_all()?)
    }

    fn copy_label(&self, new: BorrowedFd<'_>) -> anyhow::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let old = openat(&self.folder, &self.name, flags, Mode::empty())?;
        let mut label = [0; MAX_LABEL];
        match fgetxattr(&old, LABEL, &mut label) {
            Ok(length) => Ok(fsetxattr(new, LABEL, &label[..length], XattrFlags::empty())?),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

/// What there is, if there is anything.
fn there<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    /// A folder with a tree in `root`, and something outside of it.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("root/etc")).unwrap();
        fs::create_dir_all(folder.path().join("root/run")).unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        folder
    }

    #[test]
    fn nothing_leads_out_of_the_tree() {
        let folder = folder();
        let root = folder.path().join("root");
        let tree = Tree::of(&root);
        symlink("../../secret", root.join("etc/up")).unwrap();
        symlink(folder.path().join("secret"), root.join("etc/absolute")).unwrap();
        symlink("/..", root.join("etc/parent")).unwrap();
        for path in ["etc/up", "etc/absolute", "../secret", "etc/parent/secret", "/../secret"] {
            assert_eq!(tree.read(path).unwrap(), None, "{path}");
        }
        assert!(tree.write("etc/absolute", b"x", 0o644).is_err(), "no such folder in the tree");
        tree.write("etc/up", b"x", 0o644).unwrap();
        tree.write("../secret", b"y", 0o644).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "outside");
        assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "y", "both mean the tree's own");
        tree.remove("../secret").unwrap();
        assert!(folder.path().join("secret").exists() && !root.join("secret").exists());
        assert!(tree.remove("etc/up").unwrap() && !tree.remove("etc/up").unwrap());
    }

    #[test]
    fn a_file_is_replaced_behind_its_links_and_keeps_who_may_read_it() {
        let folder = folder();
        let root = folder.path().join("root");
        let tree = Tree::of(&root);
        fs::write(root.join("run/id"), "old").unwrap();
        fs::set_permissions(root.join("run/id"), fs::Permissions::from_mode(0o640)).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(root.join("run/id"), Some(7), Some(8)).unwrap();
        }
        let before = fs::metadata(root.join("run/id")).unwrap();
        symlink("/run/id", root.join("etc/one")).unwrap();
        symlink("one", root.join("etc/two")).unwrap();
        tree.write("etc/two", b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(root.join("run/id")).unwrap(), "new");
        let after = fs::metadata(root.join("run/id")).unwrap();
        let who = |m: &fs::Metadata| (m.mode(), m.uid(), m.gid());
        assert_eq!(who(&after), who(&before));
        tree.write("etc/fresh", b"", 0o600).unwrap();
        assert_eq!(fs::metadata(root.join("etc/fresh")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(tree.names("etc").unwrap(), ["fresh", "one", "two"], "nothing is left over");
        symlink("round", root.join("etc/round")).unwrap();
        assert!(format!("{:#}", tree.write("etc/round", b"", 0o600).unwrap_err()).contains("too many links"));
        assert!(tree.read("etc").is_err() && tree.write("etc", b"", 0o600).is_err());
    }

    #[test]
    fn names_are_found_as_windows_finds_them() {
        let folder = folder();
        let tree = Tree::of(&folder.path().join("root"));
        tree.make_folder("WINDOWS").unwrap();
        tree.make_folder("WINDOWS/system32").unwrap();
        tree.make_folder("WINDOWS").unwrap();
        let found = tree.path_in_any_case(&["Windows", "System32"]).unwrap();
        assert_eq!(found.as_deref(), Some("WINDOWS/system32"));
        assert_eq!(tree.path_in_any_case(&["Windows", "Panther"]).unwrap(), None);
        assert!(tree.below("WINDOWS").unwrap().has("system32").unwrap());
        assert!(tree.make_folder("none/folder").is_err());
    }
}
