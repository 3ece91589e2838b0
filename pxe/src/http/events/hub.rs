//! Who watches the room, and what they are sent: the whole once, and then changes. Every queue is bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::response::sse::Event;
use serde_json::{Map, Value};
use tokio::sync::{Notify, mpsc};

use super::patch::merge_patch;
use crate::fleet::{FleetView, MachineView};

/// Viewers at a time.
const MAX_VIEWERS: usize = 64;
/// Events that wait for one viewer: half a minute's. One that reads nothing for so long is cut, and asks again.
const QUEUE: usize = 32;
/// Changes that are kept for those who come back: two minutes' in a room that is at work.
const KEPT: usize = 120;
/// Bytes of these changes at most. A room of 1,000 machines at work changes by some 150 KB a second.
const KEPT_BYTES: usize = 16 << 20;
/// Longest silence towards a viewer. The page takes three of these for the end of the connection.
const BEAT: Duration = Duration::from_secs(5);

/// All viewers, and what they know.
pub(super) struct Hub {
    state: Mutex<State>,
}

struct State {
    /// Tells the changes of this process from those of the one before.
    process: u64,
    /// Of the last change.
    number: u64,
    room: FleetView,
    kept: VecDeque<Kept>,
    viewers: Vec<Viewer>,
    /// When the viewers were last sent something.
    sent: Instant,
    closed: bool,
}

struct Kept {
    number: u64,
    bytes: usize,
    event: Event,
}

struct Viewer {
    queue: mpsc::Sender<Event>,
    /// Ends its connection: what does not read does not see that its queue has ended either.
    hang_up: Arc<Notify>,
}

/// What a new viewer gets first, and where the rest will come from.
pub(super) struct Joined {
    pub(super) first: Vec<Event>,
    pub(super) rest: mpsc::Receiver<Event>,
}

impl Hub {
    pub(super) fn new() -> Self {
        let state = State {
            process: rand::random(),
            number: 0,
            room: FleetView::default(),
            kept: VecDeque::new(),
            viewers: Vec::new(),
            sent: Instant::now(),
            closed: false,
        };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_watched(&self) -> bool {
        !self.state().viewers.is_empty()
    }

    /// Takes the room as it is now, and tells the viewers what has changed.
    pub(super) fn update(&self, room: FleetView) -> Result<()> {
        self.state().update(room)
    }

    /// One more viewer, which has seen all up to the event with the id `seen`. None: there are too many, or the server stops.
    pub(super) fn join(&self, seen: Option<&str>, hang_up: Arc<Notify>) -> Result<Option<Joined>> {
        let mut state = self.state();
        state.viewers.retain(|viewer| !viewer.queue.is_closed());
        if state.closed || state.viewers.len() >= MAX_VIEWERS {
            return Ok(None);
        }
        let missed = seen.and_then(|seen| state.missed(seen));
        let first = missed.map_or_else(|| state.whole().map(|whole| vec![whole]), Ok)?;
        let (queue, rest) = mpsc::channel(QUEUE);
        state.viewers.push(Viewer { queue, hang_up });
        Ok(Some(Joined { first, rest }))
    }

    /// The end for all viewers.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.viewers.clear();
    }
}

impl State {
    fn update(&mut self, room: FleetView) -> Result<()> {
        let mut patch = changes(&self.room, &room)?;
        let now = room.now;
        self.room = room;
        if patch.is_empty() && self.sent.elapsed() < BEAT {
            return Ok(());
        }
        let kept = !patch.is_empty();
        patch.insert("now".to_owned(), now.into());
        let text = serde_json::to_string(&patch).context("a change of the room")?;
        let mut event = Event::default().event("change").data(&text);
        if kept {
            self.number += 1;
            event = event.id(self.id());
            self.keep(Kept { number: self.number, bytes: text.len(), event: event.clone() });
        }
        self.send(&event);
        Ok(())
    }

    fn keep(&mut self, kept: Kept) {
        self.kept.push_back(kept);
        while self.kept.len() > KEPT || self.kept.iter().map(|kept| kept.bytes).sum::<usize>() > KEPT_BYTES {
            self.kept.pop_front();
        }
    }

    fn send(&mut self, event: &Event) {
        self.sent = Instant::now();
        self.viewers.retain(|viewer| match viewer.queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                viewer.hang_up.notify_one();
                false
            }
        });
    }

    /// Name of the last change.
    fn id(&self) -> String {
        format!("{:x}-{}", self.process, self.number)
    }

    /// All that came after the event with the id `seen`, if that is still known.
    fn missed(&self, seen: &str) -> Option<Vec<Event>> {
        let (process, number) = seen.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let ours = u64::from_str_radix(process, 16).ok()? == self.process && number <= self.number;
        let whole =
            self.kept.front().map_or(number == self.number, |first| first.number <= number.saturating_add(1));
        let later = self.kept.iter().filter(|kept| kept.number > number).map(|kept| kept.event.clone());
        (ours && whole).then(|| later.collect())
    }

    fn whole(&self) -> Result<Event> {
        let mut whole = head(&self.room)?;
        whole.insert("now".to_owned(), self.room.now.into());
        let machines = self.room.machines.iter().map(|machine| Ok((machine.id.clone(), value(machine)?)));
        whole.insert("machines".to_owned(), Value::Object(machines.collect::<Result<_>>()?));
        let text = serde_json::to_string(&whole).context("the room")?;
        Ok(Event::default().event("room").id(self.id()).data(text))
    }
}

/// All but the machines and the time.
fn head(room: &FleetView) -> Result<Map<String, Value>> {
    let FleetView { now: _, version, images, seeder, counts, machines: _, seats, rates } = room;
    let mut head = Map::new();
    head.insert("version".to_owned(), serde_json::to_value(version)?);
    head.insert("images".to_owned(), serde_json::to_value(images)?);
    head.insert("seeder".to_owned(), serde_json::to_value(seeder)?);
    head.insert("counts".to_owned(), serde_json::to_value(counts)?);
    head.insert("seats".to_owned(), serde_json::to_value(seats)?);
    head.insert("rates".to_owned(), serde_json::to_value(rates)?);
    Ok(head)
}

fn value(machine: &MachineView) -> Result<Value> {
    serde_json::to_value(machine).with_context(|| format!("machine {}", machine.id))
}

/// What has changed but for the time, as a merge patch. Machines are compared as they are: most have not changed, and those
/// are never made JSON of.
fn changes(old: &FleetView, new: &FleetView) -> Result<Map<String, Value>> {
    let mut known: HashMap<&str, &MachineView> = old.machines.iter().map(|m| (m.id.as_str(), m)).collect();
    let mut machines = Map::new();
    for machine in &new.machines {
        let patch = match known.remove(machine.id.as_str()) {
            Some(before) if before == machine => None,
            Some(before) => merge_patch(&value(before)?, &value(machine)?),
            None => Some(value(machine)?),
        };
        machines.extend(patch.map(|patch| (machine.id.clone(), patch)));
    }
    machines.extend(known.into_keys().map(|id| (id.to_owned(), Value::Null)));
    let head = merge_patch(&Value::Object(head(old)?), &Value::Object(head(new)?));
    let mut patch = if let Some(Value::Object(head)) = head { head } else { Map::new() };
    if !machines.is_empty() {
        patch.insert("machines".to_owned(), Value::Object(machines));
    }
    Ok(patch)
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
