//! The server of ezio: DHCP, TFTP, HTTP, tracker, seeder and the view of the room.

// These macros panic when nobody takes what they print.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

mod boot;
mod catalogue;
mod cli;
mod client;
mod conf;
mod dhcp;
mod fleet;
mod http;
mod server;
mod settings;
mod sites;
mod status;
mod tftp;
mod throttle;
mod tracker;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match server::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ezio-pxe: {error:#}");
            ExitCode::FAILURE
        }
    }
}
