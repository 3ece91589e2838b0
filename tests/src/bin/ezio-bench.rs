//! `ezio-bench`: how long a room takes to receive an image, by ezio and by others, on the same links.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use ezio_tests::bench::case::{self, Case};
use ezio_tests::bench::results::Results;
use ezio_tests::bench::system::{self, System};
use ezio_tests::bench::trial::Trial;
use ezio_tests::bench::{compare, liar, loopback, relay, table, trial};
use ezio_tests::{netns, programs};

/// Measures how long a room of machines takes to receive one image, as a multiple of the physical
/// limit S/B: the image's size over what TCP can carry on a machine's link. Needs root.
#[derive(Parser)]
#[command(name = "ezio-bench", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    rooms: Rooms,
}

#[derive(Args)]
struct Rooms {
    /// Measure only these cases (see `ezio-bench list`); may be given several times.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Measure only these systems: ezio, chain, udpcast, aria2c, libtorrent; in the case "proof" written, read-back.
    #[arg(long = "system", value_name = "NAME")]
    systems: Vec<String>,
    /// Runs of ezio in each case; the others run once.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Rate of all links but the slow ones in Mbit/s, instead of each case's own: shows what a room takes whose machines have
    /// more of a processor each than this machine has for all of them.
    #[arg(long, value_name = "RATE")]
    mbit: Option<f64>,
    /// A few small, fast rooms instead of all cases.
    #[arg(long)]
    quick: bool,
    /// Where to keep the results (default: bench/results/TIME-COMMIT.json).
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the cases and their goals.
    List,
    /// Compares two files of results; fails if any case of the second is worse.
    Compare {
        /// Results before.
        before: PathBuf,
        /// Results after.
        after: PathBuf,
    },
    /// Prints the tables of a file of results.
    Show {
        /// File of results.
        results: PathBuf,
    },
    /// (on a host of a room) Receives, writes and passes on.
    #[command(hide = true)]
    Relay {
        target: PathBuf,
        #[arg(long)]
        next: Option<SocketAddr>,
        #[arg(long)]
        hash: bool,
        #[arg(long)]
        stay: bool,
    },
    /// (on a host of a room) Sends a file to the first relay.
    #[command(hide = true)]
    Send {
        image: PathBuf,
        to: SocketAddr,
        #[arg(long)]
        stay: bool,
    },
    /// (on a host of a room) Waits until something listens.
    #[command(hide = true)]
    Probe { address: SocketAddr },
    /// (on a host of a room) Waits until a tracker knows a seed.
    #[command(hide = true)]
    AwaitSeed { torrent: PathBuf, tracker: String },
    /// (on a host of a room) Joins a swarm and sends only corrupt blocks.
    #[command(hide = true)]
    Lie {
        torrent: PathBuf,
        tracker: String,
        #[arg(long)]
        address: IpAddr,
    },
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None => {
            netns::clean_up_on_interrupt()?;
            measure(&cli.rooms)
        }
        Some(Command::List) => list(),
        Some(Command::Compare { before, after }) => compare_files(&before, &after),
        Some(Command::Show { results }) => show(&Results::load(&results)?),
        Some(Command::Relay { target, next, hash, stay }) => {
            relay::relay(&target, next, hash).map(|()| stay_if(stay))
        }
        Some(Command::Send { image, to, stay }) => relay::send(&image, to).map(|()| stay_if(stay)),
        Some(Command::Probe { address }) => relay::connect(address).map(drop),
        Some(Command::AwaitSeed { torrent, tracker }) => liar::await_seed(&torrent, &tracker),
        Some(Command::Lie { torrent, tracker, address }) => liar::lie(&torrent, &tracker, address),
    }
}

/// What a process took can be looked up as long as it is there.
fn stay_if(stay: bool) {
    if stay {
        loop {
            std::thread::park();
        }
    }
}

fn chosen_cases(rooms: &Rooms) -> Result<Vec<Case>> {
    let all = if rooms.quick { case::quick() } else { case::all() };
    for name in &rooms.cases {
        let known = name == loopback::NAME || all.iter().any(|case| case.name == name);
        ensure!(known, "no case {name:?}: see `ezio-bench list`");
    }
    ensure!(rooms.mbit.is_none_or(|rate| rate > 0.0), "--mbit takes a rate above 0");
    Ok(all
        .into_iter()
        .filter(|case| rooms.cases.is_empty() || rooms.cases.iter().any(|n| n == case.name))
        .map(|case| Case { mbit: rooms.mbit.unwrap_or(case.mbit), ..case })
        .collect())
}

fn chosen_systems(rooms: &Rooms) -> Result<Vec<Box<dyn System>>> {
    let all = system::all();
    for name in &rooms.systems {
        ensure!(all.iter().any(|system| system.name() == name), "no system {name:?}");
    }
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|system| rooms.systems.is_empty() || rooms.systems.iter().any(|name| name == system.name()))
        .collect();
    chosen.iter().try_for_each(|system| system.check())?;
    Ok(chosen)
}

fn measure(rooms: &Rooms) -> Result<()> {
    programs::need_root()?;
    let (cases, systems) = (chosen_cases(rooms)?, chosen_systems(rooms)?);
    let mut results = Results::begin();
    let path = rooms.output.clone().unwrap_or_else(|| results.default_path());
    for case in &cases {
        for system in systems.iter().filter(|system| system.suits(case)) {
            let is_ours = ["ezio", "written", "read-back"].contains(&system.name());
            let runs = if is_ours { rooms.runs } else { 1 };
            for _ in 0..runs {
                let trial = trial::run(case, system.as_ref())
                    .with_context(|| format!("{} in case {}", system.name(), case.name))?;
                eprintln!("{}", line(&trial));
                results.rooms.push(trial);
                // Hours of work are not lost to a failure in the last minute.
                results.save(&path)?;
            }
        }
    }
    if rooms.cases.is_empty() || rooms.cases.iter().any(|name| name == loopback::NAME) {
        for _ in 0..rooms.runs {
            results
                .loopback
                .extend(loopback::run(if rooms.quick { 512 } else { 3072 }).context(loopback::NAME)?);
            results.save(&path)?;
        }
    }
    show(&results)?;
    println!("kept in {}", path.display());
    Ok(())
}

fn line(trial: &Trial) -> String {
    let failure = trial.failure.as_deref().map(|text| format!("\n    {text}")).unwrap_or_default();
    let cells = table::trial_row(trial).join("  ");
    format!("{cells}{failure}")
}

fn list() -> Result<()> {
    for case in case::all() {
        println!(
            "{:<14} {} ({} machines, {} Mbit/s, {} MiB): last machine within {:.2} S/B",
            case.name, case.title, case.members, case.mbit, case.mib, case.goal
        );
    }
    println!("{:<14} one process to one over loopback: at least {} GB/s", loopback::NAME, loopback::GOAL);
    Ok(())
}

fn show(results: &Results) -> Result<()> {
    println!("{} at {}", results.machine, results.commit);
    let rows = std::iter::once(table::trial_head()).chain(results.rooms.iter().map(table::trial_row));
    println!("\n{}", table::markdown(&rows.collect::<Vec<_>>()));
    let mut systems = ["ezio", "written", "read-back", "chain", "udpcast", "aria2c", "libtorrent"].to_vec();
    systems.retain(|name| results.rooms.iter().any(|trial| trial.system == *name));
    let cases: Vec<Case> = case::all();
    println!("{}", table::summary(results, &cases, &systems));
    println!("{}", table::loopback(&results.loopback));
    Ok(())
}

fn compare_files(before: &Path, after: &Path) -> Result<()> {
    let (text, worse) = compare::compare(&Results::load(before)?, &Results::load(after)?);
    print!("{text}");
    if worse {
        bail!("something got worse");
    }
    Ok(())
}
