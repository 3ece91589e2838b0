//! What is measured: rooms, their faults, and the goal each has.

use std::collections::BTreeMap;

use crate::netns::{Links, SERVER};

/// When hosts are powered off.
#[derive(Debug, Clone, PartialEq)]
pub enum PowerOff {
    /// These hosts, after this share of S/B.
    At {
        /// Hosts to kill.
        hosts: Vec<usize>,
        /// Share of S/B since the start.
        share: f64,
    },
    /// All machines, after this share of S/B; they are switched on again at once, and measured from then on. What a
    /// program has written by then stays, as the cache of its system does: after a real cut the last seconds are missing.
    AllAndOnAgain {
        /// Share of S/B since the start.
        share: f64,
    },
    /// The server, once it has sent this many copies of the image.
    ServerAfter {
        /// Copies of the image on the server's link.
        copies: f64,
    },
}

/// What the image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Pseudo-random bytes, which no compression makes less.
    Incompressible,
    /// The first used blocks of the golden Debian, kept in frames.
    Debian,
}

/// One room and what goes wrong in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is, in a table.
    pub title: &'static str,
    /// Machines.
    pub members: usize,
    /// Rate of a link in Mbit/s.
    pub mbit: f64,
    /// Size of the image in MiB.
    pub mib: u64,
    /// What is in it.
    pub content: Content,
    /// Machines with a slower link, in Mbit/s; the others are measured.
    pub slow: &'static [(usize, f64)],
    /// The targets hold the image already, but for one piece of so many, scattered.
    pub changed: Option<u64>,
    /// The machines fetch the torrent from the server, within the time; else they have it beforehand.
    pub fetches: bool,
    /// A whole deployment to a disk, from start to end, by `ezio-init deploy`.
    pub deploys: bool,
    /// Machines that are powered off; the others are measured.
    pub power_off: Option<PowerOff>,
    /// The machines arrive one after another over this share of S/B; each is then measured from its own start.
    pub arriving_over: f64,
    /// A machine that claims to have everything and sends only corrupt blocks; the others are measured.
    pub liar: Option<usize>,
    /// Switches, each further one joined to the first by a cable.
    pub switches: usize,
    /// Each further switch is joined to the one before it instead.
    pub chain: bool,
    /// Rate of such a cable over that of a link.
    pub trunk: f64,
    /// Is the server told who is at which of them?
    pub told: bool,
    /// Last machine in S/B that we want to reach.
    pub goal: f64,
}

const ROOM: Case = Case {
    name: "room",
    title: "38 machines",
    members: 38,
    mbit: 20.0,
    mib: 96,
    content: Content::Incompressible,
    slow: &[],
    changed: None,
    fetches: false,
    deploys: false,
    power_off: None,
    arriving_over: 0.0,
    liar: None,
    switches: 1,
    chain: false,
    trunk: 1.0,
    told: true,
    goal: 1.06,
};

/// All cases, in the order of the table.
#[must_use]
pub fn all() -> Vec<Case> {
    let killed = PowerOff::At { hosts: vec![5, 21], share: 20.0 / 42.1 };
    vec![
        ROOM,
        Case { name: "small", title: "8 machines", members: 8, ..ROOM },
        Case { name: "large", title: "100 machines", members: 100, mbit: 8.0, mib: 48, goal: 1.10, ..ROOM },
        Case {
            name: "torrent-within",
            title: "100 machines, torrent fetched within the time",
            members: 100,
            mbit: 8.0,
            mib: 48,
            fetches: true,
            goal: 1.08,
            ..ROOM
        },
        Case { name: "slow", title: "one at a tenth of the speed", slow: &[(7, 2.0)], goal: 1.10, ..ROOM },
        Case {
            name: "killed",
            title: "two killed in the middle",
            power_off: Some(killed),
            goal: 1.10,
            ..ROOM
        },
        Case {
            name: "server-killed",
            title: "server killed when all is out",
            // The counter sees headers, ACKs and what was sent twice too: up to four parts in a hundred before the last
            // piece is out. Killed too early, nobody would finish.
            power_off: Some(PowerOff::ServerAfter { copies: 1.038 }),
            goal: 1.10,
            ..ROOM
        },
        Case {
            name: "arriving",
            title: "arriving over half of S/B, from its own start",
            arriving_over: 0.5,
            goal: 1.10,
            ..ROOM
        },
        Case { name: "liar", title: "one sends corrupt blocks", liar: Some(7), goal: 1.15, ..ROOM },
        Case { name: "two-switches", title: "two switches of 19", switches: 2, goal: 1.25, ..ROOM },
        Case {
            name: "untold",
            title: "two switches of 19, untold",
            switches: 2,
            told: false,
            goal: 1.25,
            ..ROOM
        },
        Case {
            name: "three-untold",
            title: "three switches of 13 in a star, untold",
            members: 39,
            switches: 3,
            told: false,
            goal: 1.30,
            ..ROOM
        },
        Case {
            name: "chain-untold",
            title: "three switches of 13 in a chain, untold",
            members: 39,
            switches: 3,
            chain: true,
            told: false,
            goal: 1.30,
            ..ROOM
        },
        Case {
            name: "half-trunk",
            title: "two switches of 19, a cable of half the rate, untold",
            switches: 2,
            trunk: 0.5,
            told: false,
            goal: 2.10,
            ..ROOM
        },
        Case {
            name: "two-of-48",
            title: "two switches of 48",
            members: 96,
            mbit: 8.0,
            mib: 48,
            switches: 2,
            goal: 1.15,
            ..ROOM
        },
        Case {
            name: "ten-switches",
            title: "ten switches of 10, cables of twice the rate",
            members: 100,
            mbit: 8.0,
            mib: 48,
            switches: 10,
            trunk: 2.0,
            goal: 1.25,
            ..ROOM
        },
        Case {
            name: "debian",
            title: "a real Debian, kept in frames",
            mib: 400,
            content: Content::Debian,
            goal: 0.31,
            ..ROOM
        },
        Case {
            name: "refresh",
            title: "one piece of twenty has changed",
            changed: Some(20),
            goal: 0.08,
            ..ROOM
        },
        Case {
            name: "powercut",
            title: "all cut at half and switched on again, from then",
            power_off: Some(PowerOff::AllAndOnAgain { share: 0.5 }),
            goal: 0.55,
            ..ROOM
        },
        Case {
            name: "proof",
            title: "one machine, from its start to the end of the deployment",
            members: 1,
            mbit: 1000.0,
            mib: 1024,
            deploys: true,
            goal: 1.20,
            ..ROOM
        },
    ]
}

/// A few small, fast rooms that show every mechanism in minutes.
#[must_use]
pub fn quick() -> Vec<Case> {
    let small = Case { members: 8, mbit: 50.0, mib: 64, ..ROOM };
    let killed = PowerOff::At { hosts: vec![3], share: 0.5 };
    vec![
        Case { name: "small", title: "8 machines", ..small.clone() },
        Case {
            name: "killed",
            title: "one killed in the middle",
            power_off: Some(killed),
            goal: 1.10,
            ..small.clone()
        },
        Case { name: "two-switches", title: "two switches of 4", switches: 2, goal: 1.25, ..small.clone() },
        Case {
            name: "refresh",
            title: "one piece of twenty has changed",
            changed: Some(20),
            goal: 0.2,
            ..small.clone()
        },
        Case {
            name: "powercut",
            title: "all cut at half and switched on again, from then",
            power_off: Some(PowerOff::AllAndOnAgain { share: 0.5 }),
            goal: 0.7,
            ..small.clone()
        },
        Case {
            name: "proof",
            title: "one machine, from its start to the end of the deployment",
            members: 1,
            deploys: true,
            goal: 1.5,
            ..small
        },
    ]
}

impl Case {
    /// The network of this room.
    #[must_use]
    pub fn links(&self) -> Links {
        Links {
            members: self.members,
            mbit: Some(self.mbit),
            slow: self.slow.iter().copied().collect::<BTreeMap<_, _>>(),
            switches: self.switches,
            chain: self.chain,
            trunk: Some(self.mbit * self.trunk),
        }
    }

    /// Size of the image in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.mib << 20
    }

    /// Machines that are measured: neither slow, nor powered off, nor lying.
    #[must_use]
    pub fn healthy(&self) -> Vec<usize> {
        let is_slow = |host: usize| self.slow.iter().any(|&(slow, _)| slow == host);
        let dies =
            |host| matches!(&self.power_off, Some(PowerOff::At { hosts, .. }) if hosts.contains(&host));
        let all = SERVER + 1..=self.members;
        all.filter(|&host| !is_slow(host) && !dies(host) && self.liar != Some(host)).collect()
    }

    /// Does nothing go wrong, on one switch? Then even a system without any repair can be compared.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.power_off.is_none()
            && self.arriving_over == 0.0
            && self.liar.is_none()
            && self.changed.is_none()
            && !self.fetches
            && !self.deploys
    }

    /// Do the machines hold some of it already, when they begin or begin again?
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.changed.is_some() || matches!(self.power_off, Some(PowerOff::AllAndOnAgain { .. }))
    }

    /// Seconds after which a trial is given up.
    #[must_use]
    pub fn limit_seconds(&self) -> f64 {
        6.0 * self.links().ideal_seconds(self.bytes()) + 20.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_not_measured() {
        let healthy = |name| {
            let case = all().into_iter().find(|case| case.name == name).unwrap();
            case.healthy().len()
        };
        assert_eq!(healthy("room"), 38);
        assert_eq!(healthy("slow"), 37);
        assert_eq!(healthy("killed"), 36);
        assert_eq!(healthy("server-killed"), 38);
        assert_eq!(healthy("liar"), 37);
    }
}
