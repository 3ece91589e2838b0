//! Making a file system shorter by its own tools, and asking them whether it is sound.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use ezio_image::conf::units::human_size;
use ezio_image::filesystem::inspect;
use ezio_image::manifest::PartitionInfo;

use crate::stop::{Finished, Stop};

/// What a file system is made smaller by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shrinker {
    Ext,
    Ntfs,
    Btrfs,
}

/// Lengths that btrfs takes are multiples of this, in bytes.
const BTRFS_SECTOR: u64 = 4096;

impl Shrinker {
    /// For the file system of a partition.
    pub(super) fn of(info: &PartitionInfo) -> Result<Self> {
        let name = &info.name;
        ensure!(info.has_torrent(), "{name} holds nothing that could be made smaller");
        match info.filesystem.as_deref().unwrap_or_default() {
            "ext2" | "ext3" | "ext4" => Ok(Self::Ext),
            "ntfs" => Ok(Self::Ntfs),
            "btrfs" => Ok(Self::Btrfs),
            "xfs" => bail!(
                "{name} is XFS, which cannot be made smaller by anything: make a smaller one and copy the files"
            ),
            "" => bail!("what is on {name} is not known"),
            other => bail!("{name} is {other}, which is not made smaller here: ext2/3/4, NTFS and btrfs are"),
        }
    }

    /// Makes it so many bytes long, or as short as it goes; gives its length.
    pub(super) fn shrink(self, file: &Path, to: Option<u64>, stop: &Stop) -> Result<u64> {
        let now = length_of(file)?;
        if let Some(to) = to.filter(|to| *to >= now) {
            bail!("the file system has {} and is not longer than {}", human_size(now), human_size(to));
        }
        match self {
            Self::Ext => {
                // Without this resize2fs refuses.
                self.check_and_mend(file, stop)?;
                let mut resize = Command::new("resize2fs");
                match to {
                    // A number of 512-byte sectors.
                    Some(to) => resize.arg(file).arg(format!("{}s", to / 512)),
                    None => resize.arg("-M").arg(file),
                };
                succeed(stop, &mut resize)?;
            }
            Self::Ntfs => {
                let to = match to {
                    Some(to) => to,
                    None => least_of_ntfs(file, stop)?,
                };
                // Forced twice it asks no questions.
                let mut resize = Command::new("ntfsresize");
                resize.args(["--force", "--force", "--no-progress-bar", "--size", &to.to_string()]);
                succeed(stop, resize.arg(file))?;
            }
            Self::Btrfs => {
                let mounted = Mounted::mount(file, stop)?;
                let to = match to {
                    Some(to) => to,
                    None => least_of_btrfs(&mounted, stop)?,
                };
                let to = (to / BTRFS_SECTOR * BTRFS_SECTOR).to_string();
                let mut resize = Command::new("btrfs");
                succeed(stop, resize.args(["filesystem", "resize", &to]).arg(mounted.folder()))?;
                mounted.unmount(stop)?;
            }
        }
        length_of(file)
    }

    /// Is it sound?
    pub(super) fn check(self, file: &Path, stop: &Stop) -> Result<()> {
        let mut check = match self {
            Self::Ext => with("e2fsck", &["-f", "-n"]),
            // The volume is marked for chkdsk by then, which --force looks past.
            Self::Ntfs => with("ntfsresize", &["--info", "--force", "--no-progress-bar"]),
            Self::Btrfs => with("btrfs", &["check", "--readonly"]),
        };
        succeed(stop, check.arg(file)).context("the smaller file system is not sound")?;
        Ok(())
    }

    /// What else people should know.
    pub(super) fn note(self, info: &PartitionInfo) -> Option<String> {
        let checked = "Windows checks it (chkdsk) when it starts for the first time";
        (self == Self::Ntfs).then(|| format!("{}: {checked}", info.name))
    }

    fn check_and_mend(self, file: &Path, stop: &Stop) -> Result<()> {
        let mended = run(stop, with("e2fsck", &["-f", "-p"]).arg(file))?;
        // 1: something was mended.
        ensure!(matches!(mended.code, Some(0 | 1)), "e2fsck finds damage: {}", said(&mended));
        Ok(())
    }
}

fn length_of(file: &Path) -> Result<u64> {
    let open = std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let found = inspect(&open, 0).context("cannot read the superblock")?;
    Ok(found.context("there is no file system any more")?.size)
}

fn least_of_ntfs(file: &Path, stop: &Stop) -> Result<u64> {
    let told = succeed(stop, with("ntfsresize", &["--info", "--force", "--no-progress-bar"]).arg(file))?;
    let line = told.stdout.lines().find_map(|line| line.strip_prefix("You might resize at "));
    let bytes = line.and_then(|line| line.split(' ').next()).and_then(|number| number.parse().ok());
    bytes.with_context(|| format!("ntfsresize does not tell how short it can be: {}", said(&told)))
}

fn least_of_btrfs(mounted: &Mounted, stop: &Stop) -> Result<u64> {
    let mut ask = with("btrfs", &["inspect-internal", "min-dev-size"]);
    let told = succeed(stop, ask.arg(mounted.folder()))?;
    let bytes = told.stdout.split(' ').next().and_then(|number| number.parse().ok());
    bytes.with_context(|| format!("btrfs does not tell how short it can be: {}", said(&told)))
}

fn with(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn run(stop: &Stop, command: &mut Command) -> Result<Finished> {
    stop.run(command.env("PATH", crate::SEARCH_PATH))
}

fn succeed(stop: &Stop, command: &mut Command) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let finished = run(stop, command)?;
    ensure!(finished.code == Some(0), "{name} fails: {}", said(&finished));
    Ok(finished)
}

/// The last that a program said.
fn said(finished: &Finished) -> String {
    let both = format!("{}\n{}", finished.stdout, finished.stderr);
    let lines: Vec<&str> = both.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

/// A file system that is mounted from its file.
struct Mounted {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl Mounted {
    fn mount(file: &Path, stop: &Stop) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let mut mount = with("mount", &["-t", "btrfs", "-o", "loop,nodev,nosuid,noexec"]);
        succeed(stop, mount.arg(file).arg(folder.path()))
            .context("btrfs is made smaller while it is mounted")?;
        Ok(Self { folder, mounted: true })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn unmount(mut self, stop: &Stop) -> Result<()> {
        succeed(stop, Command::new("umount").arg(self.folder()))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.mounted {
            // An error is on its way already.
            let _ = Command::new("umount").arg(self.folder()).env("PATH", crate::SEARCH_PATH).status();
        }
    }
}
