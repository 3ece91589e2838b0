//! Where machines stand in the room, as somebody arranged them on the page.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::store::{Entry, SEATS, Store};

/// Seats that are kept: one for each machine that is.
const MAX_SEATS: usize = 4096;
/// Longest id of a machine, in bytes (`MachineId` keeps no longer serial number).
const MAX_ID: usize = 200;

/// Column and row, from the left and the top.
pub(crate) type Seat = (u8, u8);
/// Seats by the ids of the machines.
pub(crate) type SeatMap = BTreeMap<String, Seat>;
/// What is to be changed: none takes the seat away.
pub(crate) type Moved = BTreeMap<String, Option<Seat>>;

/// A seat in the database.
#[derive(Serialize, Deserialize)]
struct Record {
    machine: String,
    seat: Seat,
}

/// All seats.
pub(crate) struct Seats {
    seats: Mutex<SeatMap>,
    store: Option<Store>,
}

impl Seats {
    /// Takes up what the database knows, if there is one.
    pub(crate) fn open(store: Option<Store>) -> Result<Self> {
        let records: Vec<Record> = match &store {
            Some(store) => store.load(SEATS).context("seats")?,
            None => Vec::new(),
        };
        let seats = records.into_iter().map(|record| (record.machine, record.seat)).collect();
        Ok(Self { seats: Mutex::new(seats), store })
    }

    fn seats(&self) -> MutexGuard<'_, SeatMap> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all(&self) -> SeatMap {
        self.seats().clone()
    }

    /// Moves machines. False: one has no name, or there would be too many; then nothing is moved.
    pub(crate) async fn move_to(&self, moved: Moved) -> Result<bool> {
        let mut entries = Vec::new();
        {
            let mut seats = self.seats();
            let new = moved.iter().filter(|(id, seat)| seat.is_some() && !seats.contains_key(*id)).count();
            let named = moved.keys().all(|id| (1..=MAX_ID).contains(&id.len()));
            if !named || seats.len() + new > MAX_SEATS {
                return Ok(false);
            }
            for (machine, seat) in moved {
                entries.push(match seat {
                    Some(seat) => Entry::put(SEATS, &machine, &Record { machine: machine.clone(), seat })?,
                    None => Entry::remove(SEATS, &machine),
                });
                match seat {
                    Some(seat) => seats.insert(machine, seat),
                    None => seats.remove(&machine),
                };
            }
        }
        if let Some(store) = &self.store {
            store.save(entries).await.context("keeping seats in the database")?;
        }
        Ok(true)
    }
}
