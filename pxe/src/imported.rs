//! Images that Clonezilla saved: each is imported once into the folder of state, and served from there until Clonezilla's
//! own changes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ezio_clonezilla::{Directory, Orders, Plan, choices, import};
use ezio_image::conf::units::human_size;
use ezio_image::manifest::MANIFEST_FILE;
use ezio_image::names::safe_name;
use ezio_imagedir::{Keep, Set, SetWriter};

/// Folder of the imported images, in the folder of state.
const FOLDER: &str = "imported";
/// What the images say they were made by.
const BUILDER: &str = concat!("ezio-pxe ", env!("CARGO_PKG_VERSION"));
/// How they keep their data.
const KEEP: Keep = Keep::Zstd { level: None };
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
        resolved.push(imported.with_context(|| format!("cannot import {}", path.display()))?);
    }
    Ok(resolved)
}

fn import_all(path: &Path, folder: &Path) -> Result<PathBuf> {
    let directory = Directory::open(path)?;
    let whole = fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
    let name = safe_name(&whole.file_name().unwrap_or_default().to_string_lossy());
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    remove_remains(folder, &name)?;
    let state = directory.state()?;
    let output = folder.join(&name);
    let mark = output.with_added_extension("source");
    let there = output.join(MANIFEST_FILE).exists() || Set::is_one(&output);
    if there && fs::read_to_string(&mark).is_ok_and(|known| known == state) {
        return Ok(output);
    }
    let which = choices(&directory)?;
    let plans = which.iter().map(|which| Plan::make(&directory, which)).collect::<Result<Vec<_>>>()?;
    match plans.as_slice() {
        [plan] => import_one(plan, &name, &output)?,
        several => {
            let needed = KEEP.room(several.iter().map(Plan::needed_room).sum());
            let mut set = SetWriter::create(&output, &name, BUILDER, true, needed)?;
            for (which, plan) in which.iter().zip(several) {
                let (output, name) = set.add(which.in_set());
                import_one(plan, &name, &output)?;
            }
            set.finish()?;
        }
    }
    fs::write(&mark, &state).with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(output)
}

fn import_one(plan: &Plan<'_>, name: &str, output: &Path) -> Result<()> {
    let (total, mut done, mut told) = (plan.total_length(), 0, Instant::now());
    tracing::info!("{name}: importing {} from Clonezilla's image", human_size(total));
    let orders =
        Orders { name, output, replace: true, keep: KEEP, piece_length: None, arch: None, builder: BUILDER };
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
