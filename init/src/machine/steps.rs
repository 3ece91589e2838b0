//! When this machine takes its steps until data flows, in seconds since its kernel started.

use std::sync::{Arc, Mutex, PoisonError};

use ezio_contract::report::StepTimes;

use super::SystemPaths;

/// The steps so far. Clones are the same: who takes a step and who tells of it share them.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    paths: SystemPaths,
    taken: Arc<Mutex<StepTimes>>,
}

impl Steps {
    /// None is taken yet.
    pub(crate) fn new(paths: &SystemPaths) -> Self {
        Self { paths: paths.clone(), taken: Arc::default() }
    }

    /// Takes one now; the first time counts.
    pub(crate) fn take(&self, step: impl FnOnce(&mut StepTimes) -> &mut Option<f64>) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        step(&mut taken).get_or_insert_with(|| self.now_s());
    }

    pub(crate) fn taken(&self) -> StepTimes {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds since the kernel started.
    pub(crate) fn now_s(&self) -> f64 {
        let text = std::fs::read_to_string(self.paths.proc.join("uptime")).unwrap_or_default();
        text.split_whitespace().next().and_then(|s| s.parse().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_taken_once_by_the_kernels_clock() {
        let root = tempfile::tempdir().unwrap();
        let paths = SystemPaths::below(root.path());
        std::fs::create_dir(&paths.proc).unwrap();
        let steps = Steps::new(&paths);
        for (uptime, link) in [("7.25 6.50", 7.25), ("9.00 8.00", 7.25)] {
            std::fs::write(paths.proc.join("uptime"), format!("{uptime}\n")).unwrap();
            steps.clone().take(|times| &mut times.link_s);
            assert_eq!(steps.taken(), StepTimes { link_s: Some(link), ..StepTimes::default() });
        }
        assert_eq!(steps.now_s(), 9.0);
    }
}
