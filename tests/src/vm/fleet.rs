//! The room as `GET /api/fleet` tells it: the part that tests look at.

use ezio_contract::inventory::InventoryDisk;
use serde::Deserialize;

/// All machines that the server knows.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Fleet {
    /// The machines.
    pub machines: Vec<Member>,
}

/// One machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Member {
    /// Who it is.
    pub machine: Identity,
    /// "working", "done", "failed", ….
    pub state: String,
    /// Why it failed: the whole cause chain.
    pub error: Option<String>,
    /// Step that failed.
    pub failed_step: Option<String>,
    /// What the machine does after its failure.
    pub next: Option<String>,
    /// What it found that it may not overwrite unasked.
    pub waiting_for: Vec<String>,
    /// Its disks, as it saw them last.
    pub inventory: Vec<InventoryDisk>,
    /// How far it is.
    pub progress: Progress,
    /// When it got how far.
    pub times: Times,
    /// When it had taken its own steps.
    pub steps: Steps,
}

/// How a machine is told from others.
#[derive(Debug, Clone, Deserialize)]
pub struct Identity {
    /// SMBIOS UUID.
    pub uuid: Option<String>,
}

/// Bytes of payload.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Progress {
    /// Verified.
    pub done_bytes: u64,
    /// In all.
    pub total_bytes: u64,
    /// Received a second, lately.
    pub down_bytes_per_s: u64,
    /// Received from the server.
    pub from_server_bytes: u64,
    /// Received from other machines.
    pub from_peers_bytes: u64,
    /// Zeros, which nobody sends.
    pub zero_bytes: u64,
    /// On the disks before.
    pub kept_bytes: u64,
}

/// When the first event of each kind came, in seconds of Unix time.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Times {
    /// It asked for something to boot.
    pub booting: Option<f64>,
    /// Its kernel started.
    pub kernel: Option<f64>,
    /// Init had a network address.
    pub started: Option<f64>,
    /// First byte of payload.
    pub first_byte: Option<f64>,
    /// Last byte of payload.
    pub last_byte: Option<f64>,
    /// All verified and synced.
    pub verified: Option<f64>,
    /// Table and boot code written.
    pub deployed: Option<f64>,
    /// The run has ended.
    pub done: Option<f64>,
}

/// When a machine had taken its own steps, in seconds since its kernel started.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Steps {
    /// Init runs.
    pub init_s: Option<f64>,
    /// The network card has a link.
    pub link_s: Option<f64>,
    /// It has an address.
    pub lease_s: Option<f64>,
    /// Init has its orders.
    pub conf_s: Option<f64>,
    /// The disks are chosen.
    pub disks_s: Option<f64>,
    /// The first piece is verified.
    pub first_piece_s: Option<f64>,
}

impl Fleet {
    /// The machine with this UUID.
    #[must_use]
    pub fn member(&self, uuid: &str) -> Option<&Member> {
        self.machines.iter().find(|member| member.machine.uuid.as_deref() == Some(uuid))
    }
}
