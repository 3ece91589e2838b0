//! Whether all that the targets hold may be lost: by a person's word, or by the orders and what the server remembers and
//! its operator has approved. It is had before anything is touched.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::bail;
use ezio_contract::inventory::{DiskId, Holds, InventoryDisk, MAX_DISKS, Overwrite, Wanted};
use ezio_contract::report::{Directive, Event};
use ezio_contract::text::one_line;
use ezio_disk::{Disk, holds};
use ezio_image::contents::mark_of;
use tokio::time::{Instant, sleep, timeout};

use super::assignment::Assignment;
use super::health::HealthOfDisks;
use super::identity::TargetNode;
use super::{Run, blocking};
use crate::machine;
use crate::screen::progress::clock;
use crate::screen::view::Fact;

/// Between two questions: an approval shows within this.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How often a machine that waits says so.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Beside the code of the machine's page.
const TO_DO: &str = "Nothing is written yet. It goes on by itself once it is approved: on its page (the code leads there), or \
     by \"ezio-pxe approve\" on the server.";
/// Until then a disk must have given the few MiB that tell what it holds.
const LOOK_BOUND: Duration = Duration::from_secs(60);
/// Longest name of a target that the server hears, in bytes.
const MAX_NAME: usize = 200;

/// Who says whether what the targets hold may be lost.
pub(crate) enum Consent {
    /// A person, who is asked about these targets.
    OfPerson(fn(&str) -> anyhow::Result<()>),
    /// A person has said so already.
    Given,
    /// The orders (`overwrite`), with what the server knows.
    OfServer,
}

impl Run<'_> {
    /// Has somebody's word that the targets may be overwritten, or waits for it.
    pub(super) async fn obtain_consent(&self, assignment: &Assignment) -> anyhow::Result<()> {
        let disks = self.disks()?;
        let health = self.ask_health(&disks).await;
        if let Consent::OfPerson(ask) = self.consent {
            ask(&assignment.paths())?;
        }
        if !self.reporter.has_server() {
            return match self.consent {
                Consent::OfServer => without_server(&self.wanted(assignment, &disks, &[]).await),
                Consent::OfPerson(_) | Consent::Given => Ok(()),
            };
        }
        let inventory = inventory(&disks, &health).await;
        let wanted = self.wanted(assignment, &disks, &inventory).await;
        self.reporter.send(Event::Inventory {
            disks: inventory,
            cards: machine::cards(self.paths),
            computer: machine::computer::of_machine(self.paths),
        });
        let asks = Event::Asks { image: assignment.images.join(", "), wanted: wanted.clone() };
        match self.consent {
            Consent::OfServer => self.wait_for_the_server(asks, &wanted).await,
            // A person here knows more than the server, which takes note.
            Consent::OfPerson(_) | Consent::Given => {
                self.reporter.send(asks);
                Ok(())
            }
        }
    }

    /// Asks until the answer is yes. Its end is a person's affair, so there is no bound; it says how long it has waited.
    async fn wait_for_the_server(&self, asks: Event, wanted: &[Wanted]) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut said: Option<(Vec<String>, Instant)> = None;
        loop {
            let Some(answer) = self.ask_server(asks.clone(), started).await else {
                return without_server(wanted);
            };
            if answer.go {
                self.screen.tell(Fact::GoesOn);
                return Ok(());
            }
            let news = said.as_ref().is_none_or(|(lines, _)| *lines != answer.waits_for);
            if news {
                self.screen.step("this machine waits for somebody's word, nothing is written yet:");
                answer.waits_for.iter().for_each(|line| self.screen.line(&format!("  {line}")));
                self.screen.tell(Fact::Waits { lines: answer.waits_for.clone(), to_do: TO_DO.to_owned() });
            }
            if news || said.as_ref().is_some_and(|(_, when)| when.elapsed() >= SAY_AGAIN) {
                let waited = clock(started.elapsed());
                self.screen.step(&format!(
                    "it goes on by itself once \"ezio-pxe approve\" is said for it on the server (waiting for {waited})"
                ));
                said = Some((answer.waits_for, Instant::now()));
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// The server's answer; `None` where there is none that takes reports.
    async fn ask_server(&self, asks: Event, started: Instant) -> Option<Directive> {
        let mut answer = pin!(self.reporter.ask(asks));
        loop {
            if let Ok(answer) = timeout(SAY_AGAIN, &mut answer).await {
                return answer;
            }
            let waited = clock(started.elapsed());
            self.screen.step(&format!(
                "the server does not say whether the disks may be written (waiting for {waited})"
            ));
        }
    }

    /// What the targets are now, for the server to know them again.
    pub(super) async fn report_what_is_written(&self, targets: &[TargetNode]) {
        // What cannot be listed now is not known again: the next run asks.
        let Ok(disks) = self.disks() else { return };
        if !self.reporter.has_server() {
            return;
        }
        // Writing shows what reading alone does not.
        let health = self.ask_health(&disks).await;
        let mut written = Vec::new();
        for (path, _) in targets {
            let Some((disk, id)) = find(&disks, path) else { continue };
            let holds = look_at(path, id.size, disk.sector_size).await;
            let path = path.display().to_string();
            written.push(InventoryDisk {
                path,
                id,
                ..disk.inventory(holds, health.get(&disk.path).cloned())
            });
        }
        self.reporter.send(Event::Inventory { disks: written, cards: Vec::new(), computer: None });
    }

    /// What would be written; whole disks were looked at for the inventory.
    async fn wanted(
        &self,
        assignment: &Assignment,
        disks: &[Disk],
        inventory: &[InventoryDisk],
    ) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for target in &assignment.targets {
            let (id, sector_size) = match find(disks, &target.path) {
                Some((disk, id)) => (id, disk.sector_size),
                // A volume that lies on no disk alone.
                None => (DiskId { size: target.size, ..DiskId::default() }, 512),
            };
            let seen = inventory.iter().find(|disk| target.path.to_str() == Some(&disk.path));
            wanted.push(Wanted {
                name: one_line(&target.name, MAX_NAME),
                holds: match seen {
                    Some(disk) => disk.holds.clone(),
                    None => look_at(&target.path, target.size, sector_size).await,
                },
                id,
                overwrite: match self.consent {
                    Consent::OfServer => target.overwrite,
                    Consent::OfPerson(_) | Consent::Given => Overwrite::Any,
                },
                becomes: target.plan.layout().and_then(mark_of),
            });
        }
        wanted
    }
}

/// The disks of the machine, what they hold, and how they are.
async fn inventory(disks: &[Disk], health: &HealthOfDisks) -> Vec<InventoryDisk> {
    let mut listed = Vec::new();
    for disk in disks.iter().filter(|disk| !disk.is_virtual && disk.size > 0).take(MAX_DISKS) {
        let holds = look_at(&disk.path, disk.size, disk.sector_size).await;
        listed.push(disk.inventory(holds, health.get(&disk.path).cloned()));
    }
    listed
}

/// The disk that a path leads to, or that it is a partition of.
fn find<'a>(disks: &'a [Disk], path: &Path) -> Option<(&'a Disk, DiskId)> {
    disks.iter().find_map(|disk| Some((disk, disk.id_of(path)?)))
}

async fn look_at(path: &Path, size: u64, sector_size: u32) -> Holds {
    let device: PathBuf = path.to_owned();
    let look = blocking(move || Ok(holds(&device, size, sector_size)));
    match timeout(LOOK_BOUND, look).await {
        Ok(Ok(holds)) => holds,
        Ok(Err(error)) => Holds::only(&format!("it cannot be read: {error:#}")),
        Err(_) => Holds::only(&format!("it was not read within {} s", LOOK_BOUND.as_secs())),
    }
}

/// Nobody remembers what was deployed here, nor can approve anything.
fn without_server(wanted: &[Wanted]) -> anyhow::Result<()> {
    let refused = wanted.iter().find(|wanted| !wanted.holds.blank && wanted.overwrite != Overwrite::Any);
    let Some(Wanted { name, holds, overwrite, .. }) = refused else { return Ok(()) };
    bail!(
        "{name} is not blank: {holds}; overwrite = \"{overwrite}\" keeps that, and there is no ezio-pxe that could know \
         it from a former deployment or approve that it is lost; where all on it may be lost, write overwrite = \"any\" \
         under [disk] in ezio.conf"
    )
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
