//! The shape of the room: the server finds out which machines are near each other, where nobody told it, and tells them.
//!
//! Members report how fast their streams are ([`super::pace`]); twice a second the server sees whether there are groups
//! ([`super::flows`]). Groups must show in what is reported after they were seen, too: what chance put together, it does not hold
//! together. Echoes of probes show them at once, where machines come together ([`super::echoes`]). From then on each machine knows who is at its site, as if it were in the operator's table ([`super::site`]); and
//! whoever comes later, or was taken for another's neighbour, goes to the site that it is nearest to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Scheduler;
use super::echoes::Echoes;
use super::event::{ConnId, Echo, Near, Output, Role, SiteId};
use super::flows::{Flows, Nearness};
use super::site::Ring;
use super::stopwatch::Pace;
use super::tuning::Tuning;

/// Parts of the room, or of a site, that were seen to be apart, and what was reported since.
#[derive(Debug)]
struct Guess {
    parts: Vec<BTreeSet<u64>>,
    since: Flows,
    looks: u32,
}

/// What the server knows.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// What was reported since the last look.
    fresh: Flows,
    flows: Flows,
    echoes: Echoes,
    /// Looks for which what streams do moves nobody who has a site.
    rests: u32,
    /// What went from the server itself.
    own: Flows,
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
        let rests = self.rests > 0;
        self.rests = self.rests.saturating_sub(1);
        let settled = self.settle(&nearness, rests);
        let found = self.guess.take().is_some_and(|mut guess| {
            guess.since.merge(1.0, &fresh);
            guess.looks += 1;
            match guess.since.nearness(&ends, t).gap(&guess.parts, true) {
                Some(gap) if gap >= t.confirmed => self.part(&nearness, &guess.parts, t.confirmed, true),
                Some(_) => false,
                None => {
                    self.guess = Some(guess).filter(|guess| guess.looks < t.looks);
                    false
                }
            }
        });
        if self.guess.is_none() {
            let parts = self.groups(&nearness).iter().find_map(|group| nearness.cut(group, t.clearly));
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

    /// Takes in who may be near by what echoes show, which leave less to chance: what is clear is true. Whether it has become
    /// known where somebody is.
    fn hear(&mut self, all: &[Nearness], t: &Tuning) -> bool {
        let clear = |nearness: &Nearness, parts: &[BTreeSet<u64>]| {
            nearness.gap(parts, false).filter(|gap| *gap >= t.probe_clearly)
        };
        let mut found = false;
        if !self.sites.is_empty() {
            let gaps = all.iter().filter_map(|n| Some((n.gap(&self.groups(n), true)?, n)));
            let clearest = gaps.max_by(|a, b| a.0.total_cmp(&b.0));
            found = clearest.is_some_and(|(_, nearness)| self.settle(nearness, false));
        }
        loop {
            let cuts = all.iter().flat_map(|n| {
                let groups = self.groups(n);
                let parts = groups.into_iter().filter_map(|group| n.cut(&group, t.clearly));
                parts.filter_map(move |parts| Some((clear(n, &parts)?, parts, n)))
            });
            let clearest = cuts.max_by(|a, b| a.0.total_cmp(&b.0));
            if !clearest.is_some_and(|(_, parts, n)| self.part(n, &parts, t.clearly, false)) {
                return found;
            }
            self.rests = t.probe_looks;
            found = true;
        }
    }

    /// These parts are sites from now on, as they show by now. Whether they still show.
    fn part(&mut self, nearness: &Nearness, parts: &[BTreeSet<u64>], least: f64, waits: bool) -> bool {
        let groups = self.groups(nearness);
        let Some(group) = groups.iter().find(|group| !group.is_disjoint(&parts[0])) else {
            return false;
        };
        let Some(parts) = nearness.cut(group, least) else { return false };
        let old = group.iter().find_map(|member| self.sites.get(member).copied()).unwrap_or(SiteId(0));
        let most = self.sites.values().map(|site| site.0).max().unwrap_or(0);
        let ids = std::iter::once(old).chain((most.saturating_add(1)..).map(SiteId));
        // Whoever is not clearly nearer to one of them waits until more is known, where that comes by itself.
        let seen: BTreeMap<u64, SiteId> =
            parts.iter().zip(ids).flat_map(|(part, site)| part.iter().map(move |&m| (m, site))).collect();
        let site = |other: u64| seen.get(&other).copied();
        let members = seen.iter().map(|(&member, &at)| (member, at));
        let clear: BTreeMap<u64, SiteId> =
            members.filter(|(member, at)| !waits || nearness.is_clear(*member, *at, site)).collect();
        let size = |at: SiteId| clear.values().filter(|site| **site == at).count();
        if seen.values().any(|&at| size(at) < nearness.least()) {
            return false;
        }
        self.sites.retain(|member, _| !seen.contains_key(member));
        self.sites.extend(clear);
        true
    }

    /// Whoever has no site, or is clearly nearer to another one than to its own, goes to the nearest; `rests`: only the former.
    fn settle(&mut self, nearness: &Nearness, rests: bool) -> bool {
        let moves = |member| Some((member, self.nearest(nearness, member)?));
        let open = nearness.members().filter(|member| !rests || !self.sites.contains_key(member));
        let moves: Vec<(u64, SiteId)> = open.filter_map(moves).collect();
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

    /// A member has told how long its echoes took.
    pub(super) fn on_echoes(&mut self, id: ConnId, echoes: &[Echo]) {
        let Some(from) = self.conns.get(id).map(|conn| conn.peer.member) else { return };
        if self.config.role == Role::Server && !self.shape.told {
            let known = echoes.iter().filter(|echo| self.members.is_known(echo.member));
            self.shape.echoes.replace(from, known);
        }
    }

    /// The server looks for groups in new echoes.
    pub(super) fn look_at_echoes(&mut self) {
        if !self.shape.echoes.are_fresh() {
            return;
        }
        let members = self.conns.iter().map(|(_, conn)| conn.peer).filter(|peer| peer.role == Role::Member);
        let machines = members.map(|peer| peer.member).collect::<BTreeSet<_>>().len() as u32;
        let nearness = self.shape.echoes.look(self.now, &self.config.tuning, machines);
        if self.shape.hear(&nearness, &self.config.tuning) {
            self.tell_sites();
        }
    }

    /// The server looks for groups, when it is time.
    pub(super) fn look_at_shape(&mut self) {
        let t = &self.config.tuning;
        let pause = t.report.max(t.look_for_each * self.conns.ids().len() as u32);
        if self.config.role != Role::Server
            || self.shape.told
            || self.now.saturating_sub(self.shape.looked) < pause
        {
            return;
        }
        self.shape.looked = self.now;
        // The server is somewhere too.
        for pace in self.take_report() {
            let busy = pace.busy.as_secs_f64();
            self.shape.own.add(self.config.member, pace.member, pace.bytes.into(), busy);
        }
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
        self.config.site = self.shape.own.fastest_to(&self.shape.sites, &self.config.tuning);
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            if let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.peer.role == Role::Member) {
                conn.peer.site = self.shape.sites.get(&conn.peer.member).copied();
                if conn.peer.site.is_some() {
                    self.out.push(Output::Near(id));
                }
            }
        }
        self.spread.sites_found(self);
    }

    /// What [`Output::Near`] is to carry: where a connection's peer is among the sites.
    pub fn near(&self, id: ConnId) -> Near<u64> {
        let peer = self.conns.get(id).map(|conn| conn.peer);
        let others = || {
            let others = self.conns.iter().map(|(_, conn)| conn.peer);
            let torrent = peer.map(|peer| peer.torrent);
            others.filter(move |other| other.role == Role::Member && Some(other.torrent) == torrent)
        };
        let own = peer.and_then(|peer| peer.site);
        let ring = own.map(|own| Ring::new(own, others().filter_map(|other| other.site))).unwrap_or_default();
        let at = |site: Option<SiteId>| {
            let there =
                others().filter(|other| site.is_some() && other.site == site).map(|other| other.member);
            there.filter(|member| peer.is_some_and(|peer| peer.member != *member)).collect()
        };
        Near { near: at(own), before: at(ring.before), after: at(ring.after) }
    }
}
