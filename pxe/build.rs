//! Builds the page (`page/`), and writes the table of its files that the program holds.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the page is made of.
const SOURCES: [&str; 6] =
    ["src", "index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("building the page: {e}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let page = Path::new("page");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", page.join(source).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("there is no OUT_DIR")?);
    install(page)?;
    let dist = out.join("page");
    let npm = ["run", "build", "--", "--logLevel", "warn", "--emptyOutDir", "--outDir"];
    run(Command::new("npm").args(npm).arg(&dist).current_dir(page))?;
    let table = table(&dist, &dist)?;
    fs::write(out.join("page.rs"), format!("[{table}]")).map_err(|e| format!("writing the table: {e}"))
}

/// Fetches the packages that the lock file names, unless they are there.
fn install(page: &Path) -> Result<(), String> {
    let lock = fs::read(page.join("package-lock.json")).map_err(|e| format!("package-lock.json: {e}"))?;
    let installed = page.join("node_modules/.ezio-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run(Command::new("npm").args(["ci", "--no-progress"]).current_dir(page))?;
    fs::write(&installed, lock).map_err(|e| format!("{}: {e}", installed.display()))
}

/// Runs a command. What it says goes to standard error: cargo reads the standard output.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| {
        format!("running npm: {e}: install node (18 or later) and npm, on Debian the packages nodejs and npm")
    })?;
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} in pxe/page: {}\n{said}", output.status))
    }
}

/// A line of Rust for each file below `folder`: its name, and its bytes.
fn table(dist: &Path, folder: &Path) -> Result<String, String> {
    let mut lines = String::new();
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.is_dir() {
            lines += &table(dist, &path)?;
            continue;
        }
        let name = path.strip_prefix(dist).map_err(|e| e.to_string())?;
        let _ = writeln!(lines, "({:?}, include_bytes!({path:?})),", name.display().to_string());
    }
    Ok(lines)
}
