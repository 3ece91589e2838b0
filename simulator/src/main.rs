//! Simulates a room and prints how long it takes, as a multiple of the physical limit.
//!
//! `cargo run --release -p ezio-simulator -- --clients 1000 --pieces 1500`

use std::time::Duration;

use anyhow::{Context, Result, bail};
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
  --seed N               1
  --steps N              of S/B, for the rate over time (20)
  --runs N               that many seeds
  --tune KEY=VALUE,…     numbers of the policy: ahead, ahead-min, run, window, forest, settle, slots, fan, stall, announce, steer, steer-min, late (ms or KiB)";

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
            "--latency" => room.latency = Duration::from_secs_f64(number()? / 1e6),
            "--seed" => room.seed = number()? as u64,
            "--runs" => runs = number()? as u64,
            "--limit" => room.limit = Duration::from_secs_f64(number()?),
            "--steps" => room.steps = number()? as usize,
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

fn tune(room: &mut Room, item: &str) -> Result<()> {
    let (key, value) = item.split_once('=').context("KEY=VALUE")?;
    let value: f64 = value.parse()?;
    let (t, ms, kib) = (&mut room.tuning, Duration::from_secs_f64(value / 1e3), (value * 1024.0) as u32);
    match key {
        "ahead" => t.ahead = ms,
        "ahead-min" => t.ahead_min = kib,
        "run" => t.run.0 = kib,
        "window" => t.window = value as u32,
        "forest" => t.forest = value as u32,
        "settle" => t.settle = ms,
        "slots" => t.slots = value as u32,
        "fan" => t.fan.1 = value,
        "stall" => t.stall = ms,
        "announce" => t.announce = ms,
        "steer" => t.steer = ms,
        "steer-min" => t.steer_min = kib,
        "late" => t.late = ms,
        _ => bail!("no such number: {key}"),
    }
    Ok(())
}
