//! What `make install` puts in place works there: `image-builder netboot` finds init, `ezio-pxe` serves the installed
//! folder for network boot and an image, and `ezio-init` receives it. `make uninstall` takes all of it away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use ezio_tests::loopback::Server;
use ezio_tests::programs;
use ezio_tests::vm::material;

/// Where the programs go, below the folder that stands for `/`.
const PREFIX: &str = "/usr/local";
/// Of the image, in bytes: a few pieces, the last of them short.
const IMAGE_SIZE: usize = (1 << 20) + 12345;

/// An installation below a folder of its own.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn make() -> Result<Self> {
        programs::need(&["make"])?;
        material::netboot()?;
        let installed = Self { folder: tempfile::tempdir()? };
        let built = installed.path("built");
        fs::create_dir(&built)?;
        for name in ["image-builder", "ezio-pxe", "ezio-init"] {
            fs::copy(programs::find(name)?, built.join(name))?;
        }
        installed.make_target("install")?;
        Ok(installed)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// `usr/local/NAME`.
    fn installed(&self, name: &str) -> PathBuf {
        self.path(&format!("root{PREFIX}/{name}"))
    }

    fn make_target(&self, target: &str) -> Result<()> {
        let mut make = Command::new("make");
        make.arg("--directory").arg(material::workspace()).arg(target);
        make.arg(format!("DESTDIR={}", self.root().display())).arg(format!("PREFIX={PREFIX}"));
        output(make.arg(format!("BIN={}", self.path("built").display()))).map(|_| ())
    }
}

/// Runs a program to its good end.
fn output(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("starting {}", command.get_program().display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    Ok(output)
}

/// Every file below a folder, by its path in there.
fn files(folder: &Path) -> Result<Vec<String>> {
    let found = output(Command::new("find").arg(folder).args(["!", "-type", "d", "-printf", "%P\n"]))?;
    let mut files: Vec<String> = String::from_utf8(found.stdout)?.lines().map(str::to_owned).collect();
    files.sort();
    Ok(files)
}

#[test]
fn netboot_packs_the_init_that_is_installed_with_it() -> Result<()> {
    programs::need(&["bsdtar"])?;
    let installed = Installed::make()?;
    let dist = installed.path("dist");
    let mut netboot = Command::new(installed.installed("bin/image-builder"));
    // Few modules: to compress them all takes most of a minute.
    netboot.args(["netboot", "--no-boot-programs", "--modules", "-all,+virtio_net"]);
    output(netboot.arg("--root").arg(material::chain()?).arg("-o").arg(&dist))?;
    let init = output(Command::new("bsdtar").arg("-xOf").arg(dist.join("initrd.img")).arg("init"))?;
    let own = fs::read(installed.installed("sbin/ezio-init"))?;
    ensure!(init.stdout == own, "the initrd holds another init than the installed one");
    Ok(())
}

#[test]
fn a_room_is_served_with_what_is_installed() -> Result<()> {
    let installed = Installed::make()?;
    let (source, image) = (installed.path("golden.img"), installed.path("small"));
    let content: Vec<u8> = (0..IMAGE_SIZE).map(|i| ((i * i) >> 7) as u8).collect();
    fs::write(&source, &content)?;
    let mut capture = Command::new(installed.installed("bin/image-builder"));
    output(capture.args(["capture", "--raw"]).arg(&source).arg("-o").arg(&image))?;

    let netboot = installed.installed("share/ezio/netboot");
    let here = std::net::Ipv4Addr::LOCALHOST.into();
    let serve = Command::new(installed.installed("sbin/ezio-pxe"));
    let netboot_text = netboot.to_str().context("a path that is no text")?;
    let server = Server::start_at(here, serve, &image, &["--netboot", netboot_text])?;
    let kernel = kernel_that_a_machine_is_told(&server.url)?;
    ensure!(kernel == fs::read(netboot.join("vmlinuz"))?, "another kernel than the installed one is served");

    let target = installed.path("target.img");
    let mut write = Command::new(installed.installed("sbin/ezio-init"));
    write.arg("write").arg(format!("{}images/small/disk.torrent", server.url)).arg(&target);
    output(write.args(["--listen", "127.0.0.1:0"]))?;
    ensure!(fs::read(&target)? == content, "something else was written than captured");
    Ok(())
}

/// What iPXE would load: the address is in the script for a new machine.
fn kernel_that_a_machine_is_told(server: &str) -> Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    runtime.block_on(async {
        let script = format!("{server}boot.ipxe?mac=52-54-00-12-34-56");
        let script = http.get(script).send().await?.error_for_status()?.text().await?;
        let kernel = script.split_whitespace().find(|word| word.ends_with("/vmlinuz"));
        let kernel = kernel.with_context(|| format!("no kernel in {script}"))?;
        // As iPXE on a PC has set it at the script's beginning.
        let kernel = kernel.replace("${arch}", "amd64");
        Ok(http.get(kernel).send().await?.error_for_status()?.bytes().await?.to_vec())
    })
}

#[test]
fn nothing_is_left_when_it_is_removed() -> Result<()> {
    let installed = Installed::make()?;
    let there = files(&installed.root())?;
    for wanted in [
        "etc/systemd/system/ezio-pxe.service",
        "usr/local/bin/image-builder",
        "usr/local/sbin/ezio-init",
        "usr/local/sbin/ezio-pxe",
        "usr/local/share/ezio/config-examples/ezio-pxe.toml",
        "usr/local/share/ezio/netboot/initrd.img",
    ] {
        ensure!(there.iter().any(|file| file == wanted), "{wanted} is not among {there:?}");
    }
    let unit = fs::read_to_string(installed.path("root/etc/systemd/system/ezio-pxe.service"))?;
    ensure!(unit.contains("ExecStart=/usr/local/sbin/ezio-pxe serve"), "{unit}");
    installed.make_target("uninstall")?;
    ensure!(files(&installed.root())?.is_empty(), "left: {:?}", files(&installed.root())?);
    ensure!(!installed.installed("share/ezio").exists(), "an empty folder is left");
    Ok(())
}
