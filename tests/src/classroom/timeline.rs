//! Where a machine's time goes, from power-on until its own system runs.

use crate::vm::fleet::Member;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What it does, in order: each step begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Until firmware asks the network for something to boot.
    Firmware,
    /// Boot programs, kernel and initrd come; until the kernel starts.
    NetworkBoot,
    /// Until init runs.
    Kernel,
    /// Until the network card has a link.
    Link,
    /// Until it has an address.
    Lease,
    /// Until init has its orders.
    Conf,
    /// Until all disks are there and one is chosen.
    Disks,
    /// Until the first piece is on the machine and verified.
    FirstPiece,
    /// Until the last byte is there.
    LastByte,
    /// Until all is verified and synced.
    Verified,
    /// Table and boot code are written, others are served; until the machine restarts.
    Restart,
    /// Firmware again, and the deployed system, until it says that it runs.
    Running,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Firmware,
        Self::NetworkBoot,
        Self::Kernel,
        Self::Link,
        Self::Lease,
        Self::Conf,
        Self::Disks,
        Self::FirstPiece,
        Self::LastByte,
        Self::Verified,
        Self::Restart,
        Self::Running,
    ];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::NetworkBoot => "network boot",
            Self::Kernel => "kernel",
            Self::Link => "link",
            Self::Lease => "lease",
            Self::Conf => "conf",
            Self::Disks => "disks",
            Self::FirstPiece => "first piece",
            Self::LastByte => "last byte",
            Self::Verified => "verified",
            Self::Restart => "restart",
            Self::Running => "running",
        }
    }
}

/// When a machine was switched on, and when its steps ended.
#[derive(Debug, Clone)]
pub struct Timeline {
    switched_on: (Instant, SystemTime),
    ends: [Option<Duration>; Step::ALL.len()],
}

impl Timeline {
    /// Of a machine that was switched on just now.
    #[must_use]
    pub fn begin() -> Self {
        Self { switched_on: (Instant::now(), SystemTime::now()), ends: [None; Step::ALL.len()] }
    }

    /// Takes note of what the server knows: by its clock, and of a machine's own steps by the machine's.
    pub fn update(&mut self, member: &Member) {
        let (times, steps) = (&member.times, &member.steps);
        let own = |seconds: Option<f64>| Some(times.kernel? + seconds?);
        for (step, end) in [
            (Step::Firmware, times.booting),
            (Step::NetworkBoot, times.kernel),
            (Step::Kernel, own(steps.init_s)),
            (Step::Link, own(steps.link_s)),
            (Step::Lease, own(steps.lease_s)),
            (Step::Conf, own(steps.conf_s)),
            (Step::Disks, own(steps.disks_s)),
            (Step::FirstPiece, own(steps.first_piece_s)),
            (Step::LastByte, times.last_byte),
            (Step::Verified, times.verified),
            (Step::Restart, times.done),
        ] {
            self.ends[step as usize] = end.and_then(|unix_time| self.since_power_on(unix_time));
        }
    }

    /// The deployed system said that it runs.
    pub fn runs(&mut self, at: Instant) {
        self.ends[Step::Running as usize].get_or_insert(at.duration_since(self.switched_on.0));
    }

    /// Time since it was switched on, until its own system ran.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.ended(Step::Running).unwrap_or(self.switched_on.0.elapsed())
    }

    /// When a step ended, from power-on.
    #[must_use]
    pub fn ended(&self, step: Step) -> Option<Duration> {
        self.ends[step as usize]
    }

    /// How long a step took: from the last end that is known. (A machine's clock and the server's do not run quite alike.)
    #[must_use]
    pub fn spent(&self, step: Step) -> Option<Duration> {
        let before = self.ends[..step as usize].iter().rev().flatten().next();
        Some(self.ended(step)?.saturating_sub(before.copied().unwrap_or_default()))
    }

    fn since_power_on(&self, unix_time: f64) -> Option<Duration> {
        let power_on = self.switched_on.1.duration_since(UNIX_EPOCH).ok()?;
        Duration::try_from_secs_f64(unix_time - power_on.as_secs_f64()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_counted_from_the_last_end_that_is_known() {
        let mut timeline = Timeline::begin();
        for (step, end) in [(Step::Firmware, 4), (Step::Kernel, 9), (Step::Lease, 8)] {
            timeline.ends[step as usize] = Some(Duration::from_secs(end));
        }
        let spent = |step| timeline.spent(step).map(|time| time.as_secs());
        assert_eq!(spent(Step::Firmware), Some(4));
        assert_eq!((spent(Step::NetworkBoot), spent(Step::Kernel)), (None, Some(5)));
        assert_eq!(spent(Step::Lease), Some(0), "clocks that differ make no negative time");
    }
}
