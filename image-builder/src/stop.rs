//! Ctrl-C (SIGINT), SIGTERM and SIGHUP: what runs notices, stops and cleans up after itself.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use thiserror::Error;

/// The user asked to stop.
#[derive(Debug, Error)]
#[error("stopped by a signal")]
pub(crate) struct Stopped;

/// Whether to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicBool,
    /// A program that we wait for; it is stopped with us.
    child: Mutex<Option<Pid>>,
}

/// What a program printed, and how it ended.
pub(crate) struct Finished {
    /// Exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed to stdout.
    pub(crate) stdout: String,
    /// What it printed to stderr.
    pub(crate) stderr: String,
}

impl Stop {
    /// Takes the signals over. To be called once.
    pub(crate) fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let handler = stop.clone();
        ctrlc::set_handler(move || handler.ask()).context("cannot handle signals")?;
        Ok(stop)
    }

    fn ask(&self) {
        self.shared.asked.store(true, Ordering::SeqCst);
        if let Some(pid) = *self.shared.child.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may have ended in this moment: that is what we want.
            let _ = kill(pid, Signal::SIGTERM);
        }
    }

    /// Is it an error to go on?
    pub(crate) fn check(&self) -> Result<()> {
        match self.shared.asked.load(Ordering::SeqCst) {
            true => Err(Stopped.into()),
            false => Ok(()),
        }
    }

    /// Runs a program to its end; it is stopped when we are.
    pub(crate) fn run(&self, command: &mut Command) -> Result<Finished> {
        let name = command.get_program().to_string_lossy().into_owned();
        // Files, not pipes: nothing has to read while it runs.
        let (mut stdout, mut stderr) = (output_file()?, output_file()?);
        let share = |file: &std::fs::File| file.try_clone().context("cannot share a temporary file");
        command.stdin(Stdio::null()).stdout(share(&stdout)?).stderr(share(&stderr)?).env("LC_ALL", "C");
        let child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        let code = self.wait(child).with_context(|| format!("cannot wait for {name}"))?;
        self.check()?;
        Ok(Finished { code, stdout: read_back(&mut stdout)?, stderr: read_back(&mut stderr)? })
    }

    fn wait(&self, mut child: Child) -> Result<Option<i32>> {
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        *self.lock_child() = Some(pid);
        if self.check().is_err() {
            // The signal came before the handler knew of this child.
            let _ = kill(pid, Signal::SIGTERM);
        }
        // Waits without taking the process away: its id stays its own until the handler forgot it.
        while let Err(nix::errno::Errno::EINTR) =
            waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        {}
        *self.lock_child() = None;
        Ok(child.wait()?.code())
    }

    fn lock_child(&self) -> std::sync::MutexGuard<'_, Option<Pid>> {
        self.shared.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn output_file() -> Result<std::fs::File> {
    tempfile::tempfile().context("cannot make a temporary file")
}

/// The end of what a program printed (it may be much), bad UTF-8 replaced.
fn read_back(file: &mut std::fs::File) -> Result<String> {
    use std::io::{Seek, SeekFrom};
    const MOST: u64 = 1 << 20;
    let length = file.metadata().context("cannot read back a program's output")?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST))).context("cannot read back a program's output")?;
    file.take(MOST).read_to_end(&mut bytes).context("cannot read back a program's output")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_output_and_exit_code() {
        let finished =
            Stop::default().run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert_eq!(
            (finished.code, finished.stdout.as_str(), finished.stderr.as_str()),
            (Some(3), "out\n", "err\n")
        );
    }

    #[test]
    fn a_running_program_is_stopped_with_us() {
        let stop = Stop::default();
        let asker = stop.clone();
        let begin = std::time::Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while asker.lock_child().is_none() {
                    std::thread::yield_now();
                }
                asker.ask();
            });
            let error = stop.run(Command::new("sleep").arg("60")).err().unwrap();
            assert!(error.is::<Stopped>());
        });
        assert!(begin.elapsed().as_secs() < 30);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Stop::default().run(&mut Command::new("/nonexistent/program")).err().unwrap();
        assert!(format!("{error:#}").contains("/nonexistent/program"));
    }
}
