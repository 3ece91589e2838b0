//! What the worker leaves on its way, should it crash (a bug, no memory left): by it the server is told, and PID 1
//! takes the end that the orders name.

use std::fs;

use ezio_image::conf::EndAction;
use serde::{Deserialize, Serialize};

use super::end::End;
use crate::run::reporter::ReportLine;

const WILL: &str = "/run/ezio-will.json";

/// What is to be done should the worker crash.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Will {
    /// The server that is to be told.
    pub(crate) reports: Option<ReportLine>,
    pub(crate) on_error: EndAction,
}

impl Will {
    /// Leaves it for PID 1, in place of what was left before.
    pub(crate) fn leave(&self) {
        let written = serde_json::to_vec(self).map_err(Into::into).and_then(|text| fs::write(WILL, text));
        if let Err(error) = written {
            tracing::warn!("{WILL}: {error}");
        }
    }

    /// What the worker left; without a word from it the machine starts again.
    pub(crate) fn read() -> Self {
        fs::read(WILL).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub(crate) fn end(&self) -> End {
        End { action: self.on_error, failed: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::SystemPaths;
    use std::path::Path;

    #[test]
    fn a_will_is_read_as_it_was_left() {
        let url = "http://10.0.0.1:8080/api/report".parse().unwrap();
        let paths = SystemPaths::below(Path::new("/"));
        let reports = Some(ReportLine::new(url, Default::default(), &paths));
        let will = Will { reports, on_error: EndAction::Hold };
        let read: Will = serde_json::from_slice(&serde_json::to_vec(&will).unwrap()).unwrap();
        assert_eq!((read.reports, read.on_error), (will.reports, will.on_error));
    }
}
