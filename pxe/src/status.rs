//! The room as a table.

use std::fmt::Write;

use ezio_contract::Mac;
use ezio_disk::Disk;
use ezio_image::conf::units::human_size;

use crate::fleet::{Acted, FleetView, MachineView, State};

/// The whole view.
pub(crate) fn table(view: &FleetView) -> String {
    let mut rows =
        vec![["MACHINE", "ADDRESS", "IMAGE", "STATE", "RATE", "SERVER/PEERS", "HEARD"].map(str::to_owned)];
    rows.extend(view.machines.iter().map(|machine| row(machine, view.now)));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    for machine in &view.machines {
        if !machine.waiting_for.is_empty() {
            let lines: String = machine.waiting_for.iter().map(|line| format!("\n  {line}")).collect();
            let _ = writeln!(out, "\n{} waits (ezio-pxe approve lets it go on):{lines}", label(machine));
        }
        if let Some(error) = &machine.error {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (step, next) = (text(&machine.failed_step), text(&machine.next));
            let _ = writeln!(out, "\n{} failed: {step}: {error}\n  next: {next}", label(machine));
        }
        for disk in &machine.inventory {
            if let Some(why) = disk.complaint() {
                let _ = writeln!(out, "\n{}: disk {} is failing: {why}", label(machine), Disk::from(disk));
            }
        }
    }
    for image in &view.images {
        for note in &image.notes {
            let _ = writeln!(out, "\nimage {}: note: {note}", image.name);
        }
    }
    let c = view.counts;
    let _ = writeln!(
        out,
        "\n{} done, {} working, {} failed, {} silent, {} waiting; the server sends {}/s to {} peers",
        c.done,
        c.working,
        c.failed,
        c.silent,
        c.waiting,
        human_size(view.seeder.up_bytes_per_s),
        view.seeder.peers
    );
    out
}

/// What became of machines, one a line.
pub(crate) fn acted(acted: &Acted) -> String {
    match acted.machines.as_slice() {
        [] if acted.unknown.is_empty() => "there is no such machine now\n".to_owned(),
        machines => machines.iter().map(|machine| format!("{}: {}\n", machine.id, machine.what)).collect(),
    }
}

fn label(machine: &MachineView) -> String {
    let card = || machine.machine.macs().first().map_or_else(|| machine.id.clone(), Mac::to_string);
    machine.hostname.clone().unwrap_or_else(card)
}

fn row(machine: &MachineView, now: f64) -> [String; 7] {
    let dash = || "-".to_owned();
    let p = &machine.progress;
    let rate = if machine.state == State::Working {
        format!("{}/s", human_size(p.down_bytes_per_s))
    } else {
        dash()
    };
    let heard = (now - machine.last_heard).max(0.0) as u64;
    [
        label(machine),
        machine.address.clone().unwrap_or_else(dash),
        machine.image.clone().unwrap_or_else(dash),
        state(machine),
        rate,
        format!("{}/{}", human_size(p.from_server_bytes), human_size(p.from_peers_bytes)),
        format!("{heard} s ago"),
    ]
}

fn state(machine: &MachineView) -> String {
    let p = &machine.progress;
    let state = match machine.state {
        State::Again => "to be deployed again".to_owned(),
        State::Booting => "booting".to_owned(),
        State::Started => "started".to_owned(),
        State::Waiting => "WAITS FOR A WORD".to_owned(),
        State::Planned => "planned".to_owned(),
        State::Working if p.total_bytes > 0 => {
            format!("working {} %", p.done_bytes.saturating_mul(100) / p.total_bytes)
        }
        State::Working => "working".to_owned(),
        State::Received => "verifying".to_owned(),
        State::Verified => "finishing".to_owned(),
        State::Deployed => "deployed".to_owned(),
        State::Seeding => "deployed, serving others".to_owned(),
        State::Done => "done".to_owned(),
        State::Failed => "FAILED".to_owned(),
    };
    if machine.silent { format!("SILENT ({state})") } else { state }
}
