//! What a person sees from the door: the display of a machine in text mode and on a framebuffer, from the question whether
//! its disk may be lost to the end. The pictures stay in `build/screens`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ezio_tests::loopback::run;
use ezio_tests::programs;
use ezio_tests::vm::console::{Event, Happening};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::fleet::Member;
use ezio_tests::vm::machine::{Hardware, Machine};
use ezio_tests::vm::material::{self, workspace};
use ezio_tests::vm::picture::{Picture, code_in};
use ezio_tests::vm::room::{Room, SERVER};
use ezio_tests::vm::server::Server;

/// From power-on to the question, and from the approval to the end.
const TIMEOUT: Duration = Duration::from_secs(900);
/// What the server knows shows on the display within this.
const SHOWN: Duration = Duration::from_secs(120);
/// Between two pictures.
const PAUSE: Duration = Duration::from_secs(1);
/// How much of a display has the colour of its state, at least: the rest is letters, bars and the code.
const MOST: f64 = 0.4;

/// The colours of `init/src/screen/terminal/paint.rs`; text mode has 6 bits a colour.
const BLUE: [u8; 3] = [0x1d, 0x4f, 0x91];
const AMBER: [u8; 3] = [0x9a, 0x5b, 0x00];
const GREEN: [u8; 3] = [0x1a, 0x7a, 0x42];
const RED: [u8; 3] = [0xa3, 0x23, 0x2b];
const BLACK: [u8; 3] = [0, 0, 0];
const NEAR: u8 = 6;

#[test]
fn text_mode_waits_in_amber_works_in_blue_and_ends_in_green() -> Result<()> {
    let conf = "image = \"small-amd64\"\nend = \"hold\"\nseed = \"none\"\n";
    seen_from_the_door(Firmware::Bios, 81, conf, "done", GREEN)
}

#[test]
#[ignore = "soak: a minute for the same page in more cells"]
fn a_framebuffer_waits_in_amber_works_in_blue_and_fails_in_red() -> Result<()> {
    let conf =
        "image = \"small-amd64\"\non-error = \"hold\"\nseed = \"none\"\n\n[hooks]\nafter = [\"exit 3\"]\n";
    seen_from_the_door(Firmware::Uefi, 82, conf, "failed", RED)
}

fn seen_from_the_door(firmware: Firmware, number: u8, conf: &str, end: &str, colour: [u8; 3]) -> Result<()> {
    programs::need_root()?;
    programs::need(&["zbarimg", "mkfs.ext4"])?;
    let folder = tempfile::tempdir()?;
    let hardware = Hardware::usual(number, firmware, folder.path(), 512 << 20);
    let disk = hardware.disks.first().context("a disk")?;
    fs::File::create(&disk.file)?.set_len(disk.size)?;
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-L", "Daten"]).arg(&disk.file))?;

    let _turn = material::turn()?;
    let room = Room::enter()?;
    let mut server = Server::of_image(material::small_image()?, &material::netboot()?, folder.path(), conf)?;
    let (sender, events) = mpsc::channel();
    let machine = Machine::power_on(0, hardware, &room.socket()?, folder.path(), sender)?;
    let (uuid, state) = (machine.hardware.uuid.clone(), server.state.clone());
    let mut wait_for = |state: &str| {
        let seen = |member: &&Member| member.state == state;
        server
            .wait_for(TIMEOUT, |fleet| Ok(fleet.member(&uuid).filter(seen).map(drop)))
            .with_context(|| machine.autopsy())
    };
    wait_for("waiting")?;
    let waiting = shows(&machine, "waiting", AMBER)?;
    let card = machine.hardware.mac.replace(':', "-").to_uppercase();
    let address = format!("HTTP://{SERVER}:8080/M/{card}");
    ensure!(code_in(&waiting)?.as_deref() == Some(&address), "{} holds no {address}", waiting.display());
    // From the port of machines to that of the page.
    let page = leads_to(&leads_to(&address)?)?;
    ensure!(page.contains(&format!("/#/machine/{uuid}")), "{address} leads to {page:?}");

    machine.press("f2")?;
    shows(&machine, "log", BLACK)?;
    machine.press("f2")?;
    shows(&machine, "waiting", AMBER)?;

    let program = programs::find("ezio-pxe")?;
    run(Command::new(program).args(["approve", &uuid, "--state"]).arg(&state))?;
    shows(&machine, "working", BLUE)?;
    wait_for(end)?;
    shows(&machine, end, colour)?;
    no_kernel_panic(&events)
}

/// Waits until the display has this colour; gives the place of its picture.
fn shows(machine: &Machine, name: &str, colour: [u8; 3]) -> Result<PathBuf> {
    let folder = workspace().join("build/screens");
    fs::create_dir_all(&folder).context("making build/screens")?;
    let kept = folder.join(format!("{}-{name}.png", machine.hardware.firmware));
    let over = Instant::now() + SHOWN;
    loop {
        let (seen, share) = Picture::read(&machine.pixels()?)?.main_colour();
        let near = seen.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= NEAR);
        if near && share >= MOST {
            fs::copy(machine.screenshot()?, &kept).context("keeping a picture")?;
            return Ok(kept);
        }
        if Instant::now() > over {
            bail!("{name}: not {colour:?} but {seen:?} on {share:.2} of it\n{}", machine.autopsy());
        }
        thread::sleep(PAUSE); // A display tells nobody that it has changed.
    }
}

/// Where the server sends whoever asks for this address.
fn leads_to(address: &str) -> Result<String> {
    let output =
        Command::new("curl").args(["-sSk", "-o", "/dev/null", "-w", "%{redirect_url}", address]).output();
    let output = output.context("starting curl")?;
    ensure!(output.status.success(), "curl {address}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn no_kernel_panic(events: &mpsc::Receiver<Event>) -> Result<()> {
    let panic = |event: &Event| matches!(&event.what, Happening::Line(line) if line.contains("Kernel panic"));
    ensure!(!events.try_iter().any(|event| panic(&event)), "the kernel has panicked");
    Ok(())
}
