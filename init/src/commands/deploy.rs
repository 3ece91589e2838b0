//! `deploy`: the steps of a netbooted machine on a running system, to disks that are named.

use std::path::PathBuf;

use ezio_contract::report::Event;
use ezio_image::conf::EndAction;

use super::arguments::DeployOptions;
use super::conf::brief;
use super::confirm;
use crate::fetch::Fetcher;
use crate::machine::steps::Steps;
use crate::machine::{self, SystemPaths};
use crate::run::consent::Consent;
use crate::run::reporter::{ReportLine, Reporter};
use crate::run::{During, Failure, Run, report_end, started};
use crate::screen::Screen;
use crate::screen::console::{Console, Style};

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
            let event = Event::Failed {
                step: failure.step.into(),
                error,
                next: "the program ends".into(),
                console: Vec::new(),
            };
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
    let fetcher = Fetcher::new().during("start")?.passing_on();
    let steps = Steps::new(paths);
    let (group, report) = (options.group.as_deref(), options.report.as_deref());
    let mut briefing = brief(&options.conf, paths, group, report, &fetcher, screen).await.during("conf")?;
    if let Some(grow) = &options.grow {
        briefing.orders.grow = grow.clone();
    }
    if let Some(url) = briefing.report.clone() {
        let line = ReportLine::new(url, machine::identity(paths, None), paths);
        *reporter = Reporter::start(line, steps.clone(), None).during("reports")?;
        reporter.send(started(paths, String::new()));
    }
    let only_disks: Vec<PathBuf> = options.disks.clone();
    let mut run = Run {
        paths,
        steps,
        screen,
        fetcher: &fetcher,
        reporter,
        devices: None,
        key: None,
        boot_medium: None,
        owns_firmware: false,
        only_disks,
        consent: if options.yes { Consent::Given } else { Consent::OfPerson(confirm::erase) },
    };
    run.run(&briefing).await
}
