//! What a machine's page shows, as it grows from what becomes known.

use ezio_contract::MachineId;
use ezio_contract::report::Progress;
use serde::{Deserialize, Serialize};

/// Something that became known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Fact {
    /// Who this machine is, its address, and that of its page on the server.
    Machine { id: MachineId, address: String, page: Option<String> },
    /// The name that it gets.
    HostName(String),
    /// What goes where.
    Planned { image: String, disks: Vec<String> },
    /// What it does now.
    Step(String),
    /// How far it is with that.
    Progress { doing: Doing, progress: Progress },
    /// It waits for a person: for what, and what that person can do.
    Waits { lines: Vec<String>, to_do: String },
    /// The person has come.
    GoesOn,
    /// It would boot now, and nobody needs it any more.
    Done,
    /// It has failed.
    Failed { step: String, error: String },
    /// How it ends.
    Next(String),
}

/// What takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Doing {
    /// The image comes and is written.
    Write,
    /// Others are served.
    Share,
}

impl Doing {
    /// As lines say it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Share => "share",
        }
    }
}

/// What people have to know from the door.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum State {
    #[default]
    Working,
    Waiting {
        lines: Vec<String>,
        to_do: String,
    },
    Done,
    Failed {
        step: String,
        error: String,
    },
}

/// The colour of the whole page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Working.
    Blue,
    /// Waiting for a word.
    Amber,
    /// Done.
    Green,
    /// Failed.
    Red,
}

/// All that the page shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) state: State,
    pub(crate) id: MachineId,
    pub(crate) host_name: Option<String>,
    pub(crate) address: String,
    /// Address of its page on the server.
    pub(crate) page: Option<String>,
    pub(crate) image: String,
    pub(crate) disks: Vec<String>,
    pub(crate) step: String,
    pub(crate) progress: Option<(Doing, Progress)>,
    pub(crate) next: String,
}

impl View {
    /// Takes note.
    pub(crate) fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Machine { id, address, page } => {
                (self.id, self.address, self.page) = (id, address, page);
            }
            Fact::HostName(name) => self.host_name = Some(name),
            Fact::Planned { image, disks } => (self.image, self.disks) = (image, disks),
            Fact::Step(step) => self.step = step,
            Fact::Progress { doing, progress } => self.progress = Some((doing, progress)),
            Fact::Waits { lines, to_do } => self.state = State::Waiting { lines, to_do },
            Fact::GoesOn => self.state = State::Working,
            Fact::Done => self.state = State::Done,
            Fact::Failed { step, error } => self.state = State::Failed { step, error },
            Fact::Next(next) => self.next = next,
        }
    }

    /// What people call this machine.
    pub(crate) fn name(&self) -> String {
        let card = || self.id.macs().first().map(ToString::to_string);
        let serial = || self.id.serial().map(str::to_owned);
        self.host_name.clone().or_else(serial).or_else(card).unwrap_or_default()
    }

    pub(crate) fn colour(&self) -> Colour {
        match self.state {
            State::Working => Colour::Blue,
            State::Waiting { .. } => Colour::Amber,
            State::Done => Colour::Green,
            State::Failed { .. } => Colour::Red,
        }
    }
}
