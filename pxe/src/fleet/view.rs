//! What is told of the room (see API.md).

use std::collections::BTreeMap;

use ezio_contract::MachineId;
use ezio_contract::inventory::{Computer, InventoryCard, InventoryDisk};
use ezio_contract::report::{Progress, StepTimes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::life::State;
use super::machine::{Failure, Machine, Times};
use super::order::Order;
use super::room::Room;
use crate::seats::SeatMap;

/// The room at one moment: what `GET /api/fleet` answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct FleetView {
    /// Server's time, seconds since 1970.
    pub(crate) now: f64,
    /// Version of the server.
    pub(crate) version: String,
    pub(crate) images: Vec<ImageView>,
    /// What the server's seeder does.
    pub(crate) seeder: Progress,
    pub(crate) counts: Counts,
    pub(crate) machines: Vec<MachineView>,
    /// Where machines stand, by their ids.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, [u8; 2]>)]
    pub(crate) seats: SeatMap,
    /// Over the last deployment.
    #[serde(default)]
    pub(crate) rates: RatesView,
}

/// Rates over time, in slots of one length; `samples` has those of which something is known, by their numbers from 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RatesView {
    /// When slot 0 begins, in seconds since 1970.
    pub(crate) since: f64,
    /// Length of a slot, in seconds. It doubles whenever there are more than 240.
    pub(crate) step_s: u64,
    /// Averages over a slot, in bytes a second. Of the room: what all machines receive, what the server sends, and how many machines
    /// receive. Of a machine: what it receives, and what it sends.
    #[schema(value_type = BTreeMap<String, Vec<u64>>)]
    pub(crate) samples: BTreeMap<usize, Vec<u64>>,
}

/// An image that is served.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ImageView {
    pub(crate) name: String,
    /// What is in it: SHA-256 of its list of checksums.
    pub(crate) version: String,
    /// Program and version that made it.
    pub(crate) builder: String,
    /// Architecture of the machines that it is for; none: of any.
    pub(crate) arch: Option<String>,
    /// The operator's signature lies beside it.
    pub(crate) signed: bool,
    /// When the server opened it: small files were checked by their checksums, data by their sizes. Seconds since 1970.
    pub(crate) checked: f64,
    /// ezio.conf names it, or the set that it belongs to.
    pub(crate) in_conf: bool,
    /// Bytes that a disk must have; none where it is no image of a disk.
    pub(crate) needed_bytes: Option<u64>,
    /// Bytes that a machine receives.
    pub(crate) payload_bytes: u64,
    /// What of it is special, or is not kept: a sentence each.
    pub(crate) notes: Vec<String>,
    /// When it was made, as RFC 3339 writes it.
    pub(crate) created: String,
    pub(crate) partitions: Vec<PartitionView>,
}

/// A partition of an image.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PartitionView {
    pub(crate) name: String,
    /// As blkid names it.
    pub(crate) filesystem: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) size_bytes: u64,
    /// Bytes of it that a machine receives.
    pub(crate) payload_bytes: u64,
}

/// How many machines are how far, as people ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Counts {
    pub(crate) done: usize,
    pub(crate) working: usize,
    pub(crate) failed: usize,
    pub(crate) silent: usize,
    pub(crate) waiting: usize,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct MachineView {
    /// Its name here; `ezio-pxe again` takes it.
    pub(crate) id: String,
    pub(crate) machine: MachineId,
    /// Host name: what its deployment gave it, else what its system says.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) firmware: Option<String>,
    /// Of ezio.conf.
    #[serde(default)]
    pub(crate) group: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) disks: Vec<String>,
    /// What is said of the image that it gets.
    pub(crate) notes: Vec<String>,
    /// What was done for this machine alone, and could not be: identity, growth, boot entries.
    pub(crate) own_steps: Vec<String>,
    pub(crate) state: State,
    /// Should have been heard of, and was not.
    pub(crate) silent: bool,
    /// Boots from its own disk.
    pub(crate) boots_local: bool,
    /// An operator holds it.
    pub(crate) held: bool,
    /// What is wanted of it beside ezio.conf.
    #[serde(default)]
    pub(crate) order: Option<Order>,
    /// What it waits for, a line each.
    pub(crate) waiting_for: Vec<String>,
    /// Its disks, as it saw them last.
    pub(crate) inventory: Vec<InventoryDisk>,
    /// Its network cards, likewise.
    #[serde(default)]
    pub(crate) cards: Vec<InventoryCard>,
    #[serde(default)]
    pub(crate) computer: Option<Computer>,
    /// Runs in a row that have failed.
    pub(crate) failures: u32,
    pub(crate) progress: Progress,
    /// Cause chain of the last failure.
    pub(crate) error: Option<String>,
    /// Step that failed.
    pub(crate) failed_step: Option<String>,
    /// What the machine does after the failure.
    pub(crate) next: Option<String>,
    pub(crate) times: Times,
    /// Its own steps, in seconds since its kernel started.
    pub(crate) steps: StepTimes,
    pub(crate) last_heard: f64,
    pub(crate) deployments: u64,
    /// When it sent the console that is kept of it, in seconds since 1970.
    #[serde(default)]
    pub(crate) console_at: Option<f64>,
}

impl MachineView {
    fn new(machine: &Machine, silent: bool) -> Self {
        let hostname = machine.hostname().map(str::to_owned);
        let machine = machine.clone();
        let (failed_step, error, next) = match machine.error {
            Some(Failure { step, error, next }) => (Some(step), Some(error), Some(next)),
            None => (None, None, None),
        };
        Self {
            id: machine.id,
            hostname,
            machine: machine.identity,
            address: machine.address,
            firmware: machine.firmware,
            group: None,
            image: machine.image,
            disks: machine.disks,
            notes: machine.notes,
            own_steps: machine.own_steps,
            state: machine.life.state,
            silent,
            boots_local: machine.life.boots_local,
            held: machine.held,
            order: machine.order,
            waiting_for: machine.waits_for,
            inventory: machine.known_disks.inventory,
            cards: machine.cards,
            computer: machine.computer,
            failures: machine.failures,
            progress: machine.progress,
            error,
            failed_step,
            next,
            times: machine.times,
            steps: machine.steps,
            last_heard: machine.last_heard,
            deployments: machine.deployments,
            console_at: None,
        }
    }
}

/// Machines in a steady order, and their counts.
pub(super) fn machines(room: &Room, now: f64) -> (Vec<MachineView>, Counts) {
    let mut views: Vec<MachineView> =
        room.machines().iter().map(|m| MachineView::new(m, room.is_silent(m, now))).collect();
    views.sort_by(|a, b| a.times.first_seen.total_cmp(&b.times.first_seen).then_with(|| a.id.cmp(&b.id)));
    let mut counts = Counts::default();
    for view in &views {
        *match view.state {
            _ if view.silent => &mut counts.silent,
            State::Done => &mut counts.done,
            State::Failed => &mut counts.failed,
            State::Again | State::Booting | State::Waiting => &mut counts.waiting,
            _ => &mut counts.working,
        } += 1;
    }
    (views, counts)
}
