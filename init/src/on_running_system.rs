//! `plan` and `deploy`: the steps of a netbooted machine on a running system, with explicit targets.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ezio_image::conf::{Conf, EndAction, ImageRef, Orders, Settings};
use ezio_image::report::Event;

use crate::arguments::{DeployOptions, PlanOptions};
use crate::assignment::Assignment;
use crate::briefing::{Briefing, ConfPlaces, fetch_conf};
use crate::console::{Console, Style};
use crate::fetch::{Fetcher, Patience};
use crate::image_source::Image;
use crate::location::Location;
use crate::machine::SystemPaths;
use crate::reporter::{ReportLine, Reporter};
use crate::roles::print;
use crate::run::{During, Failure, Run, list_disks, report_end, started, who};
use crate::screen::Screen;
use crate::torrent_source;

/// Shows what would be done to which disk; writes nothing.
pub(crate) async fn plan(options: &PlanOptions) -> anyhow::Result<()> {
    let screen = Screen::dark();
    let paths = SystemPaths::below(Path::new("/"));
    let fetcher = Fetcher::new()?;
    let briefing = match &options.conf {
        Some(conf) => Some(brief(conf, &paths, options.group.as_deref(), None, &fetcher, &screen).await?),
        None => None,
    };
    let image = match (&options.image, &briefing) {
        (Some(image), _) => image_at(&image.parse()?, &fetcher, &screen).await?,
        (None, Some(briefing)) => briefing.fetch_image(&fetcher, None, &screen).await?,
        (None, None) => bail!("neither an image nor a conf"),
    };
    let mut orders = match briefing {
        Some(briefing) => briefing.orders,
        None => default_orders(image.name())?,
    };
    if orders.disk.path.is_empty() {
        orders.disk.path.clone_from(&options.disks);
    }
    let assignment = Assignment::make(&image, &orders, &list_disks(&paths, &options.disks)?)?;
    print(&assignment.to_string())
}

/// Deploys to a disk that is named; says how a machine would end.
pub(crate) async fn deploy(options: &DeployOptions) -> anyhow::Result<()> {
    let screen = Screen::new(vec![Console::new(Style::Lines, std::io::stderr())]);
    let paths = SystemPaths::below(&options.root);
    let mut reporter = Reporter::silent();
    let outcome = deploy_steps(options, &paths, &screen, &mut reporter).await;
    let result = match outcome {
        Ok(end) => {
            screen.step(&format!("a netbooted machine would {end} now"));
            Ok(())
        }
        Err(failure) => {
            let error = format!("{:#}", failure.error);
            let event = Event::Failed { step: failure.step.into(), error, next: "the program ends".into() };
            report_end(&reporter, &screen, event).await;
            Err(failure.error.context(failure.step))
        }
    };
    screen.flush();
    result
}

async fn deploy_steps(
    options: &DeployOptions,
    paths: &SystemPaths,
    screen: &Screen,
    reporter: &mut Reporter,
) -> Result<EndAction, Failure> {
    let fetcher = Fetcher::new().during("start")?;
    let (group, report) = (options.group.as_deref(), options.report.as_deref());
    let briefing = brief(&options.conf, paths, group, report, &fetcher, screen).await.during("conf")?;
    if let Some(url) = briefing.report.clone() {
        *reporter = Reporter::start(ReportLine::new(url, who(paths, None), paths), paths.clone())
            .during("reports")?;
        reporter.send(started(paths, String::new()));
    }
    let only_disks: Vec<PathBuf> = options.disks.clone();
    let mut run = Run { paths, screen, fetcher: &fetcher, reporter, devices: None, key: None, only_disks };
    run.run(&briefing).await
}

async fn brief(
    conf: &str,
    paths: &SystemPaths,
    group: Option<&str>,
    report: Option<&str>,
    fetcher: &Fetcher,
    screen: &Screen,
) -> anyhow::Result<Briefing> {
    let places = ConfPlaces { candidates: vec![conf.parse()?], images: None };
    let patience = Patience { total: std::time::Duration::from_secs(30) };
    let (conf, origin) = fetch_conf(&places, fetcher, patience, None, screen).await?;
    Briefing::of(&conf, origin, &who(paths, None), group, report)
}

async fn image_at(location: &Location, fetcher: &Fetcher, screen: &Screen) -> anyhow::Result<Image> {
    if location.is_torrent() {
        let torrent =
            torrent_source::fetch(&location.to_string(), &[], fetcher, Patience::NONE, |_, _| {}).await?;
        return Ok(Image::Torrent(torrent));
    }
    Image::fetch(location, fetcher, None, screen).await
}

/// What an ezio.conf that names nothing but an image says.
fn default_orders(image: &str) -> anyhow::Result<Orders> {
    let image: ImageRef = image.parse().map_err(anyhow::Error::msg)?;
    let conf = Conf::for_image(image, Settings::default());
    conf.orders_for(&ezio_image::report::MachineId::default(), None).context("orders")
}
