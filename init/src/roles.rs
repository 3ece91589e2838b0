//! One program, several roles: PID 1, its worker and its shell, the kernel's modprobe, and the
//! commands of a person. Which one, is decided here and nowhere else.

use std::ffi::OsString;
use std::future::Future;
use std::io::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::commands::arguments::{self, Command, UsageError};
use crate::commands::signals::{StopSignals, Stopped};
use crate::commands::{deploy, plan, print, prove, write};
use crate::devices::modprobe;
use crate::handover::last_words::die_of_panics;
use crate::handover::{CONSOLE_SHELL, CRASH_REPORT, SCREEN, WORKER};
use crate::pid1::console_shell;
use crate::screen::terminal;
use crate::worker::crash_report;
use crate::{logging, pid1, worker};

const WRONG_CALL: u8 = 2;
/// Threads of the network, at most.
const MAX_THREADS: usize = 4;

/// Finds the role and plays it.
pub(crate) fn take_up(arguments: &[OsString]) -> ExitCode {
    let called_as = arguments.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    let rest = || arguments.iter().skip(1);
    if std::process::id() == 1 {
        pid1::main()
    }
    if called_as == "modprobe" {
        return load_for_the_kernel(rest());
    }
    match rest().next().and_then(|a| a.to_str()) {
        Some(WORKER) => work(),
        Some(CRASH_REPORT) => report_crash(rest().nth(1)),
        Some(CONSOLE_SHELL) => shell(rest().nth(1)),
        Some(SCREEN) => draw(rest().nth(1)),
        _ => serve_person(rest().cloned()),
    }
}

fn work() -> ExitCode {
    if let Err(error) = worker::is_child_of_pid1() {
        return refuse(&UsageError { message: format!("{error:#}"), usage: arguments::USAGE });
    }
    logging::start();
    die_of_panics();
    match runtime() {
        Ok(runtime) => {
            let end = runtime.block_on(worker::work());
            std::process::exit(end.exit_status())
        }
        Err(error) => fail(&error),
    }
}

fn load_for_the_kernel<'a>(arguments: impl Iterator<Item = &'a OsString>) -> ExitCode {
    logging::start();
    match modprobe::modprobe(arguments.map(|a| a.to_string_lossy().into_owned())) {
        Ok(true) => ExitCode::SUCCESS,
        // The kernel asks for much that there is no module for, and goes on without it.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn report_crash(why: Option<&OsString>) -> ExitCode {
    let why = why.map(|why| why.to_string_lossy().into_owned()).unwrap_or_default();
    match worker::is_child_of_pid1().and_then(|()| runtime()) {
        Ok(runtime) => {
            runtime.block_on(crash_report::report(why));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn shell(console: Option<&OsString>) -> ExitCode {
    let console = console.map(|c| c.to_string_lossy().into_owned()).unwrap_or_default();
    match worker::is_child_of_pid1().and_then(|()| console_shell::become_shell(&console)) {
        Err(error) => fail(&error),
    }
}

fn draw(terminal: Option<&OsString>) -> ExitCode {
    let terminal = Path::new(terminal.map(OsString::as_os_str).unwrap_or_default());
    said(worker::is_child_of_pid1().and_then(|()| terminal::draw(terminal)))
}

fn serve_person(rest: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match arguments::parse(rest) {
        Ok(command) => command,
        Err(error) => return refuse(&error),
    };
    logging::start();
    match command {
        Command::Help(text) => said(print(text)),
        Command::Version => said(print(concat!("ezio-init ", env!("CARGO_PKG_VERSION"), "\n"))),
        Command::Write(options) => run(async |signals| write::write(&options, signals).await),
        Command::Prove(options) => run(async |signals| unless_stopped(signals, prove::prove(&options)).await),
        Command::Plan(options) => run(async |signals| unless_stopped(signals, plan::plan(&options)).await),
        Command::Deploy(options) => {
            run(async |signals| unless_stopped(signals, deploy::deploy(&options)).await)
        }
    }
}

/// Runs to the end, or until SIGINT or SIGTERM; says whether it was stopped before its end.
fn run(work: impl AsyncFnOnce(&mut StopSignals) -> anyhow::Result<Result<(), Stopped>>) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(async {
        let mut signals = StopSignals::listen()?;
        work(&mut signals).await
    });
    // Work for the disk that is still going on ends with the process.
    runtime.shutdown_background();
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Stopped(signal))) => {
            let _ = writeln!(std::io::stderr(), "ezio-init: stopped by signal {signal}");
            ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
        }
        Err(error) => fail(&error),
    }
}

fn said(result: anyhow::Result<()>) -> ExitCode {
    result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

/// Drops the work when a signal comes.
async fn unless_stopped(
    signals: &mut StopSignals,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Result<(), Stopped>> {
    tokio::select! {
        result = work => result.map(Ok),
        stopped = signals.received() => Ok(Err(stopped)),
    }
}

/// Half of the cores are for the network: hashing and the disk have threads of their own. More would wake each other for
/// every packet.
fn runtime() -> anyhow::Result<Runtime> {
    let threads = (available_parallelism().map_or(1, NonZero::get) / 2).clamp(1, MAX_THREADS);
    let builder = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    builder.context("starting the runtime")
}

fn refuse(error: &UsageError) -> ExitCode {
    let _ = write!(std::io::stderr(), "ezio-init: {}\n\n{}", error.message, error.usage);
    ExitCode::from(WRONG_CALL)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "ezio-init: {error:#}");
    ExitCode::FAILURE
}
