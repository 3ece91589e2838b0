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
use super::event::{ConnId, Echo, Near, Output, Role};
use super::flows::{Flows, Nearness};
use super::peer::Conn;
use super::rank::mix;
use super::routes::{Routes, SiteId};
use super::stopwatch::Pace;
use super::tuning::Tuning;

/// Parts of the room, or of a site, that were seen to be apart, and what was reported since.
#[derive(Debug)]
struct Guess {
    parts: Vec<BTreeSet<u64>>,
    since: Flows,
    looks: u32,
}

/// How far a member at no site is with probing some of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    Due,
    /// Since then.
    UnderWay(Duration),
    Over,
}

impl Meeting {
    /// Whether it has told of those that it met; or will not, any more.
    fn is_over(self, now: Duration, t: &Tuning) -> bool {
        match self {
            Self::Due => false,
            Self::UnderWay(since) => now - since > t.probe_wait,
            Self::Over => true,
        }
    }
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
    /// Parts of which all are to probe some; none where these are sites.
    to_meet: Vec<BTreeSet<u64>>,
    /// Members at no site that are to meet others.
    meetings: BTreeMap<u64, Meeting>,
    /// What went from the server itself.
    own: Flows,
    looked: Duration,
    guess: Option<Guess>,
    /// Where each machine is; empty until there are several sites.
    sites: BTreeMap<u64, SiteId>,
    /// What the machines of each site were told of how pieces travel, and when that was looked at last.
    routes: BTreeMap<SiteId, Routes>,
    routed: Duration,
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
        // Streams that do not show the sites do not show who is where.
        let shown = nearness.gap(&self.sites(), true).is_some_and(|gap| gap >= t.confirmed);
        let settled = shown && self.settle(&nearness, rests);
        let found = self.guess.take().is_some_and(|mut guess| {
            guess.since.merge(1.0, &fresh);
            guess.looks += 1;
            match guess.since.nearness(&ends, t).gap(&guess.parts, true) {
                Some(gap) if gap >= t.confirmed => self.part(&nearness, &guess.parts, t.confirmed),
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
        self.sites()
    }

    /// Takes in what echoes show, which leave less to chance than streams: what is clear is true. Whether it has become known
    /// where somebody is.
    fn hear(&mut self, now: Duration, t: &Tuning) -> bool {
        let (mut found, busy) = (false, !self.sites.is_empty());
        let mut open = if busy { self.sites() } else { vec![self.echoes.members()] };
        while let Some(group) = open.pop() {
            let Some(parts) = self.echoes.parts(&group, busy, t) else { continue };
            if self.sites.is_empty() && self.all_are_to_meet(now, &parts, t) {
                return false;
            }
            // Who is at none has not met these.
            self.meetings.clear();
            self.place(&group, &parts);
            open.extend(parts);
            self.rests = t.probe_looks;
            found = true;
        }
        if self.sites.is_empty() {
            return false;
        }
        self.seat(now, t) || found
    }

    /// Of many parts each machine knows few that are in its own, by chance: before they are sites, all probe some of each.
    fn all_are_to_meet(&mut self, now: Duration, parts: &[BTreeSet<u64>], t: &Tuning) -> bool {
        if parts.len() < t.many as usize {
            return false;
        }
        if self.meetings.is_empty() {
            self.meetings.extend(self.echoes.members().into_iter().map(|member| (member, Meeting::Due)));
            self.to_meet = parts.to_vec();
        }
        let over = self.meetings.values().filter(|meeting| meeting.is_over(now, t)).count();
        (over as f64) < t.probe_told * self.meetings.len() as f64
    }

    /// Who is at no site has to meet some of each, and goes to the site that answers soonest. Whether somebody has found a site.
    fn seat(&mut self, now: Duration, t: &Tuning) -> bool {
        let mut found = BTreeMap::new();
        for member in self.echoes.members().into_iter().filter(|member| !self.sites.contains_key(member)) {
            if self.meetings.get(&member).is_some_and(|meeting| meeting.is_over(now, t)) {
                found.extend(self.echoes.soonest(member, &self.sites).map(|site| (member, site)));
            } else {
                self.meetings.entry(member).or_insert(Meeting::Due);
            }
        }
        let any = !found.is_empty();
        self.sites.extend(found);
        any
    }

    /// The machines of each site.
    fn sites(&self) -> Vec<BTreeSet<u64>> {
        let mut sites = BTreeMap::<SiteId, BTreeSet<u64>>::new();
        for (&member, &site) in &self.sites {
            sites.entry(site).or_default().insert(member);
        }
        sites.into_values().collect()
    }

    /// The parts of this group are sites from now on. Who is in none of them waits until more is known.
    fn place(&mut self, group: &BTreeSet<u64>, parts: &[BTreeSet<u64>]) {
        let old = group.iter().find_map(|member| self.sites.get(member).copied()).unwrap_or(SiteId(0));
        let most = self.sites.values().map(|site| site.0).max().unwrap_or(0);
        let ids = std::iter::once(old).chain((most.saturating_add(1)..).map(SiteId));
        self.sites.retain(|member, _| !group.contains(member));
        self.sites
            .extend(parts.iter().zip(ids).flat_map(|(part, site)| part.iter().map(move |&m| (m, site))));
    }

    /// These parts are sites from now on, as they show by now, but for machines that are not clearly nearer to one of them.
    /// Whether they still show.
    fn part(&mut self, nearness: &Nearness, parts: &[BTreeSet<u64>], least: f64) -> bool {
        let groups = self.groups(nearness);
        let Some(group) = groups.iter().find(|group| !group.is_disjoint(&parts[0])) else {
            return false;
        };
        let Some(parts) = nearness.cut(group, least) else { return false };
        let part = |member: u64| {
            let part = parts.iter().position(|part| part.contains(&member));
            part.map(|part| SiteId(part as u16))
        };
        let is_clear = |member: &u64| part(*member).is_some_and(|at| nearness.is_clear(*member, at, part));
        let clear: Vec<BTreeSet<u64>> =
            parts.iter().map(|part| part.iter().copied().filter(is_clear).collect()).collect();
        if clear.iter().any(|part| part.len() < nearness.least()) {
            return false;
        }
        self.place(group, &clear);
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
            let anew = !self.shape.sites.is_empty();
            self.shape.echoes.tell(from, anew, known);
            // What it had sent before does not count.
            if let Some(meeting) = self.shape.meetings.get_mut(&from)
                && let Meeting::UnderWay(since) = *meeting
                && self.now - since >= self.config.tuning.probe_for
            {
                *meeting = Meeting::Over;
            }
        }
    }

    /// The server looks for groups in new echoes.
    pub(super) fn look_at_echoes(&mut self) {
        if !self.shape.echoes.are_fresh() {
            return;
        }
        let members = self.conns.iter().map(|(_, conn)| conn.peer).filter(|peer| peer.role == Role::Member);
        let machines = members.map(|peer| peer.member).collect::<BTreeSet<_>>().len() as u32;
        let t = &self.config.tuning;
        if !self.shape.echoes.look(self.now, t, machines) {
            return;
        }
        if self.shape.hear(self.now, t) {
            self.tell_sites();
        }
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let Some(conn) = self.conns.get(id).filter(|conn| conn.peer.role == Role::Member) else {
                continue;
            };
            if let Some(meeting) = self.shape.meetings.get_mut(&conn.peer.member)
                && *meeting == Meeting::Due
            {
                *meeting = Meeting::UnderWay(self.now);
                self.out.push(Output::Meet(id));
            }
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
        self.shape.told |= conn.peer.site.is_some();
        if conn.peer.site.is_none() {
            conn.peer.site = self.shape.sites.get(&conn.peer.member).copied();
        }
        if conn.peer.site.is_some_and(|site| self.shape.routes.contains_key(&site)) {
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
            }
        }
        self.shape.routes.clear();
        self.tell_routes();
        self.spread.sites_found(self);
    }

    /// The server looks whether pieces are to travel elsewhere, since another site has members now, or one has none any more.
    pub(super) fn look_at_routes(&mut self) {
        if self.config.role == Role::Server && self.now - self.shape.routed >= self.config.tuning.reroute {
            self.shape.routed = self.now;
            self.tell_routes();
        }
    }

    /// Members of sites whose routes are others now hear of it.
    fn tell_routes(&mut self) {
        let sites = self.populated();
        if sites.is_empty() {
            return;
        }
        let routes = Routes::of_all(self.config.site, &sites, self.config.tuning.ring);
        let old = std::mem::replace(&mut self.shape.routes, routes);
        let routes = &self.shape.routes;
        let is_member = |conn: &Conn| conn.peer.role == Role::Member && !conn.closing;
        for (id, conn) in self.conns.iter().filter(|(_, conn)| is_member(conn)) {
            if conn.peer.site.is_some_and(|site| routes.get(&site) != old.get(&site)) {
                self.out.push(Output::Near(id));
            }
        }
    }

    /// What [`Output::Meet`] is to carry: some of each site.
    pub fn to_meet(&self, id: ConnId) -> Vec<u64> {
        let Some(peer) = self.conns.get(id).map(|conn| conn.peer) else { return Vec::new() };
        let t = &self.config.tuning;
        let sites = if self.shape.sites.is_empty() { self.shape.to_meet.clone() } else { self.shape.sites() };
        let each = (t.meet_most as usize / sites.len().max(1)).clamp(1, t.meet.max(1) as usize);
        let some = sites.into_iter().flat_map(|site| {
            let mut members: Vec<u64> = site.into_iter().filter(|member| *member != peer.member).collect();
            members.sort_by_key(|member| mix(peer.member ^ *member, 0));
            members.truncate(each);
            members
        });
        some.collect()
    }

    /// What [`Output::Near`] is to carry: where a connection's peer is among the sites.
    pub fn near(&self, id: ConnId) -> Option<Near<u64>> {
        let peer = self.conns.get(id)?.peer;
        let site = peer.site?;
        let routes = self.shape.routes.get(&site).cloned().unwrap_or_default();
        let others = self.conns.iter().map(|(_, conn)| conn.peer);
        let others = others.filter(|other| {
            other.role == Role::Member && other.torrent == peer.torrent && other.member != peer.member
        });
        let mut members = BTreeMap::<SiteId, Vec<u64>>::new();
        if !self.shape.told {
            let mut told = routes.sites();
            told.insert(site);
            let there = others.filter_map(|other| Some((other.site?, other.member)));
            for (at, member) in there.filter(|(at, _)| told.contains(at)) {
                members.entry(at).or_default().push(member);
            }
        }
        Some(Near { site, routes, members })
    }
}
