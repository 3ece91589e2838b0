//! The life of a machine: its states, what moves it, and where to. Pure; API.md has the table.

use ezio_contract::report;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a machine is on its way. The order is that of a run; of two reports of one run, the later state counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// An operator wants it deployed again; it has not booted since.
    Again,
    /// It asked for something to boot, and was given init.
    Booting,
    /// Init runs.
    Started,
    /// It waits for an operator's word.
    Waiting,
    /// It knows what to do.
    Planned,
    /// Data arrives.
    Working,
    /// All data has arrived; not all of it is verified and synced.
    Received,
    /// All data is verified and synced; table and boot code are being written.
    Verified,
    /// The disk is complete.
    Deployed,
    /// It serves others.
    Seeding,
    /// The run has failed.
    Failed,
    /// The run has ended well.
    Done,
}

impl State {
    /// What a report says.
    pub(super) fn of(event: &report::Event) -> Self {
        match event {
            // Whether it has to wait, the answer says.
            report::Event::Started { .. }
            | report::Event::Inventory { .. }
            | report::Event::Asks { .. }
            | report::Event::Console { .. } => Self::Started,
            report::Event::Planned { .. } => Self::Planned,
            report::Event::FirstByte | report::Event::Progress(_) => Self::Working,
            report::Event::LastByte(_) => Self::Received,
            // A step comes before or after the rest of what makes the disk complete.
            report::Event::Verified(_) | report::Event::Step { .. } => Self::Verified,
            report::Event::Deployed(_) | report::Event::Proved => Self::Deployed,
            report::Event::Seeding(_) => Self::Seeding,
            report::Event::Done { .. } => Self::Done,
            report::Event::Failed { .. } => Self::Failed,
        }
    }

    /// Is a run under way, so that it should be heard of every second or so?
    pub(crate) fn runs(self) -> bool {
        (Self::Started..=Self::Seeding).contains(&self)
    }

    /// Does its run still lack data, which others might give?
    pub(super) fn lacks_data(self) -> bool {
        self != Self::Waiting && (Self::Started..Self::Received).contains(&self)
    }
}

/// What moves a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Its firmware or its boot program asks for something to boot.
    AsksToBoot,
    /// A run that was not known yet reports.
    Begins(State),
    /// The run that is known reports.
    Reports(State),
    /// An operator wants it deployed again.
    Again,
}

/// A machine's life so far, as far as it decides about what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) state: State,
    /// It was deployed once: it boots from its own disk until an operator says otherwise, whatever comes of a later run
    /// that somebody starts by hand. Else a room would be deployed in a loop.
    #[serde(default)]
    pub(crate) boots_local: bool,
    /// An operator's word that came during a run, and holds at its end.
    #[serde(default)]
    pub(super) again: bool,
}

impl Life {
    /// Of a machine that was never heard of.
    pub(super) const NEW: Self = Self::in_state(State::Booting);

    const fn in_state(state: State) -> Self {
        Self { state, boots_local: false, again: false }
    }

    /// Where an event takes it.
    pub(super) fn after(self, event: Event) -> Self {
        match event {
            Event::AsksToBoot if self.boots_local => self,
            Event::AsksToBoot => Self::in_state(State::Booting),
            Event::Begins(state) => {
                Self { state: State::Booting, again: false, ..self }.after(Event::Reports(state))
            }
            Event::Reports(State::Done) if self.again => Self::in_state(State::Again),
            Event::Reports(State::Done) => Self { boots_local: true, ..Self::in_state(State::Done) },
            // Reports may come late, or twice.
            Event::Reports(state) => Self { state: self.state.max(state), ..self },
            Event::Again if self.state.runs() => Self { boots_local: false, again: true, ..self },
            Event::Again if self.state == State::Booting => Self::in_state(State::Booting),
            Event::Again => Self::in_state(State::Again),
        }
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
