//! The server of ezio: DHCP, TFTP, HTTP, tracker, seeder and the view of the room.

// These macros panic when nobody takes what they print.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use ezio_contract::urls;
use rustix::process::{getpriority_process, setpriority_process};

mod access;
mod address;
mod ask;
mod boot;
mod catalogue;
mod cli;
mod client;
mod clock;
mod conf;
mod dhcp;
mod edit;
mod fleet;
mod history;
mod hooks;
mod http;
mod identity;
mod imported;
mod manage;
mod names;
mod orders;
mod plan;
mod rates;
mod schedule;
mod seats;
mod seeder;
mod settings;
#[cfg(test)]
mod settings_tests;
mod shared;
mod sites;
mod start;
mod status;
mod store;
mod summary;
mod tftp;
mod throttle;
mod tls;
mod tracker;
mod wake;
mod whole;

/// Of the server's threads, as setpriority(2) counts: 0 is usual, -20 goes first.
const PRIORITY: i32 = -10;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ezio-pxe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command to its end.
fn run(cli: Cli) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    if matches!(cli.command, Command::Serve(_)) {
        go_first();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => start::serve(args.resolve()?).await,
            Command::Status(args) => client::status(&args).await,
            Command::Plan(args) => client::plan(&args).await,
            Command::Again(args) => client::act(urls::AGAIN, args).await,
            Command::Approve(args) => client::act(urls::APPROVE, args).await,
            Command::Hold(args) => client::act(urls::HOLD, args).await,
            Command::Restart(args) => client::act(urls::RESTART, args).await,
            Command::Poweroff(args) => client::act(urls::POWER_OFF, args).await,
            Command::Forget(args) => client::act(urls::FORGET, args).await,
            Command::Wake(args) => client::act(urls::WAKE, args).await,
            Command::Console(args) => client::console(&args).await,
            Command::Deploy(args) => orders::deploy(&args).await,
            Command::Cancel(args) => client::act(urls::CANCEL, args).await,
            Command::Schedule { command } => orders::schedule(&command).await,
            Command::History(args) => client::history(&args).await,
            Command::Conf { command } => edit::conf(&command).await,
            Command::User { command } => manage::user(command).await,
            Command::Token { command } => manage::token(command).await,
            Command::Audit(args) => manage::audit(&args).await,
            Command::Manual { folder } => {
                ezio_manual::write(Cli::command(), "8", &folder).context("writing the manual")
            }
        }
    });
    // A write to the database may still be under way.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// The whole room waits for what only the server has: where others share its cores, it goes first, unless it was started
/// with another priority than the usual, or lacks the right. Threads inherit it, so it comes before all of them.
fn go_first() {
    if getpriority_process(None) == Ok(0)
        && let Err(error) = setpriority_process(None, PRIORITY)
    {
        tracing::debug!("keeping the usual priority: {error}");
    }
}
