//! Whether trees ([`super::place`]) serve their room: the server looks at what it sends and at what its members get.

use std::collections::HashMap;
use std::time::Duration;

use super::Scheduler;
use super::event::ConnId;
use super::geometry::TorrentId;

/// What the last looks at the trees of a torrent showed.
#[derive(Debug)]
pub(super) struct Watch {
    looked: Duration,
    /// Bytes that the server had sent.
    sent: u64,
    /// Pieces that all members together had.
    got: u32,
    /// How many pieces each member had at the first look at it, and how many looks there were.
    had: HashMap<ConnId, (u32, u32)>,
}

impl Watch {
    pub(super) fn new(now: Duration, sent: u64) -> Self {
        Self { looked: now, sent, got: 0, had: HashMap::new() }
    }
}

impl Scheduler {
    /// Whether trees hold up their room, when it is time. `leaves`: some pieces have not left the server yet.
    pub(super) fn hold_up(&mut self, torrent: TorrentId, leaves: bool) -> bool {
        let (now, all_sent, link) = (self.now, self.stats.sent, self.link.per_s());
        let Some(trees) = self.places.get_mut(torrent) else { return false };
        let passed = now - trees.watch.looked;
        if passed < self.config.tuning.watch {
            return false;
        }
        trees.watch.looked = now;
        let sent = all_sent - std::mem::replace(&mut trees.watch.sent, all_sent);
        let members: Vec<ConnId> = trees.forest.members().collect();
        let got = members.iter().filter_map(|id| self.conns.get(*id)).map(|conn| conn.has.count()).sum();
        // In a small torrent nobody gets so much that it shows who lags. Who waits for a silent parent asks nobody else.
        let stands_still = std::mem::replace(&mut trees.watch.got, got) == got && sent == 0;
        let held_up = leaves && (sent as f64) < self.config.tuning.held_up * link * passed.as_secs_f64();
        held_up || stands_still || self.somebody_lags(torrent, sent > 0)
    }

    /// Whether a member has fallen behind most, or most behind the best: since the first look by half of what those get from one
    /// look to the next (what came in the last two seconds is not announced yet: less says nothing), and by what trees gain
    /// over no trees. Or nobody got anything, and it is not that the server `sends` another torrent.
    fn somebody_lags(&mut self, torrent: TorrentId, sends: bool) -> bool {
        let Some(trees) = self.places.get_mut(torrent) else { return false };
        // Pieces since the first look at each, and how many looks ago that was.
        let mut got: Vec<(f64, f64)> = Vec::new();
        for id in trees.forest.members() {
            let Some(has) = self.conns.get(id).map(|conn| conn.has.count()) else { continue };
            let (first, looks) = trees.watch.had.entry(id).or_insert((has, 0));
            if *looks > 0 {
                got.push((has.saturating_sub(*first).into(), (*looks).into()));
            }
            *looks += 1;
        }
        let gain = self.config.tuning.tree_gain;
        got.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let Some((&least, &best)) = got.first().zip(got.last()) else { return false };
        let most = got[got.len() / 2];
        if most.0 == 0.0 {
            trees.watch.had.clear();
            return !sends;
        }
        if most.0 < self.config.tuning.watch_enough * most.1 {
            return false;
        }
        let behind = |(pieces, looks): (f64, f64), than: (f64, f64)| {
            pieces < than.0 / than.1 * ((1.0 - gain) * looks - 0.5)
        };
        behind(least, most) || behind(most, best)
    }
}
