//! The broadcast engine: carries one image from one server to a whole room in the time of one machine.
//!
//! Standard BitTorrent v1 over TCP on the wire, so that any client can seed to us or download from us:
//! BEP 3, 6 (fast extension), 9 (metadata exchange), 10 (extension protocol), 15 (UDP trackers), 23
//! (compact peers) and 27 (private torrents).
//!
//! ```text
//! tracker ──addresses──▶ session ──what happens──▶ ezio-scheduler (pure: no sockets, no clock)
//!                         │  ▲                        │
//!                         │  └──────what to do────────┘
//!                         ▼
//!                  pipeline: memory ─▶ SHA-1 ─▶ large sorted runs ─▶ storage (devices, files)
//! ```

pub mod beginning;
pub mod config;
pub mod magnet;
pub mod room;
pub mod storage;
pub mod wire;

mod block;
mod inquiry;
mod pack;
mod pack_memory;
mod pipeline;
mod proof;
mod session;
mod swarm;
mod threads;
mod tracker;
mod zeros;

pub use config::{Config, Content, Role, Site};
pub use ezio_scheduler::{Routes, SiteId, Tuning};
pub use proof::{Wrong, prove};
pub use swarm::{Swarm, SwarmError};
