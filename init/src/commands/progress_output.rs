//! How `write` and `prove` show their progress: for programs (JSON on standard output), or for people (standard error).

use std::fmt;
use std::io::{IsTerminal, Write, stderr, stdout};

use ezio_contract::report::Progress;
use ezio_image::conf::units::human_size;
use ezio_swarm::storage::WriteStats;
use serde::Serialize;

use super::arguments::ProgressMode;
use crate::run::transfer::Moment;
use crate::screen::Screen;
use crate::screen::console::{Console, Style};
use crate::screen::view::Doing;

/// One object a line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line {
    Progress(Progress),
    Complete {
        #[serde(flatten)]
        progress: Progress,
        written: WriteStats,
    },
    Seeding(Progress),
    Wrong(Place),
    Proof {
        total_bytes: u64,
        wrong: u64,
    },
}

/// Where a disk holds something else than an image says.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) disk: String,
    /// In bytes.
    pub(crate) offset: Option<u64>,
    /// Name of the partition in the image; none: the table.
    pub(crate) partition: Option<String>,
    pub(crate) piece: Option<u32>,
    pub(crate) why: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.disk)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        match (&self.partition, self.piece) {
            (Some(name), Some(piece)) => write!(f, " (piece {piece} of {name})")?,
            (Some(name), None) => write!(f, " ({name})")?,
            (None, _) => {}
        }
        write!(f, ": {}", self.why)
    }
}

/// Shows progress.
#[derive(Debug)]
pub(crate) enum ProgressOutput {
    Json,
    People(Screen),
    Nobody,
}

impl ProgressOutput {
    /// As asked for; else a bar on a terminal and lines elsewhere.
    pub(crate) fn new(mode: Option<ProgressMode>) -> Self {
        let people = |style| Self::People(Screen::new(vec![Console::new(style, stderr())]));
        match mode {
            Some(ProgressMode::Json) => Self::Json,
            Some(ProgressMode::None) => Self::Nobody,
            Some(ProgressMode::Bar) => people(Style::Redraw),
            Some(ProgressMode::Plain) => people(Style::Lines),
            None if stderr().is_terminal() => people(Style::Redraw),
            None => people(Style::Lines),
        }
    }

    /// A word besides progress; programs do not need it.
    pub(crate) fn note(&self, text: &str) {
        match self {
            Self::Json => {
                let _ = writeln!(stderr(), "ezio: {text}");
            }
            Self::People(screen) => screen.step(text),
            Self::Nobody => {}
        }
    }

    pub(crate) fn moment(&self, moment: Moment) {
        match (self, moment) {
            (_, Moment::Silence(silence)) => self.note(&silence.to_string()),
            (Self::Json, Moment::Progress(progress)) => print_line(&Line::Progress(progress)),
            (Self::Json, Moment::Seeding(progress)) => print_line(&Line::Seeding(progress)),
            (Self::People(screen), Moment::Progress(progress)) => screen.progress(Doing::Write, &progress),
            (Self::People(screen), Moment::Seeding(progress)) => screen.progress(Doing::Share, &progress),
            (_, Moment::FirstByte | Moment::FirstPiece | Moment::LastByte(_)) | (Self::Nobody, _) => {}
        }
    }

    /// So much has been compared.
    pub(crate) fn proving(&self, progress: &Progress) {
        match self {
            Self::Json => print_line(&Line::Progress(*progress)),
            Self::People(screen) => screen.reading("prove", progress),
            Self::Nobody => {}
        }
    }

    /// One of the places that are wrong.
    pub(crate) fn wrong(&self, place: Place) {
        match self {
            Self::Json => print_line(&Line::Wrong(place)),
            Self::People(_) | Self::Nobody => self.note(&place.to_string()),
        }
    }

    /// All has been compared.
    pub(crate) fn proof(&self, total_bytes: u64, wrong: u64) {
        match self {
            Self::Json => print_line(&Line::Proof { total_bytes, wrong }),
            _ if wrong == 0 => self.note(&format!("proved: {} are there", human_size(total_bytes))),
            _ => {}
        }
    }

    /// Everything is verified and synced.
    pub(crate) fn complete(&self, progress: &Progress, written: WriteStats) {
        match self {
            Self::Json => print_line(&Line::Complete { progress: *progress, written }),
            Self::People(screen) => {
                screen.progress(Doing::Write, progress);
                screen.step(&format!("complete: {} verified and synced", human_size(progress.total_bytes)));
            }
            Self::Nobody => {}
        }
    }
}

impl Drop for ProgressOutput {
    fn drop(&mut self) {
        if let Self::People(screen) = self {
            screen.flush();
        }
    }
}

/// A reader that has gone away does not stop the work.
fn print_line(line: &Line) {
    if let Ok(text) = serde_json::to_string(line) {
        let mut stdout = stdout().lock();
        let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_programs_name_event_and_fields() {
        let progress = Progress { done_bytes: 5, total_bytes: 9, ..Progress::default() };
        let written = WriteStats { runs: 2, ..WriteStats::default() };
        let line: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&Line::Complete { progress, written }).unwrap())
                .unwrap();
        assert_eq!(line["event"], "complete");
        assert_eq!((&line["done_bytes"], &line["total_bytes"]), (&5.into(), &9.into()));
        assert_eq!(line["written"]["runs"], 2);
    }
}
