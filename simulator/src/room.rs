//! What is simulated.

use std::time::Duration;

use ezio_scheduler::Tuning;
use ezio_scheduler::neighbours::FULL_MESH;

/// One server (node 0) and its clients (1, 2, …).
#[derive(Debug, Clone)]
pub struct Room {
    /// Number of clients.
    pub clients: usize,
    /// Bytes of the image.
    pub size: u64,
    /// Bytes of a piece.
    pub piece_length: u32,
    /// Bits a second of every link, each way.
    pub rate: f64,
    /// Propagation delay of a link.
    pub latency: Duration,
    /// Bytes that a link lets through at once after a pause, as the `burst` of a token bucket.
    pub burst: u32,
    /// Time that a packet may wait at a link before the queue is full, as the `latency` of a token bucket.
    pub queue: Duration,
    /// Rooms of so many clients are a full mesh; in larger ones clients have about two thirds as many neighbours.
    pub neighbours: usize,
    /// Clients at another rate: number, bits a second.
    pub slow: Vec<(usize, f64)>,
    /// Nodes that vanish: number, time. 0 is the server.
    pub killed: Vec<(usize, Duration)>,
    /// The server vanishes as soon as every piece is somewhere else.
    pub server_leaves: bool,
    /// Whether others notice at once that a node is gone (its kernel closes the connections), or after 5 s.
    pub silent_death: bool,
    /// Clients that send wrong data.
    pub corrupt: Vec<usize>,
    /// Clients start spread over so much time.
    pub spread: Duration,
    /// Switches: the clients spread over them evenly, the server at the first.
    pub switches: usize,
    /// Whether each switch hangs on the one before; else all hang on the first.
    pub chain: bool,
    /// Bits a second between switches; none: the rate of a client.
    pub trunk: Option<f64>,
    /// Whether nodes know who is at which switch.
    pub sites_known: bool,
    /// Whether what is new travels down trees, where the room is large enough.
    pub trees: bool,
    /// Numbers of the policy.
    pub tuning: Tuning,
    /// Seed of everything.
    pub seed: u64,
    /// Steps of S/B in which the download rate is reported.
    pub steps: usize,
    /// Gives up after so much simulated time.
    pub limit: Duration,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            clients: 38,
            size: 96 << 20,
            piece_length: 64 << 10,
            rate: 20e6,
            latency: Duration::from_micros(30),
            burst: 128 << 10,
            queue: Duration::from_millis(30),
            neighbours: FULL_MESH,
            slow: Vec::new(),
            killed: Vec::new(),
            server_leaves: false,
            silent_death: false,
            corrupt: Vec::new(),
            spread: Duration::from_millis(300),
            switches: 1,
            chain: false,
            trunk: None,
            sites_known: true,
            trees: true,
            tuning: Tuning::default(),
            seed: 1,
            steps: 20,
            limit: Duration::from_secs(3600),
        }
    }
}

impl Room {
    /// The switch of a node.
    pub fn switch_of(&self, node: usize) -> usize {
        if node == 0 { 0 } else { (node - 1) * self.switches / self.clients.max(1) }
    }

    /// The way between two switches: each trunk by the switch at its far end, and whether it is taken towards that.
    pub(super) fn trunks(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, bool)> {
        let (up, down) = match self.chain {
            true => (to + 1..from + 1, from + 1..to + 1),
            false if from == to => (0..0, 0..0),
            false => (from.max(1)..from + 1, to.max(1)..to + 1),
        };
        up.rev().map(|switch| (switch, false)).chain(down.map(|switch| (switch, true)))
    }

    /// Seconds that the image takes over one link at best: what TCP carries is 1448 of 1514 bytes.
    pub fn ideal_s(&self) -> f64 {
        self.size as f64 * 8.0 / (self.rate * 1448.0 / 1514.0)
    }

    pub(super) fn rate_of(&self, node: usize) -> f64 {
        self.slow.iter().find(|s| s.0 == node).map_or(self.rate, |s| s.1)
    }
}
