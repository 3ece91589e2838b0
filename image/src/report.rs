//! What a machine tells the server while it is deployed, and what the server answers: JSON over
//! `POST /api/report`, one [`Report`] a request, answered by one [`Directive`].

use serde::{Deserialize, Serialize};

/// Who a machine is: SMBIOS first, MAC addresses as a hint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MachineId {
    /// SMBIOS system UUID, lower case with hyphens; none where the firmware gives none worth the name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uuid: Option<String>,
    /// SMBIOS system serial number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub serial: Option<String>,
    /// SMBIOS product name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub product: Option<String>,
    /// MAC addresses, lower case with colons; the card that booted first.
    #[serde(default)]
    pub macs: Vec<String>,
}

/// One event of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports.
    pub machine: MachineId,
    /// Random, new at each start of the client: tells one run from the next.
    pub run: String,
    /// Counts the reports of a run, from 0. A report may be sent again; the server takes each once.
    pub sequence: u64,
    /// Seconds since the machine's kernel started.
    pub uptime_s: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Init runs and has a network address.
    Started {
        /// Version of init.
        version: String,
        /// "uefi", "uefi+secureboot" or "bios".
        firmware: String,
        /// Address in use.
        address: String,
    },
    /// It knows what it is to do.
    Planned {
        /// Image to deploy.
        image: String,
        /// Disks to write, as people know them ("/dev/sda ATA QEMU HARDDISK 8.0 GiB").
        disks: Vec<String>,
        /// Bytes to receive and write.
        total_bytes: u64,
    },
    /// The first payload byte has arrived.
    FirstByte,
    /// Some progress; sent up to twice a second.
    Progress(Progress),
    /// The last payload byte has arrived.
    LastByte(Progress),
    /// Everything is verified and synced on the disk; tables and boot code follow.
    Verified(Progress),
    /// Table and boot code are on the disk, synced and re-read: the machine would boot.
    Deployed(Progress),
    /// Serves others until it is released.
    Seeding(Progress),
    /// The last report of a good run: the end action follows.
    Done {
        /// "reboot", "poweroff", "shell" or "hold".
        end: String,
    },
    /// The last report of a failed run.
    Failed {
        /// Step that failed ("choose disk").
        step: String,
        /// Whole cause chain, once.
        error: String,
        /// What the machine does next.
        next: String,
    },
}

/// How far a transfer is. Bytes count payload, not protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Verified bytes.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes a second received, over the last seconds.
    pub down_bytes_per_s: u64,
    /// Bytes a second sent, over the last seconds.
    pub up_bytes_per_s: u64,
    /// Payload bytes received from the server.
    pub from_server_bytes: u64,
    /// Payload bytes received from other machines.
    pub from_peers_bytes: u64,
    /// Payload bytes sent to others.
    pub sent_bytes: u64,
    /// Connected peers.
    pub peers: u32,
}

/// The server's answer to a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// Nobody needs this machine as a seeder any more: it may take its end action.
    pub release: bool,
}
