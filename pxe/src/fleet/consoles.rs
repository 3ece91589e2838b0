//! What stood on the consoles of machines: sent when they fail, and when somebody asks. The last ones are kept, over restarts too.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use ezio_contract::report::{MAX_CONSOLE, MAX_CONSOLE_LINE};
use ezio_contract::text::one_line;
use serde::{Deserialize, Serialize};

use crate::store::{CONSOLES, Entry};

/// Consoles that are kept, each of 32 KiB at most; the oldest go.
const KEPT: usize = 256;

/// The console of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Console {
    machine: String,
    /// When it came, in seconds since 1970.
    pub(crate) at: f64,
    pub(crate) lines: Vec<String>,
}

/// Those that are kept, and those that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Consoles {
    kept: HashMap<String, Console>,
    /// Machines that were asked; only such as are known, so that their number is bounded.
    asked: HashSet<String>,
}

impl Consoles {
    pub(super) fn new(kept: Vec<Console>) -> Self {
        let kept = kept.into_iter().map(|console| (console.machine.clone(), console)).collect();
        Self { kept, asked: HashSet::new() }
    }

    pub(super) fn get(&self, machine: &str) -> Option<&Console> {
        self.kept.get(machine)
    }

    pub(super) fn ask(&mut self, machine: &str) {
        self.asked.insert(machine.to_owned());
    }

    pub(super) fn is_asked(&self, machine: &str) -> bool {
        self.asked.contains(machine)
    }

    pub(super) fn is_any_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// It will not send one any more.
    pub(super) fn give_up(&mut self, machine: &str) {
        self.asked.remove(machine);
    }

    /// Keeps what a machine sent, and answers with what is to be written.
    pub(super) fn take(&mut self, machine: &str, lines: &[String], now: f64) -> Result<Vec<Entry>> {
        self.give_up(machine);
        let lines = lines.iter().take(MAX_CONSOLE).map(|line| one_line(line, MAX_CONSOLE_LINE)).collect();
        let console = Console { machine: machine.to_owned(), at: now, lines };
        let mut entries = vec![Entry::put(CONSOLES, machine, &console)?];
        self.kept.insert(machine.to_owned(), console);
        if self.kept.len() > KEPT
            && let Some(oldest) = self.kept.values().min_by(|a, b| a.at.total_cmp(&b.at))
        {
            let oldest = oldest.machine.clone();
            self.kept.remove(&oldest);
            entries.push(Entry::remove(CONSOLES, &oldest));
        }
        Ok(entries)
    }

    /// These machines are no more.
    pub(super) fn forget(&mut self, machines: &[String]) -> Vec<Entry> {
        machines.iter().for_each(|machine| self.give_up(machine));
        let gone = machines.iter().filter(|machine| self.kept.remove(*machine).is_some());
        gone.map(|machine| Entry::remove(CONSOLES, machine)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_are_kept_within_bounds_and_the_oldest_go() {
        let mut consoles = Consoles::default();
        let lines = vec!["x\u{1b}".repeat(1000); 1000];
        for number in 0..=KEPT {
            consoles.take(&number.to_string(), &lines, number as f64).unwrap();
        }
        assert_eq!((consoles.kept.len(), consoles.get("0")), (KEPT, None));
        let kept = consoles.get("1").unwrap();
        assert_eq!((kept.lines.len(), kept.lines[0].len()), (MAX_CONSOLE, MAX_CONSOLE_LINE));
        assert_eq!(consoles.take("1", &[], 1e3).unwrap().len(), 1, "in place of its last");
    }
}
