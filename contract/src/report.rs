//! What a machine tells the server while it is deployed, and what the server answers: JSON over
//! `POST /api/report`, one [`Report`] a request, answered by one [`Directive`].

//!
//! Machines may run an init that is older than the server, from an initrd that was made long ago, so the server takes
//! reports of all versions up to its own. What is newer it refuses, with a word that says what to do: an init of
//! tomorrow may mean something else by the same words.
//!
//! | version | what came with it |
//! | --- | --- |
//! | 1 | (says no version) |
//! | 2 | `format`, `steps` |
//! | 3 | `identity` |
//! | 4 | `step` in place of `identity`, `notes`, `zero_bytes`, `kept_bytes`, `proved` |
//! | 5 | `inventory`, `asks`, `console` |
//! | 6 | `cards` and `computer` of `inventory`, `console` as an event |
//! | 7 | `health` of the disks of `inventory` |

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::MachineId;
use crate::inventory::{Computer, InventoryCard, InventoryDisk, Wanted};

/// Version of the reports that this library makes, and the newest that it reads.
pub const FORMAT: u32 = 7;

/// Notes that a report carries at most, and the server keeps of a run; steps of a run likewise.
pub const MAX_NOTES: usize = 64;
/// Lines of its console that a machine sends when it fails, or is asked to, the last ones, and the longest of them, in bytes: together they
/// are half of what a report may be.
pub const MAX_CONSOLE: usize = 200;
/// See [`MAX_CONSOLE`].
pub const MAX_CONSOLE_LINE: usize = 160;
/// Longest note or step that is kept, in bytes.
pub const MAX_NOTE: usize = 240;

/// The version of reports that say none.
fn first_format() -> u32 {
    1
}

/// Why a report is refused.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A later version than this program's.
    #[error(
        "the report has format {0}, this server knows formats up to {FORMAT}: install its newer ezio-pxe, or \
             make the initrd again with the image-builder that belongs to this server"
    )]
    Newer(u32),
    /// Not JSON, or not with the keys of a report.
    #[error("this is no report")]
    Syntax(#[from] serde_json::Error),
}

/// One event of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Report {
    /// Version of the format.
    #[serde(default = "first_format")]
    pub format: u32,
    /// Who reports.
    pub machine: MachineId,
    /// Random, new at each start of the client: tells one run from the next.
    pub run: String,
    /// Counts the reports of a run, from 0. A report may be sent again; the server takes each once.
    pub sequence: u64,
    /// Seconds since the machine's kernel started.
    pub uptime_s: f64,
    /// When the machine had taken its steps so far.
    #[serde(default, skip_serializing_if = "StepTimes::is_empty")]
    pub steps: StepTimes,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Report {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// It is no report, or one of a later version.
    pub fn from_json(body: &[u8]) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(default = "first_format")]
            format: u32,
        }
        // A later version may have other keys: its number comes before them.
        match serde_json::from_slice(body)? {
            Version { format } if format > FORMAT => Err(ReportError::Newer(format)),
            _ => Ok(serde_json::from_slice(body)?),
        }
    }
}

/// When a machine had taken its steps until data flows, in seconds since its kernel started. Each is left out until it
/// is taken. (When the kernel itself started follows from [`Report::uptime_s`] and the server's clock.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct StepTimes {
    /// Init runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_s: Option<f64>,
    /// The network card has a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_s: Option<f64>,
    /// It has an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_s: Option<f64>,
    /// Init has this machine's orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conf_s: Option<f64>,
    /// The disks to write are chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disks_s: Option<f64>,
    /// The first piece is received and verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_piece_s: Option<f64>,
}

impl StepTimes {
    /// Has no step been taken?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the steps that are not known yet.
    pub fn learn(&mut self, others: &Self) {
        let Self { init_s, link_s, lease_s, conf_s, disks_s, first_piece_s } = self;
        *init_s = init_s.or(others.init_s);
        *link_s = link_s.or(others.link_s);
        *lease_s = lease_s.or(others.lease_s);
        *conf_s = conf_s.or(others.conf_s);
        *disks_s = disks_s.or(others.disks_s);
        *first_piece_s = first_piece_s.or(others.first_piece_s);
    }
}

/// What can happen on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
    /// What the machine has, and what its disks hold: before anything is written, and of those written once they are whole.
    Inventory {
        /// The disks.
        disks: Vec<InventoryDisk>,
        /// The network cards; none are said where only disks have changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cards: Vec<InventoryCard>,
        /// Processor and memory, likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        computer: Option<Computer>,
    },
    /// It asks whether these may be overwritten; [`Directive::go`] answers. It asks again for as long as that is no.
    Asks {
        /// Image to deploy.
        image: String,
        /// All that would be written.
        wanted: Vec<Wanted>,
    },
    /// It knows what it is to do, and may do it.
    Planned {
        /// Image to deploy.
        image: String,
        /// Disks to write, as people know them ("/dev/sda ATA QEMU HARDDISK 8.0 GiB").
        disks: Vec<String>,
        /// Bytes to receive and write.
        total_bytes: u64,
        /// What of the image is special, or is not what people may expect of a deployment: a sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
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
    /// All that was written was read from the disks once more, and is what it should be.
    Proved,
    /// Something was done for this machine alone, or could not be: to the identity of the clone, to the length of its file
    /// system, to boot sectors, or to the firmware's boot entries.
    #[serde(alias = "identity")]
    Step {
        /// What, for people.
        step: String,
    },
    /// What stands on its console, for [`Directive::console`] asked for it.
    Console {
        /// The last lines: what it said, and what its kernel warned of.
        console: Vec<String>,
    },
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
        /// The last lines of its console: what it said, and what its kernel warned of.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        console: Vec<String>,
    },
}

/// How far a transfer is. Bytes count payload, not protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
    /// Verified bytes of pieces that are nothing but zeros: nobody sent them.
    #[serde(default)]
    pub zero_bytes: u64,
    /// Verified bytes of other pieces that were on the disks before: nobody sent them, and they were not written again.
    #[serde(default)]
    pub kept_bytes: u64,
}

impl Progress {
    /// Verified bytes that somebody sent.
    #[must_use]
    pub fn fetched_bytes(&self) -> u64 {
        self.done_bytes.saturating_sub(self.zero_bytes + self.kept_bytes)
    }
}

/// The server's answer to a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Directive {
    /// Nobody needs this machine as a seeder any more: it may take its end action.
    pub release: bool,
    /// The machine is done: it is to boot from its own disk, and nothing on that may be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
    /// Somebody wants to see its console: its next report is [`Event::Console`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub console: bool,
    /// Answers [`Event::Asks`]: all that it names may be overwritten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub go: bool,
    /// Where it may not: what it waits for, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Somebody ends this run: the machine leaves all as it is, and does this at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<Leave>,
}

/// How a machine is left whose run somebody ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Leave {
    /// It restarts.
    Restart,
    /// It is switched off.
    PowerOff,
}
