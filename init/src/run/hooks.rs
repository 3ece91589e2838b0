//! Commands of an operator, before and after.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use ezio_contract::initrd::SHELL;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::screen::Screen;

/// A hook that takes longer hangs.
const HOOK_BOUND: Duration = Duration::from_secs(3600);
/// A line of output longer than this is cut.
const LONGEST_LINE: u64 = 4096;

/// What a hook is told, as environment variables.
pub(crate) type HookEnvironment = Vec<(&'static str, String)>;

/// Runs the commands one after the other; the first that fails ends them.
pub(crate) async fn run(
    commands: &[String],
    environment: &HookEnvironment,
    screen: &Screen,
) -> anyhow::Result<()> {
    for command in commands {
        screen.step(&format!("hook: {command}"));
        run_one(command, environment, screen).await.with_context(|| format!("hook {command:?}"))?;
    }
    Ok(())
}

async fn run_one(command: &str, environment: &HookEnvironment, screen: &Screen) -> anyhow::Result<()> {
    let mut child = process_of(command, Path::new(SHELL))?
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot be started")?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let everything = async {
        tokio::join!(show(stdout, screen), show(stderr, screen));
        child.wait().await
    };
    let Ok(status) = timeout(HOOK_BOUND, everything).await else {
        bail!("has not ended within {} s", HOOK_BOUND.as_secs());
    };
    let status = status.context("cannot be waited for")?;
    if !status.success() {
        bail!("ended with {status}");
    }
    Ok(())
}

/// A command line for the shell, where the initrd has one; else a program and its arguments.
fn process_of(command: &str, shell: &Path) -> anyhow::Result<Command> {
    if shell.exists() {
        let mut process = Command::new(shell);
        process.arg("-c").arg(command);
        return Ok(process);
    }
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else { bail!("is empty") };
    let mut process = Command::new(program);
    process.args(words);
    Ok(process)
}

/// Shows what a hook prints, line by line, until it closes its output.
async fn show(output: Option<impl AsyncRead + Unpin>, screen: &Screen) {
    let Some(output) = output else { return };
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while matches!((&mut output).take(LONGEST_LINE).read_until(b'\n', &mut line).await, Ok(n) if n > 0) {
        screen.line(&format!("  {}", String::from_utf8_lossy(&line).trim_end()));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_hook_stops_with_its_exit_status() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let commands = ["echo \"$EZIO_DISKS\"".into(), "exit 7".into(), format!("touch {}", mark.display())];
        let environment = vec![("EZIO_DISKS", "/dev/sda".to_owned())];
        let error = run(&commands, &environment, &Screen::dark()).await.unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(text, "hook \"exit 7\": ended with exit status: 7");
        assert!(!mark.exists(), "what follows a failed hook is not run");
    }

    #[tokio::test]
    async fn without_a_shell_a_hook_is_a_program() {
        let none = Path::new("/nonexistent/sh");
        assert!(process_of("/bin/true a b", none).unwrap().status().await.unwrap().success());
        assert!(!process_of("/bin/false", none).unwrap().status().await.unwrap().success());
        assert!(process_of("  ", none).is_err());
        let missing = run(&["/nonexistent/program".into()], &Vec::new(), &Screen::dark()).await;
        assert!(missing.is_err());
    }
}
