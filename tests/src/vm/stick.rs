//! The stick of `make stick`, as a person prepares it for a machine.

use super::devices::Bus;
use super::machine::Disk;
use super::material;
use crate::programs;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What makes a machine speak on its serial port, and go on where a busy host lets the timer of an emulated machine tick
/// late (the kernel would panic).
pub const SPEAK_ON_SERIAL: &str = "options=\"console=tty0 console=ttyS0,115200 no_timer_check\"";

/// A copy of it for the machine `name`, with these lines in its ezio.txt: written with an editor that ends lines as
/// Windows does.
pub fn prepare(folder: &Path, name: &str, lines: &[&str]) -> Result<Disk> {
    programs::need(&["mcopy"])?;
    let file = folder.join(format!("{name}.stick"));
    fs::copy(material::stick()?, &file).with_context(|| format!("copying to {}", file.display()))?;
    let text = folder.join(format!("{name}.ezio.txt"));
    let words: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    fs::write(&text, words).with_context(|| format!("writing {}", text.display()))?;
    let mut copy = Command::new("mcopy");
    // Its file system begins at 1 MiB.
    copy.args(["-o", "-i"]).arg(format!("{}@@1M", file.display())).arg(&text).arg("::ezio.txt");
    let output = copy.output().context("running mcopy")?;
    ensure!(output.status.success(), "mcopy: {}", String::from_utf8_lossy(&output.stderr));
    let size = file.metadata().with_context(|| format!("looking at {}", file.display()))?.len();
    Ok(Disk { file, size, block_size: 512, bus: Bus::Usb, serial: format!("STICK-{name}"), warnings: 0 })
}
