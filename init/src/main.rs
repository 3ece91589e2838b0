//! PID 1 of a netbooted machine: fetches its orders and writes the image to disk. On a running
//! system, `ezio-init write` and its sisters do the same to targets that are named.

// These macros panic when nobody takes what they print.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commands;
mod devices;
mod fetch;
mod handover;
mod identity;
mod logging;
mod machine;
mod net;
mod pid1;
mod roles;
mod run;
mod screen;
mod target;
#[cfg(test)]
mod test_image;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    roles::take_up(&std::env::args_os().collect::<Vec<_>>())
}
