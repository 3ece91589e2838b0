//! `/sbin/modprobe`, as the kernel calls it (`modprobe -q -- NAME`) when it wants a module itself: a file system, a
//! character set, a transceiver's driver. It is a process of its own, so the worker leaves word for it of where files
//! are fetched from.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::depot::Depot;
use super::modules::ModuleLoader;
use crate::fetch::Fetcher;
use crate::fetch::location::Location;

/// One address a line; it is there once there is a network.
const FOLDERS: &str = "/run/ezio-boot-folders";
/// Whatever in the kernel wants the module waits for us.
const PATIENCE: Duration = Duration::from_secs(10);

/// Leaves word.
pub(crate) fn tell(folders: &[Location]) -> anyhow::Result<()> {
    let lines: String = folders.iter().map(|folder| format!("{folder}\n")).collect();
    fs::write(FOLDERS, lines).with_context(|| format!("writing {FOLDERS}"))
}

/// Loads what the kernel asks for; says whether there was anything to load.
pub(crate) fn modprobe(arguments: impl Iterator<Item = String>) -> anyhow::Result<bool> {
    let Some(name) = arguments.filter(|a| !a.starts_with('-')).last() else { return Ok(false) };
    let mut loader = ModuleLoader::open()?;
    let asked = loader.load_for(&name);
    if !asked.missing {
        return Ok(asked.tried > 0);
    }
    fetch(&loader, &name)?;
    Ok(loader.load_all_that_is_here(&name) + asked.tried > 0)
}

fn fetch(loader: &ModuleLoader, name: &str) -> anyhow::Result<()> {
    // Before there is a network, what asks has to do without.
    let folders = read_folders(Path::new(FOLDERS))?;
    let depot = Depot::new(folders, Fetcher::new()?, PATIENCE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let not_had = runtime.block_on(depot.fetch(loader.missing_for(name), loader.folder()));
    for failure in not_had {
        tracing::warn!("the kernel asks for {name}: {}: {}", failure.file, failure.why);
    }
    Ok(())
}

fn read_folders(path: &Path) -> anyhow::Result<Vec<Location>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    text.lines().map(|line| line.parse().with_context(|| path.display().to_string())).collect()
}
