//! What a run has shown.

use std::time::Duration;

use super::super::link::Nanos;
use super::super::report::Report;
use super::World;
use ezio_scheduler::{Scheduler, Stats};

impl World<'_> {
    pub(super) fn report(self) -> Report {
        let ideal_s = self.room.ideal_s();
        let size = self.room.size as f64;
        let in_ideals = |ns: Nanos| ns as f64 / 1e9 / ideal_s;
        let counted = || self.nodes.iter().zip(&self.healthy).filter(|(_, h)| **h).map(|(n, _)| n);
        let mut done: Vec<f64> = counted().filter_map(|n| n.done).map(in_ideals).collect();
        done.sort_by(f64::total_cmp);
        let own = counted().filter_map(|n| Some(in_ideals(n.done? - n.start))).fold(0.0, f64::max);
        let stats: Vec<_> =
            self.nodes.iter().skip(1).filter_map(|n| n.scheduler.as_ref()).map(Scheduler::stats).collect();
        let clients = self.room.clients as f64;
        let mean = |f: fn(&Stats) -> u64| stats.iter().map(|s| f(s) as f64).sum::<f64>() / clients;
        let idle = |f: fn(&Stats) -> Duration| {
            stats.iter().map(|s| f(s).as_secs_f64()).sum::<f64>() / clients / (self.now as f64 / 1e9)
        };
        let (bytes, dropped) = self.links.iter().fold((0, 0), |(b, d), l| (b + l.bytes, d + l.dropped));
        let elapsed = self.now as f64 / 1e9;
        let capacity = clients * self.room.rate / 8.0 * elapsed;
        let sent: u64 = stats.iter().map(|s| s.sent).sum();
        let up: u64 = self.links[1..=self.room.clients].iter().map(|l| l.bytes).sum();
        let trunks = self.links[2 * self.nodes.len()..].iter().skip(3).step_by(2);
        let crossed = trunks.map(|l| l.bytes as f64 / size).fold(0.0, f64::max);
        let step = clients * self.room.rate / 8.0 * 1448.0 / 1514.0 * ideal_s / self.room.steps as f64;
        let last_used = self.received.iter().rposition(|r| *r > 0).map_or(0, |p| p + 1);
        Report {
            healthy: self.healthy.iter().filter(|h| **h).count(),
            done: done.len(),
            ideal_s,
            last: if self.left == 0 { done.last().copied().unwrap_or(f64::NAN) } else { f64::INFINITY },
            median: done.get(done.len() / 2).copied().unwrap_or(f64::INFINITY),
            worst_own: own,
            server_copies: self.links[0].bytes as f64 / size,
            duplicates: mean(|s| s.wasted) / size,
            corrupt: mean(|s| s.corrupt) / size,
            late: mean(|s| s.late),
            drops: dropped as f64 * 3000.0 / bytes.max(1) as f64 * 1000.0,
            uplink: (sent as f64 / capacity, up as f64 / capacity),
            idle: (idle(|s| s.idle_up), idle(|s| s.idle_down)),
            crossed,
            placed: self.nodes.iter().filter(|n| n.found.is_some()).count(),
            phases: self.received[..last_used].iter().map(|r| *r as f64 / step).collect(),
            events: self.count,
        }
    }
}
