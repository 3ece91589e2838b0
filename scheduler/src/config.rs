//! What a scheduler is told at its start.

use std::time::Duration;

use super::event::{Role, SiteId};

/// What this node is, and its bounds.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its part in the job.
    pub role: Role,
    /// What others know it by (their [`super::Peer::member`]).
    pub member: u64,
    /// Where it is, if known at the start.
    pub site: Option<SiteId>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Bytes of the pieces in RAM at once: asked for, arriving, or verified and not yet [`super::Input::Stored`]. Two
    /// pieces are always allowed.
    pub memory: u64,
    /// How it works; the defaults are measured.
    pub tuning: Tuning,
}

impl Config {
    /// Defaults for a role: 96 MiB of pieces.
    pub fn new(role: Role, seed: u64) -> Self {
        Self { role, member: seed, site: None, seed, memory: 96 << 20, tuning: Tuning::default() }
    }
}

/// The numbers of the policy.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Machines that ask for a piece at once, for each copy of it: at the start, and at most. See [`Tuning::fan_growth`].
    pub fan: (f64, f64),
    /// What is added to the fan for each piece that is here. First few machines must spread what there is; later so much is
    /// under way that waiting would leave links idle.
    pub fan_growth: f64,
    /// Requests are kept outstanding for so much of what the own link carries.
    pub ahead: Duration,
    /// Bytes outstanding at least.
    pub ahead_min: u32,
    /// Bytes outstanding at most.
    pub ahead_max: u32,
    /// Bytes of one request run: at least, and at most.
    pub run: (u32, u32),
    /// Pieces that may be chosen from: so many missing ones from the first missing on (disk order).
    pub window: u32,
    /// Members from which on new pieces travel down trees. (Simulated, last of 100 machines at 8 Mbit/s: 1.056 S/B, without
    /// trees 1.073; but with a slow one 1.10 instead of 1.08. On links of one busy host: 1.10, without 1.16.)
    pub forest: u32,
    /// For so long a room that has become large shows who is quick, before trees are planted. (After a quarter of that a slow
    /// one of 100 may still go unseen: 1.15 instead of 1.10; after twice that all takes 0.005 longer.)
    pub settle: Duration,
    /// Connections served at the same time, while each of them takes what it is given.
    pub slots: u32,
    /// A served connection that took nothing for so long gives its slot to another.
    pub stall: Duration,
    /// Who was told of pieces hears of further ones so much later, or with whatever else is sent to it. (Simulated: 1 s, 1.5 s and
    /// 2 s make no difference; with trees 400 machines take 1.075 S/B with 1 s, 1.064 with 2 s.)
    pub announce: Duration,
    /// A piece that fewer others have is announced at once: while fewer than `ramp` pieces are here, and later.
    pub rare: (u16, u16),
    /// Pieces that are here when the start is over.
    pub ramp: u32,
    /// The server keeps so much of its upload rate assigned ahead; up to twice as much where that is few pieces.
    pub steer: Duration,
    /// Bytes the server keeps assigned ahead, at least.
    pub steer_min: u32,
    /// Bytes the server keeps assigned ahead, at most.
    pub steer_max: u32,
    /// Requests not answered for so long are asked elsewhere, whatever the rate.
    pub late: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            fan: (8.0, 32.0),
            fan_growth: 0.06,
            ahead: Duration::from_millis(500),
            ahead_min: 512 << 10,
            ahead_max: 24 << 20,
            run: (64 << 10, 1 << 20),
            window: 256,
            forest: 64,
            settle: Duration::from_millis(500),
            slots: 5,
            stall: Duration::from_millis(60),
            announce: Duration::from_millis(2000),
            rare: (3, 1),
            ramp: 150,
            steer: Duration::from_millis(150),
            steer_min: 192 << 10,
            steer_max: 48 << 20,
            late: Duration::from_millis(2500),
        }
    }
}
