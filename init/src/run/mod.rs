//! The run: from orders to a machine that would boot. Read top to bottom, this is what happens.

pub(crate) mod amended;
pub(crate) mod assignment;
mod boot_entries;
pub(crate) mod briefing;
pub(crate) mod consent;
pub(crate) mod deployment;
pub(crate) mod grow;
mod grow_lvm;
pub(crate) mod health;
mod held_head;
mod hooks;
mod identity;
pub(crate) mod image;
mod proof;
pub(crate) mod reporter;
pub(crate) mod share_out;
mod superblock;
pub(crate) mod transfer;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ezio_contract::Arch;
use ezio_contract::report::{Event, MAX_NOTE, MAX_NOTES};
use ezio_contract::text::one_line;
use ezio_disk::{Disk, Usage, allows_usb, coming, discover, mark_boot_medium};
use ezio_image::conf::{EndAction, Orders, Reuse, Target};
use ezio_swarm::Config;
use uuid::Uuid;

use self::assignment::Assignment;
use self::briefing::Briefing;
use self::consent::Consent;
use self::deployment::{Cleared, Deployed};
use self::grow::GrowthOnDevice;
use self::hooks::HookEnvironment;
use self::image::{Fetched, Image};
use self::reporter::{Delivery, Reporter};
use self::share_out::assign;
use self::transfer::Moment;
use crate::devices::Devices;
use crate::fetch::Fetcher;
use crate::fetch::signature::PublicKey;
use crate::identity::plan::IdentityPlan;
use crate::machine::efi_variables::{self, EfiVariables};
use crate::machine::pci::{self, Missing};
use crate::machine::steps::Steps;
use crate::machine::{self, SystemPaths};
use crate::screen::Screen;
use crate::screen::view::{Doing, Fact};

/// Until then disks (behind slow controllers and hubs) may come.
const DISKS_BOUND: Duration = Duration::from_secs(30);
/// Until then the kernel must show the partitions of the new table.
const NODES_BOUND: Duration = Duration::from_secs(15);
/// Until then the server must have accepted the last report.
const LAST_REPORT_BOUND: Duration = Duration::from_secs(60);

/// A step that failed, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the machine was doing ("choose disk").
    pub(crate) step: &'static str,
    pub(crate) error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:#}", self.step, self.error)
    }
}

/// Names the step that an error ends.
pub(crate) trait During<T> {
    /// The error, as the failure of `step`.
    fn during(self, step: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> During<T> for Result<T, E> {
    fn during(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, error: error.into() })
    }
}

/// What a run works with.
pub(crate) struct Run<'a> {
    pub(crate) paths: &'a SystemPaths,
    pub(crate) steps: Steps,
    pub(crate) screen: &'a Screen,
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) reporter: &'a Reporter,
    /// Devices that may still come; none on a running system.
    pub(crate) devices: Option<Devices>,
    /// Who may sign orders.
    pub(crate) key: Option<PublicKey>,
    /// GPT id of the stick that the machine was started from.
    pub(crate) boot_medium: Option<Uuid>,
    /// Is this the machine that starts from the disks, so that its firmware may be told of them?
    pub(crate) owns_firmware: bool,
    /// Only these disks exist for this run; empty: all.
    pub(crate) only_disks: Vec<PathBuf>,
    /// Who says whether what the targets hold may be lost.
    pub(crate) consent: Consent,
}

#[cfg(test)]
impl<'a> Run<'a> {
    /// On a machine of which nothing is known, for tests of its parts.
    fn alone(
        paths: &'a SystemPaths,
        screen: &'a Screen,
        fetcher: &'a Fetcher,
        reporter: &'a Reporter,
        consent: Consent,
    ) -> Self {
        Self {
            paths,
            steps: Steps::new(paths),
            screen,
            fetcher,
            reporter,
            devices: None,
            key: None,
            boot_medium: None,
            owns_firmware: false,
            only_disks: Vec::new(),
            consent,
        }
    }
}

impl Run<'_> {
    /// Carries out the orders; says how the machine ends.
    pub(crate) async fn run(&mut self, briefing: &Briefing) -> Result<EndAction, Failure> {
        let orders = self.orders(briefing);
        let disks = async {
            self.wait_for_disks(may_take_usb(&orders)).await;
            Ok(())
        };
        let (images, ()) = tokio::try_join!(self.fetch_images(briefing), disks).during("image")?;
        let assignment = self.choose_disks(&images, &orders).await?;
        self.steps.take(|times| &mut times.disks_s);
        let identity = self.plan_identity(briefing).await.during("identity")?;
        identity
            .check_reach(images.iter().flat_map(Fetched::images).map(Image::manifest))
            .during("identity")?;
        self.show(&assignment, &identity);
        self.obtain_consent(&assignment).await.during("confirm")?;
        self.announce(&assignment);
        let targets = identity::targets(&assignment);
        let environment = environment(&assignment, briefing);
        hooks::run(&briefing.orders.hooks.before, &environment, self.screen).await.during("hook before")?;
        let boot_entries = assignment.boot_entries;
        let deployed = self.deploy(assignment, orders.writing.reuse).await?;
        deployed.said.iter().for_each(|line| self.report_step(line.clone()));
        self.wait_for_nodes(&deployed).await.during("re-read of the table")?;
        if boot_entries {
            self.make_boot_entries(&deployed).await.during("boot entries")?;
        }
        self.screen.step("deployed: this machine would boot now");
        self.reporter.send(Event::Deployed(deployed.progress));
        self.report_what_is_written(&targets).await;
        let growths = deployed.growths();
        self.serve_and_prove(deployed, briefing).await?;
        // After seeding: what is changed on the disk must not go out to others.
        self.give_identity(identity, targets, briefing.report.clone()).await.during("identity")?;
        // NTFS that has grown is marked for Windows to check, and the kernel no longer writes to it.
        self.grow(growths).await.during("grow file system")?;
        hooks::run(&briefing.orders.hooks.after, &environment, self.screen).await.during("hook after")?;
        self.report_end(Event::Done { end: briefing.orders.end.to_string() }).await;
        Ok(briefing.orders.end)
    }

    async fn fetch_images(&self, briefing: &Briefing) -> anyhow::Result<Vec<Fetched>> {
        for write in &briefing.orders.writes {
            self.screen.step(&format!("image: {} (by {})", write.image, briefing.orders.chosen_by));
        }
        let fetched = briefing.fetch_images(self.fetcher, self.key.as_ref(), self.screen).await?;
        let mut images = fetched.iter().flat_map(Fetched::images);
        images.try_for_each(|image| image.check_architecture(Arch::of_this_program()))?;
        Ok(fetched)
    }

    /// Waits until all disks are there; without `usb`, all but those on USB.
    async fn wait_for_disks(&self, usb: bool) {
        if let Some(mut devices) = self.devices.clone() {
            devices.settle(DISKS_BOUND, || coming(&self.paths.sys, usb)).await;
        }
    }

    fn ensure_no_disk_is_hidden(&self) -> anyhow::Result<()> {
        self.devices.as_ref().map_or(Ok(()), Devices::ensure_no_disk_is_hidden)
    }

    fn disks(&self) -> anyhow::Result<Vec<Disk>> {
        let mut disks = list_disks(self.paths, &self.only_disks)?;
        if let Some(guid) = self.boot_medium {
            mark_boot_medium(&mut disks, guid);
        }
        Ok(disks)
    }

    async fn choose_disks(&self, images: &[Fetched], orders: &Orders) -> Result<Assignment, Failure> {
        self.ensure_no_disk_is_hidden().during("choose disk")?;
        let disks = || self.disks().during("find disks");
        if let Ok(assignment) = assign(images, orders, &disks()?) {
            return Ok(assignment);
        }
        // A refusal names all disks.
        self.wait_for_disks(true).await;
        self.ensure_no_disk_is_hidden().during("choose disk")?;
        assign(images, orders, &disks()?)
            .map_err(|error| pci::explain(error, &self.paths.sys, Missing::Disk))
            .during("choose disk")
    }

    fn orders(&self, briefing: &Briefing) -> Orders {
        let mut orders = briefing.orders.clone();
        orders.allow_only(&self.only_disks);
        orders
    }

    fn show(&self, assignment: &Assignment, identity: &IdentityPlan) {
        self.screen.line(assignment.to_string().trim_end());
        if !identity.is_empty() {
            self.screen.line(&format!("identity:\n{}", identity.to_string().trim_end()));
        }
        self.screen.tell(Fact::Planned { image: assignment.images.join(", "), disks: assignment.names() });
    }

    fn announce(&self, assignment: &Assignment) {
        self.reporter.send(Event::Planned {
            image: assignment.images.join(", "),
            disks: assignment.names(),
            total_bytes: assignment.payload_bytes(),
            notes: assignment.notes().iter().take(MAX_NOTES).map(|note| one_line(note, MAX_NOTE)).collect(),
        });
    }

    /// Something that was done for this machine alone, or could not be.
    fn report_step(&self, step: String) {
        self.screen.step(&step);
        self.reporter.send(Event::Step { step });
    }

    async fn deploy(&self, assignment: Assignment, reuse: Reuse) -> Result<Deployed, Failure> {
        self.screen.step(&format!("disk: clearing {}", assignment.paths()));
        let run = self.reporter.run().map(str::to_owned);
        let clear = move || {
            let cleared = Cleared::clear(assignment)?;
            // Without a server nobody would know the mark again.
            match run {
                Some(run) => cleared.marked(&run),
                None => Ok(cleared),
            }
        };
        let cleared = blocking(clear).await.during("clear disk")?;
        self.screen.step("writing");
        let config = Config { reuse, ..Config::default() };
        let filled = cleared.fill(config, |moment| self.tell(moment)).await.during("write")?;
        self.screen.step("verified: all of the image is on the disk and synced");
        self.reporter.send(Event::Verified(filled.progress));
        blocking(move || filled.finish()).await.during("write table and boot code")
    }

    fn tell(&self, moment: Moment) {
        match moment {
            Moment::FirstByte => self.reporter.send(Event::FirstByte),
            Moment::FirstPiece => self.steps.take(|times| &mut times.first_piece_s),
            Moment::Progress(progress) => {
                self.screen.progress(Doing::Write, &progress);
                self.reporter.send(Event::Progress(progress));
            }
            Moment::Silence(silence) => self.screen.step(&format!("write: {silence}")),
            Moment::LastByte(progress) => {
                self.screen.progress(Doing::Write, &progress);
                self.reporter.send(Event::LastByte(progress));
            }
            Moment::Seeding(progress) => {
                self.screen.progress(Doing::Share, &progress);
                self.reporter.send(Event::Seeding(progress));
            }
        }
    }

    async fn wait_for_nodes(&mut self, deployed: &Deployed) -> anyhow::Result<()> {
        let Some(devices) = &mut self.devices else { return Ok(()) };
        let missing =
            || deployed.expected_nodes().into_iter().find(|node| !self.paths.sys.join(node).exists());
        let there = devices.wait_for(NODES_BOUND, || missing().is_none().then_some(())).await;
        there.ok_or_else(|| {
            let node = missing().unwrap_or_default();
            anyhow!("the kernel does not show {} within {} s", node.display(), NODES_BOUND.as_secs())
        })
    }

    async fn make_boot_entries(&self, deployed: &Deployed) -> anyhow::Result<()> {
        let Some(arch) = Arch::of_this_program().filter(|_| efi_variables::is_uefi(self.paths)) else {
            return Ok(());
        };
        if !self.owns_firmware {
            self.report_step(
                "uefi: no boot entry is made: this machine's firmware is left as it is".to_owned(),
            );
            return Ok(());
        }
        let (disks, paths) = (deployed.disks(), self.paths.clone());
        let open = move || EfiVariables::of_machine(&paths);
        let lines = blocking(move || boot_entries::make(&disks, arch, open)).await?;
        lines.iter().for_each(|line| self.report_step(format!("uefi: {line}")));
        Ok(())
    }

    async fn grow(&self, growths: Vec<GrowthOnDevice>) -> anyhow::Result<()> {
        for growth in growths {
            self.screen.step(&format!("growing {}", growth.growth));
            self.report_step(blocking(move || growth.carry_out()).await?);
        }
        Ok(())
    }

    /// The last report: the run is not over before the server knows, or its time is up.
    pub(crate) async fn report_end(&self, event: Event) {
        report_end(self.reporter, self.screen, event).await;
    }
}

/// Sends the last report and waits for the server to take it.
pub(crate) async fn report_end(reporter: &Reporter, screen: &Screen, event: Event) {
    let good = matches!(event, Event::Done { .. });
    reporter.send(event);
    let seconds = LAST_REPORT_BOUND.as_secs();
    match reporter.delivered(LAST_REPORT_BOUND).await {
        Delivery::Accepted if good => screen.step("done: the server knows"),
        Delivery::Accepted => screen.step("the server knows of the failure"),
        Delivery::NoServer if good => screen.step("done (there is no server to report to)"),
        Delivery::NoServer => {}
        Delivery::TimedOut => {
            screen.step(&format!(
                "the server has not accepted the last report within {seconds} s: it does not know"
            ));
        }
        Delivery::Refused => screen.step("the server refuses the reports of this machine: it does not know"),
    }
}

/// The disks of this machine; only those named, if any are.
pub(crate) fn list_disks(paths: &SystemPaths, only: &[PathBuf]) -> anyhow::Result<Vec<Disk>> {
    let read = |name: &str| {
        let path = paths.proc.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    // A kernel without swap has no list of it.
    let usage = Usage::parse(&read("mounts")?, &read("swaps").unwrap_or_default());
    let mut disks = discover(&paths.sys, &paths.dev, &usage)?;
    let named = |disk: &Disk| only.iter().any(|path| *path == disk.path || disk.links.contains(path));
    disks.retain(|disk| only.is_empty() || named(disk));
    for path in only {
        let found = disks.iter().any(|disk| *path == disk.path || disk.links.contains(path));
        anyhow::ensure!(found, "{} is no disk of this machine", path.display());
    }
    Ok(disks)
}

/// May these orders write to a disk on USB?
fn may_take_usb(orders: &Orders) -> bool {
    orders.writes.iter().any(|write| match &write.target {
        Target::WholeDisk { .. } => allows_usb(&write.disk),
        // One that is named, wherever it is.
        Target::Partition(_) => true,
    })
}

/// What hooks are told.
fn environment(assignment: &Assignment, briefing: &Briefing) -> HookEnvironment {
    vec![
        ("EZIO_IMAGE", assignment.images.join(" ")),
        ("EZIO_DISKS", assignment.paths()),
        ("EZIO_CONF", briefing.origin.to_string()),
        ("PATH", "/bin:/sbin:/usr/bin:/usr/sbin".into()),
    ]
}

/// Runs what waits for a disk where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("waiting for the disk")?
}

/// The first report: this machine is up, and where.
pub(crate) fn started(paths: &SystemPaths, address: String) -> Event {
    Event::Started {
        version: env!("CARGO_PKG_VERSION").into(),
        firmware: machine::firmware(paths).into(),
        address,
    }
}
