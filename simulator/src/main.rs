//! Simulates a room and prints how long it takes, as a multiple of the physical limit.
//!
//! `cargo run --release -p ezio-simulator -- --clients 1000 --pieces 1500`

mod sensitivity;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use ezio_scheduler::Number;
use ezio_simulator::{Room, run};

const HELP: &str = "simulate [OPTION VALUE]…
  --clients N            38
  --size MiB             96
  --piece KiB            64
  --pieces K             sets the piece length by the size instead
  --rate Mbit/s          20
  --neighbours N         48: a full mesh up to that, in larger rooms about two thirds of it
  --slow I:Mbit/s,…      slower clients
  --kill I,…@SECONDS     nodes that vanish (0: the server)
  --server-leaves 1      the server vanishes once every piece has left it
  --corrupt I,…          clients that send wrong data
  --spread SECONDS       clients start over so long (0.3)
  --switches N           1
  --chain 1              each switch hangs on the one before, not all on the first
  --trunk Mbit/s         between switches
  --blind 1              nobody knows who is at which switch
  --latency µs           30
  --trees off            large rooms are a mesh, too
  --seed N               1
  --steps N              of S/B, for the rate over time (20)
  --runs N               that many seeds
  --tune NAME=VALUE,…    numbers of the policy, each in its unit (scheduler/src/tuning.rs)
  --sensitivity NAME,…   what half and double of these numbers (all) do to some rooms, and nothing else";

fn main() -> Result<()> {
    let mut room = Room::default();
    let (mut pieces, mut runs) = (None, 1u64);
    let mut args = std::env::args().skip(1);
    while let Some(key) = args.next() {
        let value = args.next().with_context(|| HELP.to_owned())?;
        let number = || value.parse::<f64>().with_context(|| format!("{key} {value}"));
        match key.as_str() {
            "--clients" => room.clients = number()? as usize,
            "--size" => room.size = (number()? * 1048576.0) as u64,
            "--piece" => room.piece_length = (number()? * 1024.0) as u32,
            "--pieces" => pieces = Some(number()? as u64),
            "--rate" => room.rate = number()? * 1e6,
            "--neighbours" => room.neighbours = number()? as usize,
            "--slow" => {
                for item in value.split(',') {
                    let (i, rate) = item.split_once(':').context("I:Mbit/s")?;
                    room.slow.push((i.parse()?, rate.parse::<f64>()? * 1e6));
                }
            }
            "--kill" => {
                let (who, when) = value.split_once('@').context("I,…@SECONDS")?;
                for i in who.split(',') {
                    room.killed.push((i.parse()?, Duration::from_secs_f64(when.parse()?)));
                }
            }
            "--server-leaves" => room.server_leaves = number()? > 0.0,
            "--silent" => room.silent_death = number()? > 0.0,
            "--corrupt" => room.corrupt = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--spread" => room.spread = Duration::from_secs_f64(number()?),
            "--switches" => room.switches = number()? as usize,
            "--chain" => room.chain = number()? > 0.0,
            "--trunk" => room.trunk = Some(number()? * 1e6),
            "--blind" => room.sites_known = number()? == 0.0,
            "--trees" => room.trees = value != "off",
            "--latency" => room.latency = Duration::from_secs_f64(number()? / 1e6),
            "--seed" => room.seed = number()? as u64,
            "--runs" => runs = number()? as u64,
            "--limit" => room.limit = Duration::from_secs_f64(number()?),
            "--steps" => room.steps = number()? as usize,
            "--sensitivity" => return sensitivity::print(&value),
            "--tune" => value.split(',').try_for_each(|item| tune(&mut room, item))?,
            _ => bail!("{HELP}"),
        }
    }
    if let Some(pieces) = pieces {
        room.piece_length = (room.size.div_ceil(pieces) as u32).next_multiple_of(16 << 10);
    }
    let named =
        room.slow.iter().map(|s| s.0).chain(room.killed.iter().map(|k| k.0)).chain(room.corrupt.clone());
    if let Some(nobody) = named.into_iter().find(|&i| i > room.clients) {
        bail!("no client {nobody}: there are {}", room.clients);
    }
    for seed in room.seed..room.seed + runs {
        room.seed = seed;
        let start = std::time::Instant::now();
        let report = run(&room);
        println!(
            "seed {seed}: {report}\n  {} events in {:.1} s",
            report.events,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// `NAME=VALUE`: sets a number of the policy, in its unit.
fn tune(room: &mut Room, item: &str) -> Result<()> {
    let (name, value) = item.split_once('=').context("NAME=VALUE")?;
    let number = Number::named(name).with_context(|| format!("no such number: {name}"))?;
    number.set(&mut room.tuning, value.parse()?);
    Ok(())
}
