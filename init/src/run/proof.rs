//! Serving others, and meanwhile the proof that the disks give back what was written.
//!
//! It comes when table and boot code are in place, and before identity and growth: these change what others may still need, and
//! what is then on the disk is no longer the image's. Boot sectors that were amended are held against what they were before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use ezio_contract::report::Event;
use ezio_image::conf::{Reuse, Verify};
use ezio_swarm::{Config, Content, Swarm, Wrong, prove};

use super::briefing::Briefing;
use super::deployment::{Deployed, LONGEST_SILENCE};
use super::transfer::{self, Moment};
use super::{During, Failure, Run, blocking};

/// Places that are named to people.
const NAMED: usize = 8;

/// Both to their end; but what is wrong is not served for longer than necessary.
async fn both(
    proof: impl Future<Output = anyhow::Result<Wrong>>,
    seeding: impl Future<Output = ()>,
) -> anyhow::Result<Wrong> {
    tokio::pin!(proof, seeding);
    tokio::select! {
        wrong = &mut proof => {
            if !wrong.as_ref().is_ok_and(|wrong| wrong.count > 0) {
                seeding.await;
            }
            wrong
        }
        () = &mut seeding => proof.await,
    }
}

impl Run<'_> {
    /// Serves others for as long as the orders say. Unless these say otherwise, the disks are proved for as long as that
    /// takes, so that it costs no time; `read-back` proves them in any case.
    pub(super) async fn serve_and_prove(
        &self,
        deployed: Deployed,
        briefing: &Briefing,
    ) -> Result<(), Failure> {
        let (policy, verify) = (&briefing.orders.seed, briefing.orders.writing.verify);
        let Deployed { swarm: Some(swarm), contents, .. } = deployed else { return Ok(()) };
        let let_go = Arc::new(AtomicBool::new(verify == Some(Verify::Written)));
        let wrong = both(self.prove(&contents, &let_go), async {
            if !policy.is_none() {
                self.screen.step(&format!("serving others ({policy})"));
                transfer::seed(&swarm, policy, self.reporter.released(), |moment| self.tell(moment)).await;
            }
            let_go.fetch_or(verify.is_none(), Ordering::Relaxed);
        });
        let wrong = wrong.await;
        swarm.shutdown().await;
        let wrong = wrong.during("prove")?;
        if wrong.count == 0 {
            return Ok(());
        }
        self.write_again(Config::default(), &contents, &wrong).await.during("prove")
    }

    /// Where the disks differ from what was written; says so if nowhere.
    async fn prove(&self, contents: &[Content], let_go: &Arc<AtomicBool>) -> anyhow::Result<Wrong> {
        let (contents, let_go) = (contents.to_vec(), Arc::clone(let_go));
        let wrong = blocking(move || Ok(prove(&contents, |_| !let_go.load(Ordering::Relaxed)))).await?;
        if wrong.as_ref().is_some_and(|wrong| wrong.count == 0) {
            self.screen.step("proved: the disks give back all that was written");
            self.reporter.send(Event::Proved);
        }
        Ok(wrong.unwrap_or_default())
    }

    /// Fetches once more what the disks did not keep: all else is found there. If they do not keep it either, they are broken.
    async fn write_again(&self, config: Config, contents: &[Content], wrong: &Wrong) -> anyhow::Result<()> {
        for error in wrong.places.iter().take(NAMED) {
            self.report_step(format!("{error}: it is fetched and written once more"));
        }
        if wrong.count > NAMED as u64 {
            self.report_step(format!("so are {} other places", wrong.count - NAMED as u64));
        }
        let config = Config { reuse: Reuse::Always, ..config };
        let swarm = Swarm::start(config, contents.to_vec()).await.context("starting the transfer")?;
        let tell = |moment| {
            if let Moment::Silence(_) = moment {
                self.tell(moment);
            }
        };
        let completed = transfer::complete(&swarm, Some(LONGEST_SILENCE), tell).await;
        swarm.shutdown().await;
        completed?;
        let Wrong { places, count } = self.prove(contents, &Arc::default()).await?;
        let Some(first) = places.into_iter().next() else { return Ok(()) };
        let others = count - 1;
        Err(anyhow!(first)
            .context(format!("written twice, and wrong both times, there and at {others} other places")))
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
