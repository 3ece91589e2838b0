//! PID 1 of a netbooted machine: fetches its orders and writes the image to disk. On a running
//! system, `ezio-init write` and its sisters do the same to targets that are named.

// These macros panic when nobody takes what they print.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod assignment;
mod boot;
mod briefing;
mod cmdline;
mod console;
mod deployment;
mod fetch;
mod held_head;
mod hooks;
mod image_source;
mod in_use;
mod ip_param;
mod location;
mod logging;
mod machine;
mod nag;
mod net;
mod on_running_system;
mod progress_output;
mod reporter;
mod roles;
mod run;
mod screen;
mod signals;
mod signature;
#[cfg(test)]
mod test_image;
mod torrent_source;
mod transfer;
mod worker;
mod write;

use std::process::ExitCode;

fn main() -> ExitCode {
    roles::take_up(&std::env::args_os().collect::<Vec<_>>())
}
