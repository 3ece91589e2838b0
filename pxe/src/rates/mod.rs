//! The rates of the room and of each machine over time, for charts: looked at once a second, from the first byte of a run on. Kept in
//! memory alone: of each machine those of its last run, in 3 KiB at most (12 MiB for 4,000 machines).

mod series;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ezio_contract::report::Progress;
use tokio::sync::watch;

use series::Series;

use crate::clock::now;
use crate::fleet::{Fleet, Machine, RatesView, State};

/// Machines report twice a second; charts show no more.
const TICK: Duration = Duration::from_secs(1);
/// Who was not heard of for so long is not taken to go on as it said last, in seconds: some reports in a row are lost then.
const HEARD_S: f64 = 5.0;
/// Where nobody has received anything for so long, another deployment begins, in seconds (as on the page, `room/progress.ts`).
const GAP_S: f64 = 120.0;

/// All that is kept.
#[derive(Default)]
pub(crate) struct Rates {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Of the last deployment: bytes a second that all machines receive and that the server sends, and how many machines receive.
    room: Option<Series<3>>,
    /// When somebody received last.
    received: f64,
    /// By the machine's name.
    machines: HashMap<String, LastRun>,
}

/// Of one machine: bytes a second that it receives and sends.
struct LastRun {
    run: String,
    series: Series<2>,
}

impl Rates {
    /// Looks at the room until `stop` turns true.
    pub(crate) async fn run(
        self: Arc<Self>,
        fleet: Arc<Fleet>,
        seeder: watch::Receiver<Progress>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let sends = seeder.borrow().up_bytes_per_s;
            fleet.look(|machines| self.kept().take(machines, sends, now()));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the last deployment; of no time where there was none.
    pub(crate) fn room(&self) -> RatesView {
        self.kept().room.as_ref().map(|series| series.view(f64::NEG_INFINITY)).unwrap_or_default()
    }

    /// Of the last run of this machine, after `after`.
    pub(crate) fn machine(&self, id: &str, after: f64) -> RatesView {
        self.kept().machines.get(id).map(|last| last.series.view(after)).unwrap_or_default()
    }
}

impl Kept {
    /// One look at the room, while the server sends so many bytes a second.
    fn take(&mut self, machines: &[Machine], sends: u64, now: f64) {
        let (mut bytes, mut receiving) = (0.0, 0_u16);
        for machine in machines.iter().filter(|machine| flows(machine, now)) {
            let receives = machine.life.state == State::Working;
            let Progress { down_bytes_per_s, up_bytes_per_s, .. } = machine.progress;
            let down = if receives { down_bytes_per_s as f32 } else { 0.0 };
            bytes += down;
            receiving = receiving.saturating_add(receives.into());
            self.of_machine(machine, [down, up_bytes_per_s as f32], now);
        }
        if receiving > 0 {
            self.of_room([bytes, sends as f32, receiving.into()], now);
        }
        // Those who were forgotten make room when it is needed.
        if self.machines.len() > machines.len() {
            let known: HashSet<&str> = machines.iter().map(|machine| machine.id.as_str()).collect();
            self.machines.retain(|id, _| known.contains(id.as_str()));
        }
    }

    fn of_machine(&mut self, machine: &Machine, rates: [f32; 2], now: f64) {
        match self.machines.get_mut(&machine.id) {
            Some(last) if last.run == machine.run => last.series.push(now, rates),
            _ => {
                let last = LastRun { run: machine.run.clone(), series: Series::begin(now, rates) };
                self.machines.insert(machine.id.clone(), last);
            }
        }
    }

    fn of_room(&mut self, rates: [f32; 3], now: f64) {
        match &mut self.room {
            Some(series) if now - self.received < GAP_S => series.push(now, rates),
            room => *room = Some(Series::begin(now, rates)),
        }
        self.received = now;
    }
}

/// Is it in a run that has had its first byte, and says so?
fn flows(machine: &Machine, now: f64) -> bool {
    machine.life.state.runs() && machine.times.first_byte.is_some() && now - machine.last_heard < HEARD_S
}

#[cfg(test)]
mod tests;
