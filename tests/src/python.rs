//! Programs of the Python Package Index, each in an environment of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::loopback::run;
use crate::programs::{PYTHON, own_file};
use crate::vm::material::workspace;

/// An environment with the packages that `NAME/requirements.txt` names, made once.
///
/// # Errors
/// The list cannot be read, or the packages cannot be had.
pub fn environment(name: &str) -> Result<PathBuf> {
    let wanted = own_file(&format!("{name}/requirements.txt"));
    let folder = workspace().join("build").join(name);
    let installed = folder.join("installed.txt");
    let names = fs::read(&wanted).with_context(|| format!("reading {}", wanted.display()))?;
    if fs::read(&installed).ok().as_ref() != Some(&names) {
        run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "-r"]).arg(&wanted))?;
        fs::write(&installed, names).context("taking note of what is installed")?;
    }
    Ok(folder)
}
