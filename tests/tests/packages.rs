//! The Debian packages: what is in them and what lintian says; and what becomes of a fresh system in which they are
//! installed, upgraded and purged, with the server running there as its unit would run it.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ezio_tests::loopback::Process;
use ezio_tests::programs;
use ezio_tests::vm::material;

const CONFIG: &str = "etc/ezio/ezio-pxe.toml";
const UNIT: &str = "usr/lib/systemd/system/ezio-pxe.service";
/// What a program has that may do all that the unit lets it: CAP_NET_BIND_SERVICE (bit 10) and CAP_NET_RAW (bit 13).
const CAPABILITIES: u64 = 1 << 10 | 1 << 13;
/// Until the server answers, on a busy computer.
const START: Duration = Duration::from_secs(60);

/// Packages of this machine's architecture, made of the programs that the tests drive.
struct Debs {
    folder: tempfile::TempDir,
}

impl Debs {
    fn make(version: &str) -> Result<Self> {
        programs::need(&["dh", "dpkg-buildpackage", "help2man"])?;
        let folder = tempfile::tempdir()?;
        let built = folder.path().join("built");
        fs::create_dir(&built)?;
        for name in ["image-builder", "ezio-pxe", "ezio-init"] {
            // Those of development are ten times as long.
            let copy = built.join(name);
            output(Command::new("strip").arg("-o").arg(&copy).arg(programs::find(name)?))?;
        }
        let mut make = Command::new(material::workspace().join("scripts/make-debs"));
        make.arg(folder.path()).env("BIN", &built).env("DIST", material::netboot()?).env("VERSION", version);
        output(&mut make)?;
        Ok(Self { folder })
    }

    /// Those of these names.
    fn paths(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let here: Vec<_> = fs::read_dir(self.folder.path())?.collect::<std::io::Result<_>>()?;
        let path = |name: &&str| {
            let named =
                |file: &&fs::DirEntry| file.file_name().to_string_lossy().starts_with(&format!("{name}_"));
            here.iter().find(named).map(fs::DirEntry::path).with_context(|| format!("no package {name}"))
        };
        names.iter().map(path).collect()
    }
}

/// What a command prints; it has to end well.
fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting {}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{text}\n{errors}", output.status);
    Ok(text)
}

/// Every file of a package, by its path in there.
fn contents(deb: &Path) -> Result<BTreeSet<String>> {
    let list = output(Command::new("dpkg-deb").arg("--contents").arg(deb))?;
    let path = |line: &str| line.split(" ./").nth(1).map(str::to_owned);
    Ok(list.lines().filter_map(path).filter(|path| !path.is_empty() && !path.ends_with('/')).collect())
}

#[test]
fn packages_hold_what_they_say_and_lintian_finds_nothing() -> Result<()> {
    programs::need(&["lintian"])?;
    let debs = Debs::make("1.2.3")?;
    let [server, init] = &debs.paths(&["ezio-server", "ezio-init"])?[..] else { bail!("not two packages") };
    for wanted in [
        "usr/sbin/ezio-pxe",
        "usr/bin/image-builder",
        CONFIG,
        "usr/share/man/man8/ezio-pxe-serve.8.gz",
        "usr/share/man/man1/image-builder-capture.1.gz",
        "usr/share/bash-completion/completions/ezio-pxe",
        "usr/share/zsh/vendor-completions/_image-builder",
        "usr/share/fish/vendor_completions.d/ezio-pxe.fish",
        "usr/share/ezio/config-examples/classroom.conf",
        "usr/share/doc/ezio-server/docs/signing.md",
    ] {
        ensure!(contents(server)?.contains(wanted), "{wanted} is not in {:?}", contents(server)?);
    }
    for wanted in ["usr/sbin/ezio-init", "usr/share/man/man8/ezio-init-write.8.gz"] {
        ensure!(contents(init)?.contains(wanted), "{wanted} is not in {:?}", contents(init)?);
    }
    let [netboot] = &debs.paths(&["ezio-netboot"])?[..] else { bail!("not one package") };
    let in_dist =
        output(Command::new("find").arg(material::netboot()?).args(["-type", "f", "-printf", "%P\n"]))?;
    for file in in_dist.lines().filter(|file| !file.starts_with("arm64/")) {
        ensure!(contents(netboot)?.contains(&format!("usr/share/ezio/netboot/{file}")), "{file} is missing");
    }
    let fields = output(Command::new("dpkg-deb").arg("--field").arg(init))?;
    ensure!(!fields.contains("\nDepends:"), "ezio-init runs on any Linux, and yet:\n{fields}");
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    output(lintian.args(debs.paths(&["ezio-server", "ezio-init", "ezio-netboot"])?)).map(|_| ())
}

#[test]
#[ignore = "packs the kernels twice: make soak"]
fn the_same_programs_give_the_same_packages() -> Result<()> {
    let (first, second) = (Debs::make("1.2.3")?, Debs::make("1.2.3")?);
    let names = ["ezio-server", "ezio-init", "ezio-netboot"];
    for (first, second) in first.paths(&names)?.iter().zip(second.paths(&names)?) {
        ensure!(fs::read(first)? == fs::read(&second)?, "{} differs", first.display());
    }
    Ok(())
}

#[test]
#[ignore = "makes a fresh Debian 12: make soak"]
fn installed_upgraded_and_purged_on_debian_12() -> Result<()> {
    lives_in(&Root::fresh("bookworm")?)
}

#[test]
#[ignore = "makes a fresh Debian 13: make soak"]
fn installed_upgraded_and_purged_on_debian_13() -> Result<()> {
    lives_in(&Root::fresh("trixie")?)
}

/// A copy of a fresh system.
struct Root {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Root {
    fn fresh(suite: &str) -> Result<Self> {
        programs::need_root()?;
        programs::need(&["debootstrap", "setpriv", "ip", "unshare"])?;
        let fresh = material::workspace().join("build/roots").join(suite);
        let script = programs::own_file("scripts/make-root");
        output(Command::new(script).arg(suite).arg(&fresh))?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("root");
        output(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(fresh).arg(&path))?;
        Ok(Self { _folder: folder, path })
    }

    /// Runs a program there.
    fn run(&self, words: &[&str]) -> Result<String> {
        let mut chroot = Command::new("chroot");
        chroot.arg(&self.path).args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        output(chroot.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    fn install(&self, debs: &Debs) -> Result<()> {
        let names = ["ezio-server", "ezio-netboot", "ezio-init"];
        for deb in debs.paths(&names)? {
            let place = self.path.join("tmp").join(deb.file_name().context("no file")?);
            fs::copy(&deb, &place)?;
            self.run(&["dpkg", "--install", &format!("/{}", place.strip_prefix(&self.path)?.display())])?;
            fs::remove_file(place)?;
        }
        Ok(())
    }

    /// Every file there, but for what dpkg itself writes down, and copies of the lists of users.
    fn files(&self) -> Result<BTreeSet<String>> {
        let all = output(Command::new("find").arg(&self.path).args(["-printf", "%P\n"]))?;
        let of_dpkg = |path: &&str| {
            ["var/lib/dpkg/", "var/log/", "var/cache/", "tmp/"].iter().any(|folder| path.starts_with(folder))
                || path.starts_with("etc/") && path.ends_with('-')
                || path.ends_with("/.pwd.lock")
        };
        Ok(all.lines().filter(|path| !of_dpkg(path)).map(str::to_owned).collect())
    }
}

/// The whole life of the packages in a fresh system.
fn lives_in(root: &Root) -> Result<()> {
    let (before, users) = (root.files()?, fs::read_to_string(root.path.join("etc/passwd"))?);
    root.install(&Debs::make("1.0")?)?;
    ensure!(root.run(&["getent", "passwd", "ezio"])?.contains("/var/lib/ezio"), "ezio has no home");
    // It ends with a failure where a unit is not enabled.
    let enabled =
        Command::new("chroot").arg(&root.path).args(["systemctl", "is-enabled", "ezio-pxe"]).output()?;
    ensure!(enabled.stdout == b"disabled\n", "the service is {}", String::from_utf8_lossy(&enabled.stdout));
    root.run(&["image-builder", "--version"])?;
    root.run(&["ezio-init", "--version"])?;
    the_server_starts_as_its_unit_says(root)?;

    let settings = fs::read_to_string(root.path.join(CONFIG))?;
    root.install(&Debs::make("1.1")?)?;
    let version = root.run(&["dpkg-query", "--show", "--showformat", "${Version}", "ezio-server"])?;
    ensure!(version == "1.1", "version {version}");
    ensure!(fs::read_to_string(root.path.join(CONFIG))? == settings, "the settings have changed");
    ensure!(root.path.join("var/lib/ezio").exists(), "what the server remembers is gone");

    root.run(&["dpkg", "--remove", "ezio-server"])?;
    ensure!(root.path.join(CONFIG).exists(), "removing took the settings, too");
    root.run(&["dpkg", "--purge", "ezio-server", "ezio-netboot", "ezio-init"])?;
    fs::remove_dir_all(root.path.join("srv/ezio"))?;
    let after = root.files()?;
    let left: Vec<_> = after.difference(&before).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    let gone: Vec<_> = before.difference(&after).collect();
    ensure!(gone.is_empty(), "gone with the packages: {gone:?}");
    ensure!(fs::read_to_string(root.path.join("etc/passwd"))? == users, "the user is left behind");
    Ok(())
}

/// With the user, the capabilities and the command line of the unit, in a network of its own with a card named room.
fn the_server_starts_as_its_unit_says(root: &Root) -> Result<()> {
    let image = root.path.join("srv/ezio/small");
    fs::create_dir_all(root.path.join("srv/ezio"))?;
    let source = root.path.join("tmp/golden.img");
    fs::write(&source, vec![7; 1 << 20])?;
    let mut capture = Command::new(programs::find("image-builder")?);
    output(capture.args(["capture", "--raw"]).arg(&source).arg("-o").arg(&image))?;
    output(Command::new("chmod").args(["-R", "a+rX"]).arg(&image))?;
    // What a person does: two lines of the file that is there.
    let settings = fs::read_to_string(root.path.join(CONFIG))?;
    let settings = settings.replace("# images = [\"/srv/ezio/debian-12\"]", "images = [\"/srv/ezio/small\"]");
    let settings = settings.replace("# interface = \"enp3s0\"", "interface = \"room\"");
    let settings = settings.replace("# conf = ", "conf = ");
    fs::write(root.path.join(CONFIG), settings)?;

    let unit = fs::read_to_string(root.path.join(UNIT))?;
    let said = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.map(str::to_owned).with_context(|| format!("no {key} in {unit}"))
    };
    let user = said("User")?;
    // As systemd does for StateDirectory=.
    let state = said("StateDirectory")?;
    let folders: Vec<String> = state.split_whitespace().map(|name| format!("/var/lib/{name}")).collect();
    for folder in &folders {
        root.run(&["install", "--directory", "--owner", &user, "--group", &user, folder])?;
    }
    let [state, confs] = folders.as_slice() else { bail!("StateDirectory={state}") };
    // As the settings say.
    let conf = format!("{confs}/ezio.conf");
    fs::write(root.path.join(&conf[1..]), "# small\nimage = \"small\"\n")?;
    root.run(&["chown", &format!("--reference={confs}"), &conf])?;
    let capabilities: Vec<_> = said("AmbientCapabilities")?
        .split_whitespace()
        .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let capabilities = capabilities.join(",");
    let network = "ip link set lo up; ip link add room type veth peer name machines; ip link set machines up; ip addr add 10.77.0.1/24 dev room; \
                   ip link set room up; exec \"$@\"";
    let mut serve = Command::new("unshare");
    serve
        .args(["--net", "sh", "-ec", network, "sh", "chroot"])
        .arg(&root.path)
        .args(["setpriv", "--reuid", &user]);
    serve.args([
        "--regid",
        &user,
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps",
        &format!("-all,{capabilities}"),
    ]);
    serve.args(["--ambient-caps", &format!("-all,{capabilities}")]);
    serve
        .args(["--bounding-set", &format!("-all,{capabilities}")])
        .args(said("ExecStart")?.split_whitespace());
    let log = root.path.join("tmp/server.log");
    let server = Process::start(serve.stdout(Stdio::null()).stderr(fs::File::create(&log)?))?;

    let answered = wait_for_answer(&server);
    answered.with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
    let status = fs::read_to_string(format!("/proc/{}/status", server.0.id()))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.and_then(|line| line.split_whitespace().next().map(str::to_owned))
            .with_context(|| status.clone())
    };
    let uid = root.run(&["id", "--user", &user])?;
    ensure!(field("Uid")? == uid.trim() && uid.trim() != "0", "it runs as {}", field("Uid")?);
    ensure!(u64::from_str_radix(&field("CapEff")?, 16)? == CAPABILITIES, "CapEff {}", field("CapEff")?);
    ensure!(root.path.join(&state[1..]).join("ezio.redb").exists(), "it has kept nothing in {state}");
    a_conf_is_put_in_place(root, &server, &conf)
}

/// As an administrator does it on the server.
fn a_conf_is_put_in_place(root: &Root, server: &Process, conf: &str) -> Result<()> {
    let command = |args: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &server.0.id().to_string(), "chroot"]).arg(&root.path);
        output(command.args(["ezio-pxe", "conf"]).args(args))
    };
    let other = "image = \"small\"\nend = \"poweroff\"\n";
    fs::write(root.path.join("tmp/other.conf"), other)?;
    let shown = command(&["show", "--json"])?;
    let version = shown.split("\"version\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let version = version.with_context(|| shown.clone())?;
    let put = || command(&["put", "/tmp/other.conf", "--yes", "--replaces", version]);
    // One that somebody else has made stays theirs.
    root.run(&["chown", "root:root", conf])?;
    let refused = put().err().context("a file of root was replaced")?.to_string();
    ensure!(refused.contains("belongs to user 0 and group 0"), "{refused}");
    root.run(&["chown", &format!("--reference={}", conf.trim_end_matches("/ezio.conf")), conf])?;
    put()?;
    ensure!(fs::read_to_string(root.path.join(&conf[1..]))? == other, "another text stands in {conf}");
    Ok(())
}

/// Asks for the orders, as machines do, from within the server's network.
fn wait_for_answer(server: &Process) -> Result<()> {
    let end = Instant::now() + START;
    let orders = format!("http://{}:8080/ezio.conf", Ipv4Addr::new(10, 77, 0, 1));
    loop {
        let mut ask = Command::new("nsenter");
        ask.args(["--net", "--target", &server.0.id().to_string(), "curl", "--silent", "--fail", &orders]);
        match output(&mut ask) {
            Ok(orders) if orders.contains("small") => return Ok(()),
            answer => {
                ensure!(Instant::now() < end, "the server does not answer within {START:?}: {answer:?}")
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
