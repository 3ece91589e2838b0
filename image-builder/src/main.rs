//! Captures disks into images, makes images of what others saved, checks them, and packs the kernel and initrd for network boot.

// These macros panic when nobody takes what they print.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod capture;
mod cli;
mod export;
mod image_dir;
mod import;
mod netboot;
mod progress;
mod show;
mod shrink;
mod stop;
mod store_args;
mod verify;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use stop::{Stop, Stopped};

/// What images and netboot folders say they were written by.
const BUILDER: &str = concat!("image-builder ", env!("CARGO_PKG_VERSION"));
/// Where programs of the system are, for users whose own PATH has no sbin.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Exit status after Ctrl-C, as shells have it.
const STOPPED: u8 = 130;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "image-builder: {error:#}");
            if error.is::<Stopped>() { ExitCode::from(STOPPED) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Capture(args) => capture::run(args, &Stop::on_signals()?)?,
        Command::Import(args) => import::run(args, &Stop::on_signals()?)?,
        Command::Shrink(args) => shrink::run(args, &Stop::on_signals()?)?,
        Command::Export(args) => export::run(args, &Stop::on_signals()?)?,
        Command::Show(args) => show::run(args)?,
        Command::Verify(args) => {
            if !verify::run(args, &Stop::on_signals()?)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Netboot(args) => netboot::run(args)?,
        Command::Manual { folder } => {
            ezio_manual::write(Cli::command(), "1", folder).context("writing the manual")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output, whose reader may have gone.
fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")
}

/// A program of the system.
fn find_program(name: &str) -> Option<PathBuf> {
    SEARCH_PATH.split(':').map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file())
}
