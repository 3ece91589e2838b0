//! How a machine ends, and how the worker tells PID 1.

use std::fmt;
use std::time::Duration;

use ezio_contract::report::Leave;
use ezio_image::conf::EndAction;

/// How long a failure stays on the screen before the machine goes away with it.
const FAILURE_COUNTDOWN: Duration = Duration::from_secs(60);

/// What the machine does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) action: EndAction,
    /// After a failure people want to read the screen.
    pub(crate) failed: bool,
}

/// Exit statuses of the worker: this and the action, and 8 more for a failure.
const EXIT_BASE: i32 = 64;
const EXIT_FAILED: i32 = 8;
const ACTIONS: [EndAction; 4] = [EndAction::Reboot, EndAction::PowerOff, EndAction::Shell, EndAction::Hold];

impl End {
    /// As somebody has it, at once.
    pub(crate) fn of(leave: Leave) -> Self {
        let action = match leave {
            Leave::Restart => EndAction::Reboot,
            Leave::PowerOff => EndAction::PowerOff,
        };
        Self { action, failed: false }
    }

    /// Exit status that tells PID 1.
    pub(crate) fn exit_status(self) -> i32 {
        let index = ACTIONS.iter().position(|a| *a == self.action).unwrap_or_default();
        EXIT_BASE + index as i32 + if self.failed { EXIT_FAILED } else { 0 }
    }

    /// What an exit status tells; none where it is no word of the worker's.
    pub(crate) fn from_exit_status(status: i32) -> Option<Self> {
        let code = usize::try_from(status.checked_sub(EXIT_BASE)?).ok()?;
        let failed = code >= EXIT_FAILED as usize;
        let action = *ACTIONS.get(code - if failed { EXIT_FAILED as usize } else { 0 })?;
        Some(Self { action, failed })
    }

    /// How long to wait before it is done.
    pub(crate) fn countdown(self) -> Duration {
        match self.action {
            EndAction::Reboot | EndAction::PowerOff if self.failed => FAILURE_COUNTDOWN,
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.action, self.countdown().as_secs()) {
            (EndAction::Hold, _) => f.write_str("hold (Ctrl-Alt-Del restarts)"),
            (action, 0) => write!(f, "{action}"),
            (action, seconds) => write!(f, "{action} in {seconds} s (Ctrl-Alt-Del: restart now)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_say_what_was_meant() {
        for action in ACTIONS {
            for failed in [false, true] {
                let end = End { action, failed };
                assert_eq!(End::from_exit_status(end.exit_status()), Some(end));
            }
        }
        for other in [0, 1, 2, 63, 68, 71, 76, 101, 137, -1] {
            assert_eq!(End::from_exit_status(other), None, "{other}");
        }
    }

    #[test]
    fn a_failure_stays_on_the_screen_for_a_while() {
        let reboot = |failed| End { action: EndAction::Reboot, failed }.to_string();
        assert_eq!(reboot(false), "reboot");
        assert_eq!(reboot(true), "reboot in 60 s (Ctrl-Alt-Del: restart now)");
    }
}
