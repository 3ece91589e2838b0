//! A worker that crashes (a bug, no memory left) has left its will: by it PID 1 tells the server, and takes the end
//! that the orders name.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use ezio_image::conf::EndAction;
use ezio_image::report::Event;
use serde::{Deserialize, Serialize};

use super::end::End;
use crate::cmdline::Cmdline;
use crate::machine::SystemPaths;
use crate::reporter::{ReportLine, Reporter};
use crate::run::report_end;
use crate::screen::Screen;

const WILL: &str = "/run/ezio-will.json";
const LAST_WORDS: &str = "/run/ezio-last-words";
/// The step that fails when the worker itself does.
pub(crate) const STEP: &str = "ezio-init";

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

/// From now on a panic of any thread ends this process, and what it said is left for PID 1.
pub(crate) fn die_of_panics() {
    die_of_panics_into(Path::new(LAST_WORDS));
}

fn die_of_panics_into(file: &'static Path) {
    std::panic::set_hook(Box::new(move |info| {
        let words = info.to_string().replace('\n', " ");
        let _ = writeln!(std::io::stderr(), "ezio-init: {words}");
        // There is nobody left to tell of a failure here.
        let _ = fs::write(file, words);
        std::process::abort();
    }));
}

/// What the worker said when it died, if it could.
pub(crate) fn last_words() -> Option<String> {
    fs::read_to_string(LAST_WORDS).ok()
}

/// Tells the server that the worker crashed; a role of its own, as PID 1 does nothing that could go wrong.
pub(crate) async fn report(why: String) {
    let will = Will::read();
    let next = will.end().to_string();
    let Some(line) = will.reports else { return };
    let paths = SystemPaths::below(Path::new("/"));
    let consoles = Cmdline::of_machine(&paths).unwrap_or_default().consoles;
    let screen = Screen::of_machine(&paths, &consoles);
    match Reporter::resume(line, paths) {
        Ok(reporter) => {
            report_end(&reporter, &screen, Event::Failed { step: STEP.into(), error: why, next }).await;
        }
        Err(error) => screen.step(&format!("the server is not told: {error:#}")),
    }
    screen.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const INSIDE: &str = "EZIO_TEST_LAST_WORDS";

    #[test]
    fn a_panic_of_any_thread_is_written_down_and_ends_the_process() {
        if let Some(file) = std::env::var_os(INSIDE) {
            die_of_panics_into(Path::new(Box::leak(file.into_boxed_os_str())));
            let thread = std::thread::spawn(|| panic!("the disk\nhas legs"));
            let _ = thread.join();
            unreachable!("the process has survived the panic of a thread");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("words");
        // It must die in a process of its own.
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "boot::crash::tests::a_panic_of_any_thread_is_written_down_and_ends_the_process",
            ])
            .env(INSIDE, &file)
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT));
        let words = fs::read_to_string(&file).unwrap();
        assert!(words.contains("crash.rs") && words.contains("the disk has legs"), "{words}");
    }

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
