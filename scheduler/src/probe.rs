//! Probes: before there is much to send, members send each other a little padding, which the other end answers at once (an *echo*).
//!
//! All members do so when they come, so that a thin link has a queue of padding while all others have none: what goes over it comes
//! back late, and the server hears of that ([`super::shape`]) before pieces wait in that queue. Until then a member asks only
//! those whose echo came soon.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Echo, Output, Role};
use super::peer::Conn;
use super::rank::mix;

/// The probes of this machine.
#[derive(Debug, Default)]
pub(super) struct Probing {
    /// When the first other member was there.
    since: Option<Duration>,
    /// The members that were sent some, by their number ([`super::Peer::member`]), over all their connections.
    members: BTreeMap<u64, Probe>,
    /// Connections and members that have not answered.
    under_way: Vec<(ConnId, u64)>,
    /// The longest that an echo took, and how many took long.
    slowest: Duration,
    slow: u32,
    /// The server was told.
    told: bool,
}

impl Probing {
    /// Since when this machine sends probes; none for a server, and where an operator has said where it is.
    pub(super) fn since(&self) -> Option<Duration> {
        self.since
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, id: ConnId) {
        self.under_way.retain(|(probed, _)| *probed != id);
    }
}

/// The probes of one member.
#[derive(Debug, Default, Clone, Copy)]
struct Probe {
    count: u32,
    /// When the last was sent.
    at: Duration,
    /// How long the last echo took.
    echo: Option<Duration>,
}

impl Scheduler {
    /// A member that was not told by an operator where it is sends probes for a while, and then tells the server what came of them.
    pub(super) fn probe(&mut self) {
        if self.config.role != Role::Member {
            return;
        }
        let Some(since) = self.probing.since else {
            let starts =
                self.config.site.is_none() && self.conns.iter().any(|(_, conn)| self.may_be_here(conn));
            self.probing.since = starts.then_some(self.now);
            return;
        };
        if self.now - since < self.config.tuning.probe_for {
            self.send_probe(since);
        } else if !std::mem::replace(&mut self.probing.told, true) {
            self.out.extend(self.server().map(Output::Echoes));
        }
    }

    /// Sends the next probe, if there is one to send.
    fn send_probe(&mut self, since: Duration) {
        let t = &self.config.tuning;
        let (under_way, slow) = (&self.probing.under_way, self.slow_under_way());
        if under_way.len() - slow >= t.probes as usize
            || under_way.len() >= (t.probes + t.probes_slow) as usize
        {
            return;
        }
        let warm = since + t.probe_warm;
        let again = |probe: &Probe| probe.count == 1 && probe.at < warm && self.now >= warm;
        let new = |probe: &Probe| probe.count == 0 && slow < t.probes_slow as usize;
        let open = self.conns.iter().filter(|(_, conn)| {
            let probe = self.probing.members.get(&conn.peer.member).copied().unwrap_or_default();
            self.may_be_here(conn)
                && (new(&probe) || again(&probe))
                && !under_way.iter().any(|(_, member)| *member == conn.peer.member)
        });
        let old = |conn: &Conn| self.probing.members.get(&conn.peer.member).is_some_and(|p| p.at < since);
        let order = |conn: &Conn| (old(conn), mix(self.config.member, conn.member as u32));
        let next = open.min_by_key(|(_, conn)| order(conn)).map(|(id, conn)| (id, conn.peer.member));
        let Some((id, member)) = next else { return };
        let probe = self.probing.members.entry(member).or_default();
        (probe.count, probe.at) = (probe.count + 1, self.now);
        self.probing.under_way.push((id, member));
        self.out.push(Output::Probe(id));
    }

    /// It has become known where this machine is: it sends probes to those that are there as well, whose links had too little to
    /// carry while a thinner one held up all.
    pub(super) fn probe_again(&mut self) {
        if self.probing.since.is_some() {
            self.probing = Probing { since: Some(self.now), ..Probing::default() };
        }
    }

    /// It has to meet others: it sends probes to those who come now, and goes on with those that it has.
    pub(super) fn probe_more(&mut self) {
        if self.probing.since.is_some() {
            (self.probing.since, self.probing.told) = (Some(self.now), false);
        }
    }

    /// How many echoes take long.
    fn slow_under_way(&self) -> usize {
        self.probing.under_way.iter().filter(|(_, member)| self.is_slow(*member)).count()
    }

    /// Whether the echo of the last probe to a member has not come soon.
    fn is_slow(&self, member: u64) -> bool {
        let slow = |probe: &Probe| self.now - probe.at >= self.config.tuning.probe_slow;
        self.probing.members.get(&member).is_some_and(slow)
    }

    /// The echo of a probe is here.
    pub(super) fn on_echoed(&mut self, id: ConnId) {
        let probed = self.probing.under_way.iter().find(|(probed, _)| *probed == id);
        let Some(probe) = probed.and_then(|(_, member)| self.probing.members.get_mut(member)) else { return };
        let time = self.now - probe.at;
        probe.echo = Some(time);
        self.probing.slowest = self.probing.slowest.max(time);
        self.probing.slow += u32::from(time >= self.config.tuning.probe_slow);
        self.probing.forget(id);
    }

    /// What [`Output::Echoes`] is to carry: nothing of the time before all sent probes.
    pub fn take_echoes(&mut self) -> Vec<Echo> {
        let warm = self.probing.since.unwrap_or_default() + self.config.tuning.probe_warm;
        let echoes = self.probing.members.iter().filter_map(|(&member, probe)| {
            let waits = self.probing.under_way.iter().any(|(_, waits)| *waits == member);
            let late = (waits && self.is_slow(member)).then(|| self.now - probe.at);
            let echo = probe.echo.filter(|_| probe.at >= warm);
            Some(Echo { member, time: late.or(echo)? })
        });
        echoes.collect()
    }

    /// Whether it is not yet to be asked for anything, since it may be at another site.
    pub(super) fn may_be_far(&self, conn: &Conn) -> bool {
        if conn.peer.role != Role::Member || self.config.site.is_some() || self.config.role == Role::Server {
            return false;
        }
        let Some(since) = self.probing.since else { return true };
        let t = &self.config.tuning;
        let elapsed = self.now - since;
        let some_slow = || self.probing.slow as usize + self.slow_under_way() >= t.group as usize;
        if elapsed >= t.probe_wait || (elapsed >= 2 * t.probe_for && !some_slow()) {
            return false;
        }
        let soon = t.probe_near.max(self.probing.slowest / 4);
        let is_near =
            |probe: &Probe| probe.at >= since + t.probe_warm && probe.echo.is_some_and(|echo| echo <= soon);
        !self.probing.members.get(&conn.peer.member).is_some_and(is_near)
    }
}

#[cfg(test)]
mod tests {
    use super::super::poll::tell;
    use super::super::{
        BLOCK_SIZE, Config, Geometry, Input, Peer, REQUEST_QUEUE, SiteId, Start, TorrentId, TorrentShape,
        Tuning,
    };
    use super::*;

    const SERVER: ConnId = ConnId(0);
    const SOON: Duration = Duration::from_millis(1);
    const LATE: Duration = Duration::from_millis(300);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A member at a site, or untold, which knows the server and six others that have everything, two torrents: each by two
    /// connections, the second by a number that is ten higher.
    fn member(site: Option<SiteId>) -> Scheduler {
        let shape = TorrentShape { piece_length: BLOCK_SIZE, total_length: 40 * u64::from(BLOCK_SIZE) };
        let config = Config { site, ..Config::new(Role::Member, 100) };
        let mut scheduler = Scheduler::new(config, Geometry::new([shape; 2]), &[Start::None; 2]);
        for number in (0..7u32).chain(10..17) {
            let role = if number % 10 == 0 { Role::Server } else { Role::Member };
            let (torrent, member) = (TorrentId(u16::from(number > 9)), (number % 10).into());
            let peer = Peer { torrent, member, role, site, fast: true, queue: REQUEST_QUEUE };
            let id = ConnId(number);
            for input in [Input::Connected(id, peer), Input::HaveAll(id), Input::Unchoked(id)] {
                scheduler.handle(Duration::ZERO, input);
            }
        }
        scheduler
    }

    /// All that it says in so many milliseconds, when echoes take as long as `echo` says; with the time.
    fn says(
        scheduler: &mut Scheduler,
        until: u64,
        echo: impl Fn(ConnId) -> Duration,
    ) -> Vec<(Duration, Output)> {
        let (mut said, mut coming) = (Vec::new(), Vec::new());
        for now in (0..until).map(ms) {
            let mut out = Vec::new();
            scheduler.poll(now, &mut out);
            coming.retain(|&(at, id)| {
                if at <= now {
                    tell(scheduler, now, Input::Echoed(id), &mut out);
                }
                at > now
            });
            for output in out {
                if let Output::Probe(id) = output {
                    coming.push((now + echo(id), id));
                }
                said.push((now, output));
            }
        }
        said
    }

    fn asked(said: &[(Duration, Output)]) -> Vec<u32> {
        let asked = said.iter().filter_map(|(_, output)| match output {
            Output::Request(id, _) => Some(id.0 % 10),
            _ => None,
        });
        let mut asked: Vec<u32> = asked.collect();
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    /// The first three are near.
    fn two_sites(id: ConnId) -> Duration {
        if id.0 % 10 <= 3 { SOON } else { LATE }
    }

    #[test]
    fn until_it_is_told_where_it_is_it_asks_those_whose_echo_came_soon() {
        let mut scheduler = member(None);
        let said = says(&mut scheduler, 1000, two_sites);
        assert_eq!(asked(&said), [1, 2, 3]);
        let told: Vec<_> = said.iter().filter(|(_, o)| matches!(o, Output::Echoes(_))).collect();
        assert_eq!(told, [&(ms(800), Output::Echoes(SERVER))]);
        let mut echoes = scheduler.take_echoes();
        echoes.sort_by_key(|echo| echo.member);
        assert_eq!(echoes.len(), 6, "{echoes:?}");
        for echo in echoes {
            assert_eq!(echo.time < ms(10), echo.member <= 3, "{echo:?}");
        }
    }

    #[test]
    fn it_waits_for_a_word_no_longer_than_it_has_to() {
        let first = |echo: fn(ConnId) -> Duration| {
            let said = says(&mut member(None), 3000, echo);
            said.iter().find(|(_, o)| matches!(o, Output::Request(id, _) if id.0 % 10 > 3)).map(|(at, _)| *at)
        };
        let t = Tuning::default();
        assert!(first(|_| SOON).unwrap() < t.probe_for, "all are near");
        assert_eq!(first(|_| ms(100)), Some(2 * t.probe_for), "nobody is nearer than others");
        assert_eq!(first(|_| Duration::from_secs(9)), Some(t.probe_wait), "nobody answers");
        // Or until those near by are late with what they were asked for.
        assert!(first(two_sites).is_some_and(|at| at > t.late && at <= t.probe_wait));
    }

    #[test]
    fn where_an_operator_has_said_who_is_where_nobody_probes() {
        let said = says(&mut member(Some(SiteId(0))), 1000, |_| SOON);
        assert!(!said.iter().any(|(_, o)| matches!(o, Output::Probe(_) | Output::Echoes(_))));
        assert!(said.iter().any(|(at, o)| *at == Duration::ZERO && matches!(o, Output::Request(..))));
    }

    #[test]
    fn who_hears_where_it_is_probes_those_there_again() {
        let mut scheduler = member(None);
        says(&mut scheduler, 1000, two_sites);
        for number in (1..7u32).chain(11..17) {
            let site = SiteId(u16::from(number % 10 > 3));
            scheduler.handle(ms(1000), Input::PeerSite(ConnId(number), Some(site)));
        }
        scheduler.handle(ms(1000), Input::OwnSite(Some(SiteId(0))));
        let mut out = Vec::new();
        (1000..2000).for_each(|now| scheduler.poll(ms(now), &mut out));
        let mut probed: Vec<u32> = out
            .iter()
            .filter_map(|o| if let Output::Probe(id) = o { Some(id.0 % 10) } else { None })
            .collect();
        probed.sort_unstable();
        assert_eq!(probed, [1, 2, 3]);
    }
}
