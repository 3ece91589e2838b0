//! The shape of the room: the server finds out which machines are near each other, where nobody told it, and tells them.
//!
//! Members report how fast their streams are ([`super::pace`]); twice a second the server sees whether there are groups
//! ([`super::flows`]). Groups must show in what is reported after they were seen, too: what chance put together, it does not hold
//! together. From then on each machine knows who is at its site, as if it were in the operator's table ([`super::site`]); and
//! whoever comes later, or was taken for another's neighbour, goes to the site that it is nearest to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Peer, Role, SiteId};
use super::flows::{Flows, Nearness};
use super::pace::Pace;
use super::tuning::Tuning;

/// Two parts of the room, or of a site, that were seen to be apart, and what was reported since.
#[derive(Debug)]
struct Guess {
    parts: [BTreeSet<u64>; 2],
    since: Flows,
    looks: u32,
}

/// What the server knows.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// What was reported since the last look.
    fresh: Flows,
    flows: Flows,
    looked: Duration,
    guess: Option<Guess>,
    /// Where each machine is; empty until there are several sites.
    sites: BTreeMap<u64, SiteId>,
    /// The operator has said who is where: nothing is to be found out.
    told: bool,
}

impl Shape {
    /// Takes in what was reported since the last look; whether it has become known where somebody is.
    fn look(&mut self, t: &Tuning) -> bool {
        let fresh = std::mem::take(&mut self.fresh);
        self.flows.merge(t.flow_keep, &fresh);
        let ends = self.flows.ends(t);
        let nearness = self.flows.nearness(&ends, t);
        let settled = self.settle(&nearness);
        let found = self.guess.take().is_some_and(|mut guess| {
            guess.since.merge(1.0, &fresh);
            guess.looks += 1;
            match guess.since.nearness(&ends, t).gap(&guess.parts, true) {
                Some(gap) if gap >= t.confirmed => self.part(&nearness, &guess),
                Some(_) => false,
                None => {
                    self.guess = Some(guess).filter(|guess| guess.looks < t.looks);
                    false
                }
            }
        });
        if self.guess.is_none() {
            let parts = self.groups(&nearness).iter().find_map(|group| nearness.cut(group));
            self.guess = parts.map(|parts| Guess { parts, since: Flows::default(), looks: 0 });
        }
        settled || found
    }

    /// The machines of each site; all that are known, as long as there is but one.
    fn groups(&self, nearness: &Nearness) -> Vec<BTreeSet<u64>> {
        if self.sites.is_empty() {
            return vec![nearness.members().collect()];
        }
        let mut groups = BTreeMap::<SiteId, BTreeSet<u64>>::new();
        for (&member, &site) in &self.sites {
            groups.entry(site).or_default().insert(member);
        }
        groups.into_values().collect()
    }

    /// A guess has come true: its parts are sites from now on, as they show by now. Whether they still show.
    fn part(&mut self, nearness: &Nearness, guess: &Guess) -> bool {
        let groups = self.groups(nearness);
        let Some(group) = groups.iter().find(|group| !group.is_disjoint(&guess.parts[0])) else {
            return false;
        };
        let Some([stay, go]) = nearness.cut(group) else { return false };
        let old = stay.iter().find_map(|member| self.sites.get(member).copied()).unwrap_or(SiteId(0));
        let new = SiteId(self.sites.values().map(|site| site.0).max().unwrap_or(0).saturating_add(1));
        self.sites.extend(stay.into_iter().map(|member| (member, old)));
        self.sites.extend(go.into_iter().map(|member| (member, new)));
        true
    }

    /// Whoever has no site, or is clearly nearer to another one than to its own, goes to the nearest.
    fn settle(&mut self, nearness: &Nearness) -> bool {
        let moves = |member| Some((member, self.nearest(nearness, member)?));
        let moves: Vec<(u64, SiteId)> = nearness.members().filter_map(moves).collect();
        self.sites.extend(moves.iter().copied());
        !moves.is_empty()
    }

    fn nearest(&self, nearness: &Nearness, member: u64) -> Option<SiteId> {
        let own = self.sites.get(&member);
        let site = nearness.nearest(member, |other| self.sites.get(&other).copied(), own.copied())?;
        (own != Some(&site)).then_some(site)
    }
}

impl Scheduler {
    /// A member has told how fast its streams are.
    pub(super) fn on_reported(&mut self, id: ConnId, paces: &[Pace]) {
        let Some(from) = self.conns.get(id).map(|conn| conn.peer.member) else { return };
        if self.config.role == Role::Server && !self.shape.told {
            for pace in paces.iter().filter(|pace| self.members.is_known(pace.member)) {
                self.shape.fresh.add(from, pace.member, pace.bytes.into(), pace.busy.as_secs_f64());
            }
        }
    }

    /// The server looks for groups, when it is time.
    pub(super) fn look_at_shape(&mut self) {
        let t = &self.config.tuning;
        let pause = t.look.max(t.look_for_each * self.conns.ids().len() as u32);
        if self.config.role != Role::Server
            || self.shape.told
            || self.now.saturating_sub(self.shape.looked) < pause
        {
            return;
        }
        self.shape.looked = self.now;
        if self.shape.look(&self.config.tuning) {
            self.tell_sites();
        }
    }

    /// A member came, or came back. Whoever has a site by the operator's table says that there is one.
    pub(super) fn member_comes_to_site(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.peer.site.is_some() {
            self.shape.told = true;
        } else if let Some(&site) = self.shape.sites.get(&conn.peer.member) {
            conn.peer.site = Some(site);
            self.out.push(Output::Near(id));
        }
    }

    /// It has become known where somebody is: all hear of it. Trees know of no thin links.
    fn tell_sites(&mut self) {
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            if let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.peer.role == Role::Member) {
                conn.peer.site = self.shape.sites.get(&conn.peer.member).copied();
                if conn.peer.site.is_some() {
                    self.out.push(Output::Near(id));
                }
            }
        }
        self.uproot_all();
    }

    /// What [`Output::Near`] is to carry: the members at the site of a connection's peer, itself left out.
    pub fn near(&self, id: ConnId) -> Vec<u64> {
        let Some(peer) = self.conns.get(id).map(|conn| conn.peer) else { return Vec::new() };
        let is_near = |other: &Peer| {
            other.role == Role::Member
                && other.torrent == peer.torrent
                && other.site == peer.site
                && other.member != peer.member
        };
        self.conns.iter().map(|(_, conn)| conn.peer).filter(is_near).map(|other| other.member).collect()
    }
}
