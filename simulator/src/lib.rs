//! A room of machines, simulated: the real [`ezio_scheduler::Scheduler`] on every node, over simulated TCP on simulated
//! links. Deterministic: the same [`Room`] gives the same [`Report`].
//!
//! The network is simulated packet by packet, as far as it decides how a broadcast behaves: token-bucket links with finite
//! queues, losses, slow start, growth and idle restarts of congestion windows, the kernel's small-queue limit, head-of-line
//! blocking in each stream, and the bytes of headers, ACKs and control messages. Not simulated: CPU time, disks.

mod link;
mod node;
mod report;
mod room;
mod tcp;
mod world;

pub use report::Report;
pub use room::Room;

/// Runs a room until every healthy client is done, or until the time limit.
pub fn run(room: &Room) -> Report {
    world::World::new(room).run()
}
