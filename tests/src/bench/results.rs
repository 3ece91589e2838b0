//! Results as a file: what was measured, on which machine, with which versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::loopback::Transfer;
use super::trial::Trial;
use crate::programs;

/// The machine that a benchmark ran on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor's name.
    pub processor: String,
    /// Logical processors.
    pub processors: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// Distribution.
    pub distribution: String,
}

impl Machine {
    /// Describes this machine.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim_matches([' ', '\t', ':', '=', '"']).to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            distribution: field(&read("/etc/os-release"), "PRETTY_NAME"),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, processors, memory_mib, kernel, distribution } = self;
        write!(f, "{processors} x {processor}, {memory_mib} MiB, {distribution}, Linux {kernel}")
    }
}

/// Everything one call of the benchmark measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Seconds since 1970 at the start.
    pub unix_seconds: u64,
    /// Commit that was built, if the sources are a git checkout; `-dirty` if they were changed.
    pub commit: String,
    /// Where it ran.
    pub machine: Machine,
    /// Versions of the programs compared with.
    pub versions: BTreeMap<String, String>,
    /// Trials in rooms.
    #[serde(default)]
    pub rooms: Vec<Trial>,
    /// Transfers from one process to another on this machine.
    #[serde(default)]
    pub loopback: Vec<Transfer>,
}

impl Results {
    /// Empty results of a run that starts now.
    #[must_use]
    pub fn begin() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let manifest = programs::own_file("").display().to_string();
        let commit = first_line("git", &["-C", &manifest, "describe", "--always", "--dirty", "--abbrev=12"]);
        Self {
            unix_seconds: now.as_secs(),
            commit: commit.unwrap_or_default(),
            machine: Machine::here(),
            versions: versions(),
            rooms: Vec::new(),
            loopback: Vec::new(),
        }
    }

    /// Reads results.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not a file of results", path.display()))
    }

    /// Writes results: the whole file or none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let what = || format!("write {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(what)?;
        }
        let partial = path.with_extension("partial");
        fs::write(&partial, serde_json::to_vec_pretty(self)?).with_context(what)?;
        fs::rename(&partial, path).with_context(what)
    }

    /// Where results are kept unless told otherwise.
    #[must_use]
    pub fn default_path(&self) -> PathBuf {
        let name = format!("{}-{}.json", self.unix_seconds, self.commit);
        programs::own_file("../bench/results").join(name)
    }
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned())
}

fn versions() -> BTreeMap<String, String> {
    let ask: [(&str, &str, &[&str]); 4] = [
        ("aria2c", "aria2c", &["--version"]),
        ("libtorrent", programs::PYTHON, &["-c", "import libtorrent; print(libtorrent.__version__)"]),
        ("transmission", "transmission-create", &["--version"]),
        ("udpcast", "dpkg-query", &["-W", "-f", "${Version}", "udpcast"]),
    ];
    let answer =
        |(name, program, args): (&str, &str, &[&str])| Some((name.to_owned(), first_line(program, args)?));
    ask.into_iter().filter_map(answer).collect()
}
