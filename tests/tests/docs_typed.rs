//! What the documents have people type is typed, with this test's places in place of theirs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Process;
use ezio_tests::vm::material::{self, workspace};
use ezio_tests::vm::room::{BRIDGE, Room};
use ezio_tests::{mounts, programs};
use nix::mount::{MsFlags, mount};

/// Bytes of a small disk.
const DISK: u64 = 64 << 20;

/// The lines of a document's blocks of commands.
fn typed(document: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(workspace().join(document)).with_context(|| document.to_owned())?;
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| block.lines().skip(1)).map(str::trim);
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Starts a command in a folder; what is one of `places` in it is the other of the two.
fn start(line: &str, places: &[(&str, &str)], folder: &Path) -> Result<Child> {
    let line = places.iter().fold(line.to_owned(), |line, (theirs, ours)| line.replace(theirs, ours));
    let mut words = line.split_whitespace();
    let name = words.next().context("no command")?;
    let program = programs::find(name).unwrap_or_else(|_| name.into());
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().with_context(|| line.clone())
}

/// Runs a command to its good end, and answers `answers` to what it asks.
fn run(line: &str, places: &[(&str, &str)], folder: &Path, answers: &str) -> Result<()> {
    let mut child = start(line, places, folder)?;
    child.stdin.take().context("no input")?.write_all(answers.as_bytes())?;
    let ended = child.wait_with_output()?;
    ensure!(ended.status.success(), "{line}: {}", ended.status);
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// A disk with a file system on its one partition.
fn disk(file: &Path) -> Result<Loop> {
    File::create(file)?.set_len(DISK)?;
    let script = file.with_extension("table");
    ezio_tests::loop_deploy::partition(text(file)?, "label: gpt\nstart=1MiB, type=L\n", &script);
    let part = Loop::new(file, 1 << 20, DISK - (2 << 20)).context("a loop device")?;
    run("mkfs.ext4 -q PART", &[("PART", &part.0)], Path::new("/"), "")?;
    drop(part);
    Loop::new(file, 0, DISK).context("a loop device")
}

#[test]
fn the_quick_start_leads_to_a_room() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    mounts::keep_private()?;
    // The server's usual folder of state lies there.
    mount(Some("none"), "/var/lib", Some("tmpfs"), MsFlags::empty(), None::<&str>).context("mounting")?;
    let (netboot, disk) = (material::netboot()?, disk(&folder.path().join("disk"))?);
    let image = folder.path().join("lab");
    let _room = Room::enter()?;
    let places = [
        ("/dev/sdX", disk.0.as_str()),
        ("/srv/ezio/lab", text(&image)?),
        ("/usr/share/ezio/netboot", text(&netboot)?),
        ("eth0", BRIDGE),
    ];
    let lines = typed("docs/quick-start.md")?;
    let [make, install, capture, serve, approve] = lines.as_slice() else {
        anyhow::bail!("the quick start has other commands than five: {lines:?}")
    };
    // `tests/tests/packages.rs` does these.
    ensure!(make == "make deb" && install.starts_with("apt install ./build/debs/ezio-server_"), "{lines:?}");
    run(capture, &places, folder.path(), "")?;
    let mut server = start(serve, &places, folder.path())?;
    let said = BufReader::new(server.stdout.take().context("no output")?);
    let _server = Process(server);
    let link = said.lines().find(|line| line.as_ref().is_ok_and(|line| line.contains("/#/first/")));
    link.context("it has ended without a link for the first account")??;
    run(approve, &places, folder.path(), "")
}

#[test]
fn what_is_signed_as_the_document_says_is_served_with_its_signature() -> Result<()> {
    programs::need(&["minisign"])?;
    let folder = tempfile::tempdir()?;
    let image = ezio_tests::loopback::image()?;
    let image = image.path().join("lab");
    let conf = folder.path().join("ezio.conf");
    fs::write(&conf, "image = \"lab\"\n")?;
    let (init, root) = (programs::find("ezio-init")?, workspace().join("build/debian/amd64"));
    let places = [
        ("/srv/ezio/lab-2026", text(&image)?),
        ("/srv/ezio/ezio.conf", text(&conf)?),
        ("build/bin/ezio-init", text(&init)?),
        ("--root /", &format!("--root {}", text(&root)?)),
    ];
    let lines = typed("docs/signing.md")?;
    ensure!(lines.len() == 4, "{lines:?}");
    for line in &lines {
        run(line, &places, folder.path(), "a password\na password\n")?;
    }
    for file in [image.join("SHA256SUMS"), conf] {
        run("minisign -V -p site.pub -m FILE", &[("FILE", text(&file)?)], folder.path(), "")?;
    }
    ensure!(folder.path().join("dist/initrd.img").exists(), "there is no initrd");
    Ok(())
}
