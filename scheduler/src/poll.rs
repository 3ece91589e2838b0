//! The rules, in the order in which they run. An event only notes which of them have something to look at.

use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Place};
use super::geometry::{Blocks, PieceId, TorrentId};

/// What has changed since the rules ran last.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Blocks that were asked for and are not to be had.
    pub(super) refused: Vec<(ConnId, Blocks)>,
    /// It became known where somebody is.
    pub(super) moved: bool,
    /// There is something to be fetched for another site, or somebody there who could.
    pub(super) entrust: bool,
    /// Members that came, to a server.
    pub(super) came: Vec<ConnId>,
    /// Somebody may hold up the server's trees.
    pub(super) trees: bool,
    /// The server's word on the trees of a torrent.
    pub(super) placed: Vec<(TorrentId, Option<Place>)>,
    /// Peers that have other pieces now, or took the last of what they asked for.
    pub(super) peers: Vec<ConnId>,
    /// Members have offered something.
    pub(super) offered: Vec<(ConnId, PieceId)>,
    /// Servers have suggested something that was not asked for yet.
    pub(super) suggesting: Vec<ConnId>,
    /// The server may have too little under way.
    pub(super) steer: bool,
    /// There may be too little outstanding, or more to ask for.
    pub(super) fill: bool,
    /// There may be more to send, or somebody else to send to.
    pub(super) pump: bool,
    /// There may be time to send something that nobody asked for.
    pub(super) offer: bool,
}

impl Due {
    /// A connection is gone.
    pub(super) fn forget(&mut self, id: ConnId) {
        self.refused.retain(|&(waiting, _)| waiting != id);
        self.came.retain(|&came| came != id);
        self.offered.retain(|&(from, _)| from != id);
        self.suggesting.retain(|&server| server != id);
        self.peers.retain(|&peer| peer != id);
    }
}

impl Scheduler {
    /// Runs the rules at time `now` and appends what is to be done to `out`. To be called after inputs, once for all that come
    /// together, and at [`Scheduler::next_wakeup`].
    pub fn poll(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.now = self.now.max(now);
        self.refuse();
        let tick = self.now.saturating_sub(self.last_tick) >= self.config.tuning.tick;
        if tick {
            self.measure();
            let due = &mut self.due;
            (due.trees, due.steer, due.fill, due.pump, due.offer) = (true, true, true, true, true);
            // What does not come, or need not come from there, is taken back.
            self.find_late();
            self.restart_abandoned();
            self.recall();
            self.expire_suggestions();
        }
        // How what is new spreads: the server's part, a member's part.
        self.greet();
        self.spread.tend(self);
        // What is to come.
        self.steer();
        self.show_interest();
        self.take_offers();
        self.take_suggestions();
        self.fill();
        // What is to go.
        self.pump();
        self.offer();
        // What others are to know.
        self.finish();
        self.entrust();
        self.announce();
        self.part();
        // Where everybody is.
        self.probe();
        if tick {
            self.report();
            self.look_at_routes();
            self.look_at_echoes();
            self.look_at_shape();
        }
        out.append(&mut self.out);
    }

    /// Members have come, to a server.
    fn greet(&mut self) {
        for id in std::mem::take(&mut self.due.came) {
            self.member_comes_to_site(id);
            self.spread.member_comes(self, id);
        }
    }

    /// Takes the step since the last look into all rates.
    fn measure(&mut self) {
        let step = self.now - self.last_tick;
        self.last_tick = self.now;
        if self.serving.is_idle() {
            self.stats.idle_up += step;
        }
        if !self.complete && self.pending_bytes == 0 {
            self.stats.idle_down += step;
        }
        let t = &self.config.tuning;
        self.down.step(step, t.rate_memory);
        self.saved.step(step, t.rate_memory);
        self.up.step(step, t.rate_memory);
        self.link.step(step, self.down.per_s().max(self.up.per_s()), t);
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let (now, memory) = (self.now, self.config.tuning.rate_memory);
            if let Some(conn) = self.conns.get_mut(id)
                && (conn.pending_bytes > 0 || (conn.down.known() && now.saturating_sub(conn.progress) < step))
            {
                conn.down.step(step, memory);
            }
        }
    }
}

/// Tells one input, and runs the rules.
#[cfg(test)]
pub(super) fn tell(scheduler: &mut Scheduler, now: Duration, input: super::Input<'_>, out: &mut Vec<Output>) {
    scheduler.handle(now, input);
    scheduler.poll(now, out);
}
