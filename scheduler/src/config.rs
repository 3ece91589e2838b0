//! What a scheduler is told at its start.

use super::event::Role;
use super::routes::SiteId;
use super::tuning::Tuning;

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
    /// Whether what is new travels down trees in large rooms; else every room is a mesh. Nodes may differ.
    pub trees: bool,
    /// How it works; the defaults are measured.
    pub tuning: Tuning,
}

impl Config {
    /// Defaults for a role: 96 MiB of pieces.
    pub fn new(role: Role, seed: u64) -> Self {
        Self {
            role,
            member: seed,
            site: None,
            seed,
            memory: 96 << 20,
            trees: true,
            tuning: Tuning::default(),
        }
    }
}
