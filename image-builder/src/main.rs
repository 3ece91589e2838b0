//! Captures disks into images, checks them, and packs the kernel and initrd for network boot.

mod cli;
mod netboot;
mod units;

use std::process::ExitCode;

use clap::Parser;

/// What images and netboot folders say they were written by.
const BUILDER: &str = concat!("image-builder ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let result = match &cli.command {
        cli::Command::Netboot(args) => netboot::run(args),
        _ => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image-builder: {error:#}");
            ExitCode::FAILURE
        }
    }
}
