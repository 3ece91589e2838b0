//! From power-on to the last machine that runs, or to the first that fails.

use super::display::Display;
use super::seat::{Seat, Stage};
use crate::programs;
use crate::vm::console::{Event, Happening};
use crate::vm::machine::{Hardware, Machine};
use crate::vm::room::Room;
use crate::vm::server::{Server, Settings};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the server is asked for the room's state.
const FLEET_INTERVAL: Duration = Duration::from_millis(500);

/// What is to happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The machines.
    pub hardware: Vec<Hardware>,
    /// The server.
    pub server: Settings,
    /// Folder for the machines' files.
    pub folder: PathBuf,
    /// What the deployed system writes on its serial port when it is up.
    pub marker: String,
    /// Longest time until all run.
    pub timeout: Duration,
    /// Show nothing but steps.
    pub quiet: bool,
}

/// How it went.
#[derive(Debug)]
pub struct Outcome {
    /// The machines, still switched on.
    pub seats: Vec<Seat>,
    /// The server, still running.
    pub server: Server,
    /// What machines say from now on.
    pub events: Receiver<Event>,
    /// Why it ended before all ran; none if all run.
    pub failure: Option<String>,
}

/// Runs it in `room`.
pub fn run(plan: &Plan, room: &Room) -> Result<Outcome> {
    programs::need(&["qemu-system-x86_64", "setpriv"])?;
    let mut server = Server::start(&plan.server)?;
    let (sender, events) = mpsc::channel();
    let mut seats = Vec::new();
    for (index, hardware) in plan.hardware.iter().enumerate() {
        let tap = room.socket()?;
        let machine = Machine::power_on(index, hardware.clone(), &tap, &plan.folder, sender.clone())
            .with_context(|| format!("switching {} on", hardware.name))?;
        seats.push(Seat::new(machine));
    }
    drop(sender);
    let mut display = Display::new(seats.len(), plan.quiet);
    let failure = watch(plan, &mut server, &mut seats, &events, &mut display);
    display.finish(&seats);
    let failure = failure?;
    Ok(Outcome { seats, server, events, failure })
}

fn watch(
    plan: &Plan,
    server: &mut Server,
    seats: &mut [Seat],
    events: &Receiver<Event>,
    display: &mut Display,
) -> Result<Option<String>> {
    let deadline = Instant::now() + plan.timeout;
    let mut next_question = Instant::now();
    loop {
        if Instant::now() >= next_question {
            next_question = Instant::now() + FLEET_INTERVAL;
            server.check()?;
            ask(server, seats)?;
        }
        listen(events, next_question, seats, &plan.marker);
        display.show(seats);
        if let Some(failure) = failed(seats) {
            return Ok(Some(failure));
        }
        if seats.iter().all(|seat| seat.stage == Stage::Running) {
            // What came last: machines report their last bytes before they restart.
            ask(server, seats)?;
            return Ok(None);
        }
        if Instant::now() >= deadline {
            return Ok(Some(late(plan.timeout, seats)));
        }
    }
}

/// Takes what machines say until it is time for the next question.
fn listen(events: &Receiver<Event>, until: Instant, seats: &mut [Seat], marker: &str) {
    loop {
        match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(event) => {
                let Some(seat) = seats.get_mut(event.machine) else { continue };
                match event.what {
                    Happening::Line(line) => seat.hear(&line, event.at, marker),
                    Happening::Off => seat.lost_power(),
                }
            }
            Err(RecvTimeoutError::Timeout) => return,
            // All machines are off: each of them is a failure by now.
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn ask(server: &Server, seats: &mut [Seat]) -> Result<()> {
    let fleet = server.fleet()?;
    for seat in seats {
        if let Some(member) = fleet.member(&seat.machine.hardware.uuid) {
            seat.update(member);
        }
    }
    Ok(())
}

fn failed(seats: &[Seat]) -> Option<String> {
    let seat = seats.iter().find(|seat| seat.failure.is_some())?;
    let reason = seat.failure.as_deref().unwrap_or_default();
    Some(format!("{}: {reason}\n{}", seat.machine.hardware.name, seat.machine.autopsy()))
}

fn late(timeout: Duration, seats: &[Seat]) -> String {
    let mut text = format!("not all machines run after {} s\n", timeout.as_secs());
    for seat in seats.iter().filter(|seat| seat.stage != Stage::Running) {
        text.push_str(&format!("{} got to: {}\n", seat.machine.hardware.name, seat.stage.name()));
        text.push_str(&seat.machine.autopsy());
    }
    text
}
