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

    /// Starts to report.
    pub(crate) fn start(line: ReportLine, steps: Steps) -> anyhow::Result<Self> {
        Self::from(0, line, steps)
    }

    /// For the last word on a run that another process reported of.
    pub(crate) fn resume(line: ReportLine, steps: Steps) -> anyhow::Result<Self> {
        Self::from(LAST_SEQUENCE, line, steps)
    }

    fn from(sequence: u64, line: ReportLine, steps: Steps) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(ATTEMPT_TIMEOUT).build();
        let http = http.context("preparing to report to the server")?;
        let (ledger, _) = watch::channel(Ledger::default());
        let shared = Arc::new(Shared { waiting: Mutex::default(), new: Notify::new(), ledger });
        let (release, released) = watch::channel(false);
        let (leave, left) = watch::channel(None);
        let (answer, first_answer) = watch::channel(None);
        let run = Some(line.run.as_str().into());
        let sender = Sender { http, line, steps, release, leave, answer, sequence };
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
    matches!((new, old), (Event::Progress(_), Event::Progress(_)) | (Event::Seeding(_), Event::Seeding(_)))
}

struct Sender {
    http: reqwest::Client,
    line: ReportLine,
    steps: Steps,
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
pub(super) mod tests {
    use super::*;
    use ezio_contract::report::Progress;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    /// Reads one request, gives its body to the test, and answers as the test says.
    async fn serve(
        listener: TcpListener,
        bodies: mpsc::UnboundedSender<Report>,
        mut answers: Vec<&'static str>,
    ) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if let Some((key, value)) = line.split_once(':')
                    && key.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
            if answer.contains("200") {
                let _ = bodies.send(serde_json::from_slice(&body).unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const GO_ON: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{\"release\":false}";
    const RELEASE: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{\"release\":true}";

    const DONE: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 29\r\nConnection: close\r\n\r\n{\"release\":false,\"done\":true}";
    const LEAVE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 36\r\nConnection: close\r\n\r\n{\"release\":false,\"leave\":\"poweroff\"}";
    pub(in crate::run) const NOT_FOUND: &str =
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

    /// A reporter to a server that answers so, the last of all from then on; and what that server takes.
    pub(in crate::run) async fn reporter(
        answers: Vec<&'static str>,
    ) -> (Reporter, mpsc::UnboundedReceiver<Report>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/api/report", listener.local_addr().unwrap())).unwrap();
        let (bodies, received) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, bodies, answers));
        let paths = SystemPaths::below(std::path::Path::new("/"));
        let line = ReportLine::new(url, MachineId::default(), &paths);
        (Reporter::start(line, Steps::new(&paths)).unwrap(), received)
    }

    #[tokio::test]
    async fn in_order_until_accepted_and_release_is_heard() {
        let (reporter, mut received) = reporter(vec![BUSY, BUSY, GO_ON, GO_ON, RELEASE]).await;
        reporter.send(Event::FirstByte);
        for done_bytes in 1..=50 {
            reporter.send(Event::Progress(Progress { done_bytes, ..Progress::default() }));
        }
        reporter.send(Event::Done { end: "reboot".into() });
        assert_eq!(reporter.delivered(Duration::from_secs(20)).await, Delivery::Accepted);
        assert!(*reporter.released().borrow());
        let mut events = Vec::new();
        while let Ok(report) = received.try_recv() {
            assert_eq!(report.sequence, events.len() as u64);
            events.push(report.event);
        }
        assert_eq!(events.len(), 3, "overtaken progress is not sent: {events:?}");
        assert!(matches!(events[1], Event::Progress(Progress { done_bytes: 50, .. })));
        assert!(matches!(events[2], Event::Done { .. }));
    }

    #[tokio::test]
    async fn any_answer_may_end_the_run() {
        let (reporter, _received) = reporter(vec![GO_ON, LEAVE, GO_ON]).await;
        reporter.send(Event::FirstByte);
        reporter.delivered(Duration::from_secs(20)).await;
        assert!(timeout(Duration::ZERO, reporter.left()).await.is_err());
        reporter.send(Event::LastByte(Progress::default()));
        assert_eq!(timeout(Duration::from_secs(20), reporter.left()).await, Ok(Leave::PowerOff));
        assert!(timeout(Duration::ZERO, Reporter::silent().left()).await.is_err());
    }

    #[tokio::test]
    async fn the_first_answer_says_whether_the_machine_is_done() {
        let (done, _received) = reporter(vec![BUSY, DONE, GO_ON]).await;
        done.send(Event::FirstByte);
        assert!(done.says_done(Duration::from_secs(20)).await.unwrap());
        let (new, _received) = reporter(vec![GO_ON, DONE]).await;
        new.send(Event::FirstByte);
        new.send(Event::Done { end: "reboot".into() });
        new.delivered(Duration::from_secs(20)).await;
        assert!(!new.says_done(Duration::ZERO).await.unwrap(), "only the first answer counts");
        let (stranger, _received) = reporter(vec![NOT_FOUND]).await;
        stranger.send(Event::FirstByte);
        assert!(!stranger.says_done(Duration::from_secs(20)).await.unwrap());
        let (away, _received) = reporter(vec![BUSY]).await;
        away.send(Event::FirstByte);
        let error = away.says_done(Duration::from_millis(300)).await.unwrap_err().to_string();
        assert!(error.contains("is not known"), "{error}");
        assert!(!Reporter::silent().says_done(Duration::ZERO).await.unwrap());
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_waited_for_with_a_bound() {
        let (reporter, _received) = reporter(vec![BUSY]).await;
        reporter.send(Event::FirstByte);
        assert_eq!(reporter.delivered(Duration::from_millis(600)).await, Delivery::TimedOut);
        assert_eq!(Reporter::silent().delivered(Duration::from_secs(9)).await, Delivery::NoServer);
    }
}
