//! Who of a room gets a torrent of whom (`ezio_contract::passing`). Pure; the time is given.
//!
//! Those who ask stand in a tree by the order of their asking: the first are given the file here, and each passes it on to the
//! next that nobody gives it to. So the server's link carries a few copies, and the last of a hundred waits for the time
//! of a dozen. Where somebody said who is at which switch, it goes from one to another once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::sites::{SiteRange, site_of};

/// Copies that go out here to those who come together. The second costs the link little, and a room does not hang on one machine.
const FROM_HERE: usize = 2;
/// Copies that a machine passes on: with two at a time a file reaches most machines soonest, for each has as fast a link out as
/// the others have in. (With four, half as many levels take twice as long each.)
const FROM_EACH: u8 = 2;
/// Somebody who asked is named for so long: a room that starts together asks within seconds, and small images are done soon after.
const NAMED_FOR: Duration = Duration::from_secs(10);
/// Machines of one file that are kept: four rooms of a thousand. The others get the file here.
const MAX_MACHINES: usize = 4096;
/// Files. A server has few large torrents, but its name is in them, and whoever asks may call it by any.
const MAX_FILES: usize = 64;

/// A machine that has the file, or gets it.
#[derive(Debug)]
struct Holder {
    at: SocketAddr,
    asked: Instant,
    /// Machines that were sent to it.
    passes_to: u8,
}

/// Who asked lately, in their order, by the hash of what they asked for.
#[derive(Debug)]
pub(crate) struct Passing {
    files: HashMap<String, Vec<Holder>>,
    sites: Vec<SiteRange>,
}

impl Passing {
    /// Nobody has asked yet, and these ranges of addresses are at one switch each.
    pub(crate) fn new(sites: Vec<SiteRange>) -> Self {
        Self { files: HashMap::new(), sites }
    }

    /// A machine that will pass on a file at `at` asks for it: whom it is to ask; none where it is given the file here.
    pub(super) fn ask(&mut self, sha256: &str, at: SocketAddr, now: Instant) -> Option<SocketAddr> {
        self.files.retain(|_, holders| {
            holders.retain(|holder| now.duration_since(holder.asked) < NAMED_FOR);
            !holders.is_empty()
        });
        if self.files.len() >= MAX_FILES && !self.files.contains_key(sha256) {
            return None;
        }
        let holders = self.files.entry(sha256.to_owned()).or_default();
        if holders.len() >= MAX_MACHINES {
            return None;
        }
        let giver = if holders.len() < FROM_HERE { None } else { giver(holders, at, &self.sites) };
        let giver = giver.map(|giver| {
            giver.passes_to += 1;
            giver.at
        });
        holders.push(Holder { at, asked: now, passes_to: 0 });
        giver
    }
}

/// Who gives it to one more: who asked first, for that one has it first; of the same site, if there is one.
fn giver<'a>(holders: &'a mut [Holder], to: SocketAddr, sites: &[SiteRange]) -> Option<&'a mut Holder> {
    let site = site_of(sites, to.ip());
    let free = |holder: &Holder| holder.passes_to < FROM_EACH;
    let near = |holder: &Holder| free(holder) && site_of(sites, holder.at.ip()) == site;
    let index = holders.iter().position(near).or_else(|| holders.iter().position(free))?;
    holders.get_mut(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(n: u16) -> SocketAddr {
        ([10, 0, (n >> 8) as u8, n as u8], 4000).into()
    }

    #[test]
    fn a_room_that_asks_together_gets_two_copies_here_and_passes_them_on() {
        let (mut passing, now) = (Passing::new(Vec::new()), Instant::now());
        // Steps from the server to each machine.
        let mut depth = HashMap::new();
        let mut given: HashMap<SocketAddr, u8> = HashMap::new();
        for n in 0..100 {
            let giver = passing.ask("f", machine(n), now);
            assert_eq!(giver.is_none(), n < 2, "{n}");
            // Who is named asked before.
            let steps = giver.map_or(1, |giver| depth[&giver] + 1);
            depth.insert(machine(n), steps);
            giver.into_iter().for_each(|giver| *given.entry(giver).or_default() += 1);
        }
        assert!(given.values().all(|count| *count <= FROM_EACH), "{given:?}");
        assert_eq!(depth.values().max(), Some(&6));
    }

    #[test]
    fn from_one_switch_to_another_it_goes_once() {
        let sites = ["L=10.0.0.0-10.0.0.127", "R=10.0.0.128-10.0.0.255"].map(|site| site.parse().unwrap());
        let (mut passing, now) = (Passing::new(sites.to_vec()), Instant::now());
        let is_right = |at: SocketAddr| at >= machine(128);
        // One at each in turn.
        let asked = (0..100).map(|n| machine(n / 2 + 128 * (n % 2)));
        let crossed = asked.filter(|at| {
            let giver = passing.ask("f", *at, now);
            giver.map_or(is_right(*at), |giver| is_right(giver) != is_right(*at))
        });
        assert_eq!(crossed.count(), 1);
    }

    #[test]
    fn files_are_apart_and_who_asked_long_ago_is_not_named() {
        let (mut passing, now) = (Passing::new(Vec::new()), Instant::now());
        let mut ask = |file: &str, n, later| passing.ask(file, machine(n), now + Duration::from_secs(later));
        assert_eq!([ask("a", 1, 0), ask("a", 2, 5), ask("b", 3, 5), ask("b", 4, 5)], [None; 4]);
        assert_eq!(ask("a", 5, 9), Some(machine(1)));
        assert_eq!(ask("a", 6, 11), Some(machine(2)));
        assert_eq!([ask("a", 7, 30), ask("b", 8, 30)], [None; 2]);
        assert_eq!(passing.files.values().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn whoever_makes_up_names_or_machines_costs_bounded_memory() {
        let (mut passing, now) = (Passing::new(Vec::new()), Instant::now());
        for n in 0..1000 {
            passing.ask(&format!("file {n}"), machine(n), now);
        }
        assert_eq!(passing.files.len(), MAX_FILES);
        for n in 0..10_000 {
            passing.ask("file 0", machine(n), now);
        }
        assert_eq!(passing.files["file 0"].len(), MAX_MACHINES);
        assert_eq!(passing.ask("file 0", machine(1), now), None);
    }
}
