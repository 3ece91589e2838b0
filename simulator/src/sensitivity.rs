//! What each number of the policy is worth: some rooms with half of it, and with double.

use std::time::Duration;

use anyhow::{Result, ensure};
use ezio_scheduler::{NUMBERS, Number, Tuning};
use ezio_simulator::{Room, run};

/// Rooms in which the numbers show, small enough to run them all.
fn rooms() -> [Room; 5] {
    let room = Room { clients: 16, size: 24 << 20, ..Room::default() };
    let killed = vec![(2, Duration::from_secs(4)), (9, Duration::from_secs(5))];
    [
        room.clone(),
        Room { killed, silent_death: true, slow: vec![(3, 2e6)], corrupt: vec![5], ..room.clone() },
        Room { switches: 2, sites_known: false, ..room.clone() },
        Room { piece_length: 512 << 10, rate: 5e6, ..room.clone() },
        Room { clients: 72, size: 12 << 20, ..room },
    ]
}

/// Prints a table of these numbers, by name, with commas between; all of them for `all`.
pub(crate) fn print(names: &str) -> Result<()> {
    let chosen = |number: &&Number| names == "all" || names.split(',').any(|name| name == number.name);
    let numbers: Vec<&Number> = NUMBERS.iter().filter(chosen).collect();
    ensure!(!numbers.is_empty(), "no such number: {names}");
    println!(
        "| number | value | unit | plain | slow, killed, corrupt | two switches | large pieces | trees |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let usual = rooms().map(|room| run(&room).last);
    println!("| as it is | | | {} |", usual.map(|last| format!("{last:.3}")).join(" | "));
    for number in numbers {
        let value = number.get(&Tuning::default());
        let [half, double] = [0.5, 2.0].map(|factor| {
            rooms().map(|mut room| {
                number.set(&mut room.tuning, value * factor);
                run(&room).last
            })
        });
        let cells: Vec<String> = (half.iter().zip(&double).zip(&usual))
            .map(|((half, double), usual)| format!("{:+.3} {:+.3}", half - usual, double - usual))
            .collect();
        println!("| `{}` | {value} | {} | {} |", number.name, number.unit, cells.join(" | "));
    }
    Ok(())
}
