//! A program on a host of the room: its log, when it was done, what it took.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const SAMPLE_PERIOD: Duration = Duration::from_millis(500);

/// What tells that a program has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A line `{"event":"complete",…}` on its standard output.
    Event,
    /// It ends, with success.
    Exit,
    /// Never: it serves.
    Never,
}

/// What a program took so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Most memory that was resident at a time, in KiB.
    pub peak_kib: u64,
    /// Processor time in the program itself, in seconds.
    pub user_seconds: f64,
    /// Processor time in the kernel on its behalf, in seconds.
    pub system_seconds: f64,
}

/// What reached a target. A run is a write that does not begin where the one before ended, and all that go on there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes in all.
    pub bytes: u64,
    /// Calls.
    pub writes: u64,
    /// Runs: each but the first is a seek.
    pub runs: u64,
    /// Runs that begin before the end of the one before.
    pub backward_runs: u64,
    /// Bytes of the longest run.
    pub longest_run: u64,
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mean = mib(self.bytes) / self.runs.max(1) as f64;
        let Self { runs, backward_runs, writes, .. } = self;
        let longest = mib(self.longest_run);
        write!(
            f,
            "{writes} writes, {runs} runs of {mean:.1} MiB (longest {longest:.0}), {backward_runs} backward"
        )
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// The first of each kind.
    events: Vec<(String, Instant, Value)>,
    last: Option<Value>,
    ended: bool,
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    label: String,
    log: PathBuf,
    finish: Finish,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    done: Option<Instant>,
    usage: Usage,
    sampled: Instant,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Starts a program. Its output goes to `log`; lines of JSON on its standard output are events.
    ///
    /// # Errors
    /// It cannot be started, or the log cannot be written.
    pub fn spawn(mut command: Command, label: &str, log: &Path, finish: Finish) -> Result<Self> {
        let errors = File::create(log).with_context(|| format!("create the log {}", log.display()))?;
        let mut copy = errors.try_clone().context("share a log")?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().with_context(|| format!("start {label}: {command:?}"))?;
        let stdout = child.stdout.take().context("standard output of a child")?;
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let shared = Arc::clone(&seen);
        let read = move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let now = Instant::now();
                // A full disk must not stop the measurement.
                let _ = copy.write_all(&line).and_then(|()| copy.write_all(b"\n"));
                note_line(&shared, &line, now);
            }
            lock(&shared.0).ended = true;
            shared.1.notify_all();
        };
        std::thread::Builder::new().name(label.into()).spawn(read).context("start a reader")?;
        let (label, log) = (label.to_owned(), log.to_owned());
        Ok(Self {
            child,
            label,
            log,
            finish,
            seen,
            done: None,
            usage: Usage::default(),
            sampled: Instant::now(),
        })
    }

    /// When the program was done; `None` while it is not.
    ///
    /// # Errors
    /// It ended without being done: the error holds the end of its log.
    pub fn poll(&mut self) -> Result<Option<Instant>> {
        if self.done.is_some() {
            return Ok(self.done);
        }
        let status = self.child.try_wait().with_context(|| format!("wait for {}", self.label))?;
        if self.finish == Finish::Event {
            self.done = self.seen_at("complete");
        }
        match status {
            Some(status) if self.finish == Finish::Exit && status.success() => {
                self.done = Some(Instant::now())
            }
            // Its last lines may still be on their way through the pipe.
            Some(status) if self.done.is_none() && self.output_ended() => {
                bail!("{} ended ({status}): {}", self.label, self.log_end())
            }
            _ => {}
        }
        // A program that ends when it is done leaves nothing to look up.
        if self.done.is_some() || self.sampled.elapsed() > SAMPLE_PERIOD {
            self.sample();
        }
        Ok(self.done)
    }

    fn output_ended(&self) -> bool {
        lock(&self.seen.0).ended
    }

    /// When an event was first seen.
    #[must_use]
    pub fn seen_at(&self, event: &str) -> Option<Instant> {
        lock(&self.seen.0).events.iter().find(|(name, ..)| name == event).map(|(_, at, _)| *at)
    }

    /// What ezio said that it wrote, once it is done.
    #[must_use]
    pub fn written(&self) -> Option<Written> {
        let seen = lock(&self.seen.0);
        let (.., complete) = seen.events.iter().find(|(name, ..)| name == "complete")?;
        serde_json::from_value(complete.get("written")?.clone()).ok()
    }

    /// The last event, whole.
    #[must_use]
    pub fn last_event(&self) -> Option<Value> {
        lock(&self.seen.0).last.clone()
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// It does not come in time, or the program ends before: the error holds the end of its log.
    pub fn wait_for(&self, event: &str, limit: Duration) -> Result<Instant> {
        let deadline = Instant::now() + limit;
        let mut seen = lock(&self.seen.0);
        loop {
            if let Some((_, at, _)) = seen.events.iter().find(|(name, ..)| name == event) {
                return Ok(*at);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.ended {
                let how = if seen.ended { "ended" } else { "did not come so far in time" };
                drop(seen);
                bail!("{} {how}, before {event:?}: {}", self.label, self.log_end());
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the program has done its work.
    ///
    /// # Errors
    /// It does not come to that in time, or fails.
    pub fn wait_done(&mut self, limit: Duration) -> Result<Instant> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.poll()? {
                return Ok(at);
            }
            if Instant::now() > deadline {
                bail!("{} was not done within {limit:?}: {}", self.label, self.log_end());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Looks up what the program has taken so far, while it still runs.
    pub fn sample(&mut self) -> Usage {
        self.sampled = Instant::now();
        let folder = Path::new("/proc").join(self.child.id().to_string());
        if let Some(peak) = peak_kib(&fs::read_to_string(folder.join("status")).unwrap_or_default()) {
            self.usage.peak_kib = self.usage.peak_kib.max(peak);
        }
        if let Some(seconds) = cpu_seconds(&fs::read_to_string(folder.join("stat")).unwrap_or_default()) {
            (self.usage.user_seconds, self.usage.system_seconds) = seconds;
        }
        self.usage
    }

    /// Processor time of its threads so far, those of one name together: in the program, and in the kernel.
    #[must_use]
    pub fn threads(&self) -> BTreeMap<String, (f64, f64)> {
        let folder = Path::new("/proc").join(self.child.id().to_string()).join("task");
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(folder).into_iter().flatten().flatten() {
            // A thread may end at any time.
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let (name, Some((user, system))) = (read("comm"), cpu_seconds(&read("stat"))) else { continue };
            let of_name: &mut (f64, f64) = threads.entry(name.trim().to_owned()).or_default();
            *of_name = (of_name.0 + user, of_name.1 + system);
        }
        threads
    }

    /// The last lines of its log, for error messages.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn note_line(shared: &(Mutex<Seen>, Condvar), line: &[u8], now: Instant) {
    if !line.starts_with(b"{") {
        return;
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return };
    let Some(event) = value.get("event").and_then(Value::as_str).map(str::to_owned) else { return };
    let mut seen = lock(&shared.0);
    // Only the first of its kind counts: progress comes every second.
    if !seen.events.iter().any(|(name, ..)| *name == event) {
        seen.events.push((event, now, value.clone()));
    }
    seen.last = Some(value);
    shared.1.notify_all();
}

fn peak_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// In the program, and in the kernel.
fn cpu_seconds(stat: &str) -> Option<(f64, f64)> {
    // The name in parentheses may hold spaces: utime and stime are fields 14 and 15 of the line.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user / 100.0, system / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, finish: Finish) -> (Process, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = Process::spawn(command, "test", &folder.path().join("log"), finish).unwrap();
        (process, folder)
    }

    #[test]
    fn a_complete_event_is_noticed_though_the_program_goes_on() {
        let script = r#"echo noise; echo '{"event":"complete","done_bytes":7}'; exec sleep 60"#;
        let (mut process, _folder) = shell(script, Finish::Event);
        process.wait_done(Duration::from_secs(10)).unwrap();
        assert_eq!(process.last_event().unwrap()["done_bytes"], 7);
        assert!(process.sample().peak_kib > 0);
    }

    #[test]
    fn a_program_that_ends_without_being_done_has_failed() {
        let (mut process, _folder) = shell("echo broken >&2; exit 0", Finish::Event);
        let error = process.wait_done(Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
        let (mut process, _folder) = shell("exit 3", Finish::Exit);
        assert!(process.wait_done(Duration::from_secs(10)).is_err());
    }

    #[test]
    fn success_is_done_where_the_end_counts() {
        let (mut process, _folder) = shell("exit 0", Finish::Exit);
        process.wait_done(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn processor_time_is_read_behind_a_name_with_spaces() {
        let stat = "12 (a b) c) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1";
        assert_eq!(cpu_seconds(stat), Some((1.5, 0.5)));
    }
}
