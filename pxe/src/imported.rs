//! Images that Clonezilla saved: each is imported once into the folder of state, and served from there until Clonezilla's
//! own changes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ezio_clonezilla::{Directory, Orders, Plan, import, jobs};
use ezio_image::conf::units::human_size;
use ezio_image::manifest::MANIFEST_FILE;
use ezio_image::names::safe_name;
use ezio_imagedir::Keep;

/// Folder of the imported images, in the folder of state.
const FOLDER: &str = "imported";
/// What the images say they were made by.
const BUILDER: &str = concat!("ezio-pxe ", env!("CARGO_PKG_VERSION"));
/// Time between two lines that say how far an import is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The image directories to serve for those that were named.
pub(crate) fn resolve(images: &[PathBuf], state: Option<&Path>) -> Result<Vec<PathBuf>> {
    let mut resolved = Vec::new();
    for path in images {
        if path.join(MANIFEST_FILE).exists() || !Directory::is_one(path) {
            resolved.push(path.clone());
            continue;
        }
        let state = state.with_context(|| {
            format!("{} is an image of Clonezilla: --state names a folder to import it into", path.display())
        })?;
        let imported = import_all(path, &state.join(FOLDER));
        resolved.extend(imported.with_context(|| format!("cannot import {}", path.display()))?);
    }
    Ok(resolved)
}

fn import_all(path: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let directory = Directory::open(path)?;
    let whole = fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
    let name = safe_name(&whole.file_name().unwrap_or_default().to_string_lossy());
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    remove_remains(folder, &name)?;
    let state = directory.state()?;
    let jobs = jobs(&directory, &folder.join(&name))?;
    for (which, output) in &jobs {
        let mark = output.with_added_extension("source");
        if output.join(MANIFEST_FILE).exists() && fs::read_to_string(&mark).is_ok_and(|known| known == state)
        {
            continue;
        }
        let plan = Plan::make(&directory, which)?;
        import_one(&plan, output)?;
        fs::write(&mark, &state).with_context(|| format!("cannot write {}", mark.display()))?;
    }
    Ok(jobs.into_iter().map(|(_, output)| output).collect())
}

fn import_one(plan: &Plan<'_>, output: &Path) -> Result<()> {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let (total, mut done, mut told) = (plan.total_length(), 0, Instant::now());
    tracing::info!("{name}: importing {} from Clonezilla's image", human_size(total));
    let orders = Orders {
        name: &name,
        output,
        replace: true,
        keep: Keep::Zstd { level: None },
        piece_length: None,
        arch: None,
        builder: BUILDER,
    };
    let (manifest, architecture) = import(plan, &orders, &mut |part, length| {
        done += length;
        if told.elapsed() >= LINE_EVERY {
            told = Instant::now();
            tracing::info!("{name}: {part}, {} of {} imported", human_size(done), human_size(total));
        }
        Ok(())
    })?;
    for note in &manifest.notes {
        tracing::warn!("{name}: {note}");
    }
    tracing::info!("{name}: imported, {architecture}");
    Ok(())
}

/// Removes what an import left that was killed.
fn remove_remains(folder: &Path, name: &str) -> Result<()> {
    let list = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in list.flatten() {
        let own = entry
            .file_name()
            .to_string_lossy()
            .strip_prefix(name)
            .is_some_and(|rest| rest.contains(".partial-"));
        if !own {
            continue;
        }
        match fs::remove_dir_all(entry.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", entry.path().display()));
            }
            _ => {}
        }
    }
    Ok(())
}
