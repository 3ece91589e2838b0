//! Reports to the server: typed events, in order, each sent until it is accepted. Progress that has
//! been overtaken by newer progress is never sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use ezio_contract::MachineId;
use ezio_contract::report::{self, Directive, Event, Leave, Report};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::machine::steps::Steps;
use crate::machine::{self, SystemPaths};
use crate::screen::history::History;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Events that wait at most. A run has a handful; should a server be away for ever, the oldest go.
const QUEUE: usize = 64;
/// Hooks and drivers can write long errors.
const LONGEST_ERROR: usize = 4000;

/// Sequence number of a report that nothing of its run comes after; exact in JSON.
const LAST_SEQUENCE: u64 = 1 << 53;

/// Whose reports go where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReportLine {
    url: Url,
    machine: MachineId,
    run: String,
}

impl ReportLine {
    /// For a run that begins now.
    pub(crate) fn new(url: Url, machine: MachineId, paths: &SystemPaths) -> Self {
        Self { url, machine, run: machine::run_id(paths) }
    }
}

/// Tells the server what happens. Cheap to clone; without an address it tells nobody.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    /// Name of the run, which the server knows it by.
    run: Option<Arc<str>>,
    shared: Option<Arc<Shared>>,
    released: watch::Receiver<bool>,
    /// How somebody ends this run.
    left: watch::Receiver<Option<Leave>>,
    /// What the server answered to the first report.
    first_answer: watch::Receiver<Option<Directive>>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<VecDeque<Queued>>,
    new: Notify,
    ledger: watch::Sender<Ledger>,
}

/// An event that waits to be sent.
#[derive(Debug)]
struct Queued {
    event: Event,
    /// Who waits for the server's answer to it.
    asker: Option<oneshot::Sender<Directive>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ledger {
    /// Number of events that wait or are being sent.
    open: usize,
    /// The server will never take some event.
    refused: bool,
}

/// Whether the server knows how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It has accepted every report.
    Accepted,
    /// It has not, within the time given.
    TimedOut,
    /// It says that it never will.
    Refused,
    /// There is nobody to tell.
    NoServer,
}

impl Reporter {
    /// Tells nobody; never releases.
    pub(crate) fn silent() -> Self {
        Self {
            run: None,
            shared: None,
            released: watch::channel(false).1,
            left: watch::channel(None).1,
            first_answer: watch::channel(None).1,
        }
    }

    /// Starts to report. `console` is what the server may ask for.
    pub(crate) fn start(line: ReportLine, steps: Steps, console: Option<History>) -> anyhow::Result<Self> {
        Self::from(0, line, steps, console)
    }

    /// For the last word on a run that another process reported of.
    pub(crate) fn resume(line: ReportLine, steps: Steps) -> anyhow::Result<Self> {
        Self::from(LAST_SEQUENCE, line, steps, None)
    }

    fn from(sequence: u64, line: ReportLine, steps: Steps, console: Option<History>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(ATTEMPT_TIMEOUT).build();
        let http = http.context("preparing to report to the server")?;
        let (ledger, _) = watch::channel(Ledger::default());
        let shared = Arc::new(Shared { waiting: Mutex::default(), new: Notify::new(), ledger });
        let (release, released) = watch::channel(false);
        let (leave, left) = watch::channel(None);
        let (answer, first_answer) = watch::channel(None);
        let run = Some(line.run.as_str().into());
        let sender = Sender { http, line, steps, console, release, leave, answer, sequence };
        tokio::spawn(sender.run(shared.clone()));
        Ok(Self { run, shared: Some(shared), released, left, first_answer })
    }

    /// Name of the run, where there is somebody to report to.
    pub(crate) fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Is there somebody to report to?
    pub(crate) fn has_server(&self) -> bool {
        self.shared.is_some()
    }

    /// Queues an event.
    pub(crate) fn send(&self, event: Event) {
        self.queue(event, None);
    }

    /// Sends an event, and waits for the server's answer to it; `None` where there is no server that takes reports.
    pub(crate) async fn ask(&self, event: Event) -> Option<Directive> {
        let (asker, answer) = oneshot::channel();
        self.queue(event, Some(asker));
        answer.await.ok()
    }

    fn queue(&self, event: Event, asker: Option<oneshot::Sender<Directive>>) {
        let Some(shared) = &self.shared else { return };
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = waiting.back_mut()
            && overtakes(&event, &last.event)
        {
            last.event = event;
            return;
        }
        if waiting.len() == QUEUE {
            waiting.pop_front();
        } else {
            shared.ledger.send_modify(|ledger| ledger.open += 1);
        }
        waiting.push_back(Queued { event, asker });
        shared.new.notify_one();
    }

    /// Has the server let this machine go?
    pub(crate) fn released(&self) -> watch::Receiver<bool> {
        self.released.clone()
    }

    /// Waits until somebody ends this run, for ever if nobody can.
    pub(crate) async fn left(&self) -> Leave {
        let mut left = self.left.clone();
        let leave = left.wait_for(Option::is_some).await.ok().and_then(|leave| *leave);
        match leave {
            Some(leave) => leave,
            None => std::future::pending().await,
        }
    }

    /// Does the server say, in its answer to the first report, that this machine is done? Waits for that at most `bound`.
    pub(crate) async fn says_done(&self, bound: Duration) -> anyhow::Result<bool> {
        if self.shared.is_none() {
            return Ok(false);
        }
        let mut answer = self.first_answer.clone();
        match timeout(bound, answer.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => Ok(answer.as_ref().is_some_and(|directive| directive.done)),
            _ => bail!(
                "the server has not accepted a report within {} s: whether this machine is done is not known",
                bound.as_secs()
            ),
        }
    }

    /// Waits until the server has accepted everything, at most `bound`.
    pub(crate) async fn delivered(&self, bound: Duration) -> Delivery {
        let Some(shared) = &self.shared else { return Delivery::NoServer };
        let mut ledger = shared.ledger.subscribe();
        match timeout(bound, ledger.wait_for(|l| l.open == 0)).await {
            Ok(Ok(end)) if end.refused => Delivery::Refused,
            Ok(Ok(_)) => Delivery::Accepted,
            _ => Delivery::TimedOut,
        }
    }
}

/// Does `new` say all that `old` said, and later?
fn overtakes(new: &Event, old: &Event) -> bool {
    matches!(
        (new, old),
        (Event::Progress(_), Event::Progress(_))
            | (Event::Seeding(_), Event::Seeding(_))
            | (Event::Failed { .. }, Event::Failed { .. })
    )
}

struct Sender {
    http: reqwest::Client,
    line: ReportLine,
    steps: Steps,
    console: Option<History>,
    release: watch::Sender<bool>,
    leave: watch::Sender<Option<Leave>>,
    answer: watch::Sender<Option<Directive>>,
    sequence: u64,
}

impl Sender {
    async fn run(mut self, shared: Arc<Shared>) {
        loop {
            let next = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(Queued { event, asker }) => {
                    let answer = self.deliver(event).await;
                    let accepted = answer.is_some();
                    if answer.as_ref().is_some_and(|directive| directive.console) {
                        let console = self.console.as_ref().map(History::for_server).unwrap_or_default();
                        self.deliver(Event::Console { console }).await;
                    }
                    if let (Some(asker), Some(directive)) = (asker, answer) {
                        // Whoever does not wait any more needs no answer.
                        let _ = asker.send(directive);
                    }
                    shared.ledger.send_modify(|ledger| {
                        ledger.open = ledger.open.saturating_sub(1);
                        ledger.refused |= !accepted;
                    });
                }
                None => shared.new.notified().await,
            }
        }
    }

    /// Until the server takes it and answers, or says that it never will.
    async fn deliver(&mut self, event: Event) -> Option<Directive> {
        let report = Report {
            format: report::FORMAT,
            machine: self.line.machine.clone(),
            run: self.line.run.clone(),
            sequence: self.sequence,
            uptime_s: self.steps.now_s(),
            steps: self.steps.taken(),
            event: shortened(event),
        };
        self.sequence += 1;
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.post(&report).await {
                Ok(directive) => {
                    self.answered(directive.clone());
                    self.release.send_if_modified(|r| std::mem::replace(r, *r || directive.release) != *r);
                    self.leave.send_if_modified(|leave| {
                        leave.is_none() && std::mem::replace(leave, directive.leave) != *leave
                    });
                    return Some(directive);
                }
                Err(Refused::ForEver(error)) => {
                    tracing::warn!("the server refuses a report: {error:#}");
                    // Such a server knows of no machine.
                    self.answered(Directive::default());
                    return None;
                }
                Err(Refused::ForNow(error)) => tracing::debug!("report not accepted yet: {error:#}"),
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    fn answered(&self, directive: Directive) {
        self.answer.send_if_modified(|first| first.is_none() && first.replace(directive).is_none());
    }

    async fn post(&self, report: &Report) -> Result<Directive, Refused> {
        let sent = self.http.post(self.line.url.clone()).json(report).send().await;
        let response = sent.map_err(|e| Refused::ForNow(e.into()))?;
        let status = response.status();
        if status.is_client_error() {
            return Err(Refused::ForEver(anyhow::anyhow!("{} answers {status}", self.line.url)));
        }
        let response = response.error_for_status().map_err(|e| Refused::ForNow(e.into()))?;
        response.json().await.map_err(|e| Refused::ForNow(e.into()))
    }
}

enum Refused {
    ForNow(anyhow::Error),
    ForEver(anyhow::Error),
}

fn shortened(mut event: Event) -> Event {
    if let Event::Failed { error, .. } = &mut event
        && let Some((end, _)) = error.char_indices().nth(LONGEST_ERROR)
    {
        error.truncate(end);
    }
    event
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
pub(super) mod tests;
