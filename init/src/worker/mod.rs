//! The worker of PID 1: does the whole job of a netbooted machine, and ends with the end action.

mod already_done;
pub(crate) mod crash_report;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use ezio_contract::report::Event;
use ezio_contract::{MachineId, initrd, urls};
use ezio_image::conf::EndAction;
use tokio::time::timeout;
use url::Url;

use crate::devices::depot::Depot;
use crate::devices::modules::ModuleLoader;
use crate::devices::{Devices, Requests, modprobe};
use crate::fetch::signature::PublicKey;
use crate::fetch::{Fetcher, Patience};
use crate::handover::end::End;
use crate::handover::will::Will;
use crate::machine::cmdline::Cmdline;
use crate::machine::steps::Steps;
use crate::machine::{self, SystemPaths};
use crate::net::{self, Network};
use crate::run::briefing::{Briefing, ConfPlaces, boot_folders, conf_of_server, fetch_conf};
use crate::run::consent::Consent;
use crate::run::reporter::{ReportLine, Reporter};
use crate::run::{During, Failure, Run, report_end, started};
use crate::screen::Screen;
use crate::screen::history::History;
use crate::screen::view::Fact;

/// A server that is just starting is waited for.
const CONF_PATIENCE: Patience = Patience { total: Duration::from_secs(120) };
/// Until then the server, which gave the conf a moment ago, must say whether this machine is done.
const ANSWER_BOUND: Duration = Duration::from_secs(60);

/// A machine that holds is heard of so often: as often as one that waits for a word.
const HOLD_PAUSE: Duration = Duration::from_secs(5);

/// The server has just given ezio.conf. It may be starting again, or its files may be just being replaced.
const MODULE_PATIENCE: Duration = Duration::from_secs(30);

/// Was this started by an ezio-init that is PID 1?
pub(crate) fn is_child_of_pid1() -> anyhow::Result<()> {
    let parent = nix::unistd::getppid().as_raw();
    let same = std::fs::read_link("/proc/1/exe").ok() == std::fs::read_link("/proc/self/exe").ok();
    ensure!(parent == 1 && same, "this is for the ezio-init that is PID 1 of a netbooted machine");
    Ok(())
}

/// Does the job. What it says on the screen, the server hears too.
pub(crate) async fn work() -> End {
    let paths = SystemPaths::below(Path::new("/"));
    let steps = Steps::new(&paths);
    steps.take(|times| &mut times.init_s);
    let parsed = Cmdline::of_machine(&paths);
    let consoles = parsed.as_ref().map(|c| c.consoles.clone()).unwrap_or_default();
    let screen = Screen::of_machine(&paths, &consoles);
    let mut machine = Machine {
        steps,
        paths,
        reporter: Reporter::silent(),
        will: Will::default(),
        left: None,
        network: None,
    };
    let outcome = match parsed.during("kernel command line") {
        Ok(cmdline) => machine.go(&cmdline, &screen).await,
        Err(failure) => Err(failure),
    };
    let end = match outcome {
        Ok(action) => {
            screen.tell(Fact::Done);
            End { action, failed: false }
        }
        Err(failure) => {
            let end = machine.left.unwrap_or_else(|| machine.will.end());
            screen.step(&format!("failed: {failure}"));
            let error = format!("{:#}", failure.error);
            screen.tell(Fact::Failed { step: failure.step.into(), error: error.clone() });
            screen.tell(Fact::Next(end.to_string()));
            let event = Event::Failed {
                step: failure.step.into(),
                error,
                next: end.to_string(),
                console: screen.recent(),
            };
            report_end(&machine.reporter, &screen, event.clone()).await;
            match end.action {
                EndAction::Hold if machine.reporter.has_server() => {
                    screen.step(&format!("next: {end}"));
                    hold(&machine.reporter, event).await
                }
                _ => end,
            }
        }
    };
    screen.flush();
    end
}

/// Holds until somebody far away ends that; who stands before the machine has Ctrl-Alt-Del.
async fn hold(reporter: &Reporter, failed: Event) -> End {
    loop {
        match timeout(HOLD_PAUSE, reporter.left()).await {
            Ok(leave) => return End::of(leave),
            Err(_) => reporter.send(failed.clone()),
        }
    }
}

/// What grows on the way, and what a failure needs.
struct Machine {
    paths: SystemPaths,
    steps: Steps,
    reporter: Reporter,
    /// What follows a failure, and a crash.
    will: Will,
    /// How somebody has it end, in place of that.
    left: Option<End>,
    /// Held for as long as the run lasts: the lease is renewed.
    network: Option<Network>,
}

impl Machine {
    async fn go(&mut self, cmdline: &Cmdline, screen: &Screen) -> Result<EndAction, Failure> {
        screen.step(&format!("ezio-init {}", env!("CARGO_PKG_VERSION")));
        cmdline.warnings.iter().for_each(|warning| screen.step(warning));
        self.fail_by(cmdline.end.unwrap_or_default());
        net::tune(&self.paths.proc);
        let (devices, requests) = self.start_devices(screen).during("devices")?;
        let fetcher = Fetcher::new().during("start")?.passing_on();
        let key = PublicKey::of_initrd(Path::new(initrd::KEY)).during("key of the initrd")?;
        let network = net::bring_up(cmdline, &self.paths.sys, &self.steps, screen).await.during("network")?;
        let identity = machine::identity(&self.paths, Some(network.card.mac));
        let (address, server) = (network.address, network.boot_server);
        self.network = Some(network);
        let address = address.to_string();
        screen.tell(Fact::Machine { id: identity.clone(), address: address.clone(), page: None });
        if let Some(url) = &cmdline.report {
            let url = url.parse().context("ezio.report=").during("kernel command line")?;
            self.start_reports(url, &identity, &address, screen)?;
        }
        let told = cmdline.conf.clone().or(cmdline.server.as_deref().map(conf_of_server));
        let places = ConfPlaces::find(told.as_deref(), server, Path::new(initrd::CONF)).during("conf")?;
        let (conf, origin) =
            fetch_conf(&places, &fetcher, CONF_PATIENCE, key.as_ref(), screen).await.during("conf")?;
        let group = cmdline.group.as_deref();
        let briefing =
            Briefing::of(&conf, origin, &identity, group, cmdline.report.as_deref()).during("conf")?;
        let briefing = with_end(briefing, cmdline.end);
        self.fail_by(briefing.orders.on_error);
        self.steps.take(|times| &mut times.conf_s);
        screen.step(&format!("conf: from {}", briefing.origin));
        if let Some(url) = briefing.report.clone()
            && !self.reporter.has_server()
        {
            self.start_reports(url, &identity, &address, screen)?;
        }
        if self.reporter.says_done(ANSWER_BOUND).await.during("ask the server")? {
            return Ok(already_done::wait_for_a_person(cmdline.stick, devices, &self.paths, screen).await);
        }
        let folders = boot_folders(&briefing.origin, server).during("devices")?;
        modprobe::tell(&folders).during("devices")?;
        let depot = Depot::new(folders, fetcher.clone(), MODULE_PATIENCE);
        let mut run = Run {
            paths: &self.paths,
            steps: self.steps.clone(),
            screen,
            fetcher: &fetcher,
            reporter: &self.reporter,
            devices: Some(devices),
            key,
            boot_medium: cmdline.stick,
            owns_firmware: true,
            only_disks: Vec::new(),
            consent: Consent::OfServer,
        };
        let leave = tokio::select! {
            outcome = run.run(&briefing) => return outcome,
            never = requests.serve(&depot, screen) => match never {},
            leave = self.reporter.left() => leave,
        };
        self.left = Some(End::of(leave));
        Err(anyhow!("somebody ended this run: what was written stays, and does not start")).during("stop")
    }

    fn fail_by(&mut self, on_error: EndAction) {
        self.will.on_error = on_error;
        self.will.leave();
    }

    /// Without modules (a kernel of one's own, with all drivers built in) devices still come and go.
    fn start_devices(&self, screen: &Screen) -> anyhow::Result<(Devices, Requests)> {
        let loader = ModuleLoader::open().unwrap_or_else(|error| {
            screen.step(&format!("devices: {error:#}: only drivers inside the kernel are used"));
            ModuleLoader::empty()
        });
        Devices::start(&self.paths.sys, loader)
    }

    fn start_reports(
        &mut self,
        url: Url,
        identity: &MachineId,
        address: &str,
        screen: &Screen,
    ) -> Result<(), Failure> {
        let page = machine_page(&url, identity);
        screen.tell(Fact::Machine { id: identity.clone(), address: address.to_owned(), page });
        let line = ReportLine::new(url, identity.clone(), &self.paths);
        let console = History::of_machine(&self.paths);
        self.reporter = Reporter::start(line.clone(), self.steps.clone(), Some(console)).during("reports")?;
        self.will.reports = Some(line);
        self.will.leave();
        self.reporter.send(started(&self.paths, address.to_owned()));
        Ok(())
    }
}

/// Where a telephone finds this machine's page, in capitals: a QR code holds these in fewer squares.
fn machine_page(report: &Url, identity: &MachineId) -> Option<String> {
    let (server, card) = (report.join("/").ok()?, identity.macs().first()?);
    Some(format!("{server}{}", urls::machine(card)).to_uppercase())
}

/// `ezio.end=` stands above ezio.conf, after success and failure alike.
fn with_end(mut briefing: Briefing, end: Option<EndAction>) -> Briefing {
    if let Some(end) = end {
        (briefing.orders.end, briefing.orders.on_error) = (end, end);
    }
    briefing
}
