//! How runs have ended since the server started, and what failed, in figures of a bounded number.

use std::collections::BTreeMap;

use super::history::{Deployment, Outcome};

/// Steps of init, as its failures name them. Whatever else a machine says counts as [`OTHER`].
const CAUSES: [&str; 24] = [
    "ask the server",
    "boot entries",
    "choose disk",
    "clear disk",
    "conf",
    "confirm",
    "devices",
    "ezio-init",
    "find disks",
    "grow file system",
    "hook after",
    "hook before",
    "identity",
    "image",
    "kernel command line",
    "key of the initrd",
    "network",
    "prove",
    "re-read of the table",
    "reports",
    "start",
    "stop",
    "write",
    "write table and boot code",
];
const OTHER: &str = "other";

/// Counts of runs that have ended.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    /// Of those that failed, by the step that did.
    pub(crate) causes: BTreeMap<&'static str, u64>,
}

impl Default for Tally {
    /// All at 0, for what appears at 1 has never grown in the eyes of Prometheus.
    fn default() -> Self {
        Self {
            outcomes: Outcome::ALL.iter().map(|outcome| (outcome.as_str(), 0)).collect(),
            causes: CAUSES.iter().chain([&OTHER]).map(|cause| (*cause, 0)).collect(),
        }
    }
}

impl Tally {
    pub(super) fn count(&mut self, ended: &Deployment) {
        *self.outcomes.entry(ended.outcome.as_str()).or_default() += 1;
        if let Some(step) = &ended.failed_step {
            let cause = CAUSES.into_iter().find(|cause| cause == step).unwrap_or(OTHER);
            *self.causes.entry(cause).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Names of steps in the sources of init.
    fn steps(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                steps(&path, found);
            } else {
                let source = std::fs::read_to_string(&path).unwrap();
                for begin in ["during(\"", "const STEP: &str = \""] {
                    let names = source.split(begin).skip(1).filter_map(|rest| rest.split('"').next());
                    found.extend(names.map(str::to_owned));
                }
            }
        }
    }

    #[test]
    fn each_step_of_init_is_a_cause() {
        let mut found = Vec::new();
        steps(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../init/src"), &mut found);
        found.sort();
        found.dedup();
        assert_eq!(found, CAUSES);
    }
}
