//! The clone's own identity, as two steps of a run: planned before anything is written, given when all else is done.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use ezio_contract::identity::{IdentityAnswer, IdentityRequest};
use ezio_contract::urls;
use ezio_image::layout::NewIds;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::assignment::Assignment;
use super::briefing::Briefing;
use super::reporter::Delivery;
use super::{Run, blocking};
use crate::fetch::Patience;
use crate::fetch::location::Location;
use crate::identity::plan::IdentityPlan;
use crate::identity::{self, Target, ask};
use crate::screen::view::Fact;
use crate::target::volume::volumes_of;

/// Until then the server must have taken the reports so far: it answers a run that it knows.
const REPORT_BOUND: Duration = Duration::from_secs(60);
/// Mounting and a few small files take seconds, also on a slow disk with much to write out.
const IDENTITY_BOUND: Duration = Duration::from_secs(300);
/// Bytes a second that come at least, where drivers are fetched.
const SLOWEST: u64 = 1 << 20;
/// Lines that wait to be shown.
const QUEUE: usize = 64;

/// A target's device node, and new ids in its table.
pub(super) type TargetNode = (PathBuf, NewIds);

/// The targets, as they are looked for afterwards.
pub(super) fn targets(assignment: &Assignment) -> Vec<TargetNode> {
    assignment.targets.iter().map(|target| (target.path.clone(), target.new_ids.clone())).collect()
}

impl Run<'_> {
    /// What is to make this clone differ from the next. Whoever has no name for it is heard before anything is erased.
    pub(super) async fn plan_identity(&self, briefing: &Briefing) -> anyhow::Result<IdentityPlan> {
        let own = match ask::is_needed(&briefing.orders) {
            true => self.ask(briefing).await?,
            false => IdentityAnswer::default(),
        };
        if let Some(name) = &own.hostname {
            self.screen.tell(Fact::HostName(name.clone()));
        }
        Ok(IdentityPlan::of(&briefing.orders, &own))
    }

    async fn ask(&self, briefing: &Briefing) -> anyhow::Result<IdentityAnswer> {
        let alone = || ask::alone(&briefing.orders, &briefing.machine);
        let (Some(report), Some(run)) = (&briefing.report, self.reporter.run()) else { return alone() };
        if self.key.is_some() {
            return alone()
                .context("this initrd takes signed orders only, and what the server answers is not signed");
        }
        match self.reporter.delivered(REPORT_BOUND).await {
            Delivery::Accepted => {}
            Delivery::NoServer => return alone(),
            Delivery::TimedOut => {
                bail!("the server has not taken a report within {} s", REPORT_BOUND.as_secs())
            }
            Delivery::Refused => {
                bail!("the server refuses the reports of this machine, and does not know it")
            }
        }
        let (machine, group) = (briefing.machine.clone(), briefing.group.clone());
        let request = IdentityRequest { machine, run: run.to_owned(), group };
        ask::server(report, &request).await
    }

    /// Does what is planned, to each target; every step is shown and reported.
    pub(super) async fn give_identity(
        &self,
        plan: IdentityPlan,
        targets: Vec<TargetNode>,
        server: Option<Url>,
    ) -> anyhow::Result<()> {
        if plan.is_empty() {
            return Ok(());
        }
        let (sender, mut said) = mpsc::channel(QUEUE);
        let sys = self.paths.sys.clone();
        let bound = IDENTITY_BOUND + Duration::from_secs(plan.bytes_to_fetch() / SLOWEST);
        let (fetcher, runtime) = (self.fetcher.clone(), Handle::current());
        let fetch = move |sha256: &str, number: u64| {
            let server = server.as_ref().context("there is no server to ask")?;
            let url = server.join(&format!("/{}", urls::driver_block(sha256, number)))?;
            Ok(runtime.block_on(fetcher.get_patiently(&Location::Http(url), Patience::DEFAULT, |_, _| {}))?)
        };
        let work = blocking(move || {
            for (path, new_ids) in targets {
                let target = Target { volumes: volumes_of(&path, &sys)?, new_ids };
                // Whoever does not listen any more has given up on us.
                identity::carry_out(&plan, &target, &fetch, |text| drop(sender.blocking_send(text)))?;
            }
            Ok(())
        });
        let tell = async {
            while let Some(step) = said.recv().await {
                self.report_step(format!("identity: {step}"));
            }
        };
        let both = async { tokio::join!(work, tell).0 };
        let seconds = bound.as_secs();
        timeout(bound, both).await.with_context(|| format!("it has not ended within {seconds} s"))?
    }
}
