//! A room of machines that share an image, each in a network namespace of its own: when the last has all, the server lets
//! all of them go; and who comes then gets everything from the server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::{Process, Server, run};
use ezio_tests::netns::{Links, Room, SERVER};
use ezio_tests::programs;
use ezio_tests::vm::fleet::{Fleet, Member};

const IMAGE_BYTES: u64 = 24 << 20;
/// Of all links, in Mbit/s; and of the machine that is last.
const RATE: f64 = 160.0;
const LAST_RATE: f64 = 20.0;
const LAST: usize = 3;
const LATE: usize = 4;
/// From the last machine's last byte to the end of every run.
const LET_GO: f64 = 3.0;
/// For all data from the server alone, which takes 1.3 s at that rate.
const ALONE: f64 = 8.0;
/// For a run on a busy computer: its data takes 10 s over the slow link.
const BOUND: Duration = Duration::from_secs(120);

#[test]
fn the_room_is_let_go_when_the_last_machine_has_all() -> Result<()> {
    programs::need_root()?;
    programs::need(&["losetup", "partx"])?;
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let links =
        Links { members: LATE, mbit: Some(RATE), slow: [(LAST, LAST_RATE)].into(), ..Links::default() };
    let room = Room::build(links)?;
    let server = serve(&room, work)?;

    let machines =
        (1..=LAST).map(|host| Machine::start(&room, host, &server, work)).collect::<Result<Vec<_>>>()?;
    machines.into_iter().try_for_each(Machine::end)?;
    let fleet = fleet(&room, &server)?;
    let members = (1..=LAST).map(|host| member(&fleet, host)).collect::<Result<Vec<_>>>()?;
    let time = |time: Option<f64>| time.context("a time is missing");
    let last_bytes = members.iter().map(|m| time(m.times.last_byte)).collect::<Result<Vec<_>>>()?;
    let all_there = last_bytes.iter().copied().fold(0.0, f64::max);
    // Else there was nothing to wait for.
    let waited = all_there - last_bytes.iter().copied().fold(f64::MAX, f64::min);
    ensure!(waited > LET_GO, "the slow machine was only {waited:.1} s behind");
    for (host, member) in (1..).zip(members) {
        let after = time(member.times.done)? - all_there;
        println!("machine {host}: its run ended {after:.2} s after the last machine had all");
        ensure!(
            (0.0..LET_GO).contains(&after),
            "machine {host} ended {after:.2} s after the last one had all"
        );
    }

    Machine::start(&room, LATE, &server, work)?.end()?;
    let fleet = self::fleet(&room, &server)?;
    let Member { progress, times, .. } = member(&fleet, LATE)?;
    ensure!((progress.from_server_bytes, progress.from_peers_bytes) == (IMAGE_BYTES, 0), "{progress:?}");
    let took = time(times.last_byte)? - time(times.first_byte)?;
    println!("the late machine took {took:.2} s");
    ensure!(took < ALONE, "a machine alone took {took:.2} s");
    Ok(())
}

fn serve(room: &Room, work: &Path) -> Result<Server> {
    let (raw, image) = (work.join("raw"), work.join("image"));
    let noise = (0..IMAGE_BYTES / 8).flat_map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    fs::write(&raw, noise.collect::<Vec<u8>>())?;
    let mut capture = std::process::Command::new(programs::find("image-builder")?);
    run(capture.args(["capture", "--raw"]).arg(&raw).arg("-o").arg(&image).stderr(Stdio::null()))?;
    let program = room.command(SERVER, programs::find("ezio-pxe")?);
    Server::start_at(room.address(SERVER).into(), program, &image, &[])
}

/// A machine that is being deployed.
struct Machine {
    process: Process,
    said: PathBuf,
    _disk: Loop,
}

impl Machine {
    fn start(room: &Room, host: usize, server: &Server, work: &Path) -> Result<Self> {
        let disk = Loop::blank(&work.join(format!("disk{host}")), IMAGE_BYTES)?;
        let said = work.join(format!("said{host}"));
        let root = root(&work.join(format!("root{host}")), host)?;
        let mut init = room.command(host, programs::find("ezio-init")?);
        init.args(["deploy", "--yes", "--conf", &format!("{}ezio.conf", server.url)]);
        init.arg("--disk").arg(root.join(disk.0.trim_start_matches('/'))).arg("--root").arg(&root);
        let process = Process::start(init.stderr(fs::File::create(&said)?))?;
        Ok(Self { process, said, _disk: disk })
    }

    fn end(mut self) -> Result<()> {
        let said = || fs::read_to_string(&self.said).unwrap_or_default();
        let status = self.process.wait(BOUND).with_context(said)?;
        ensure!(status.success(), "{status}: {}", said());
        Ok(())
    }
}

fn uuid(host: usize) -> String {
    format!("{host:08x}-1111-2222-3333-444455556666")
}

/// This system, but with an identity of the host's own.
fn root(folder: &Path, host: usize) -> Result<PathBuf> {
    let smbios = folder.join("sys/class/dmi/id");
    fs::create_dir_all(&smbios)?;
    fs::write(smbios.join("product_uuid"), uuid(host))?;
    for entry in ["dev", "proc", "sys/block", "sys/class/block"] {
        symlink(Path::new("/").join(entry), folder.join(entry))?;
    }
    Ok(folder.to_owned())
}

fn fleet(room: &Room, server: &Server) -> Result<Fleet> {
    let mut status = room.command(SERVER, programs::find("ezio-pxe")?);
    let output = status.args(["status", "--json", "--state"]).arg(&server.state).output()?;
    ensure!(output.status.success(), "status: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("status --json")
}

fn member(fleet: &Fleet, host: usize) -> Result<&Member> {
    fleet.member(&uuid(host)).with_context(|| format!("the server does not know machine {host}: {fleet:?}"))
}
