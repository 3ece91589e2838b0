use super::*;
use ezio_contract::report::Progress;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Reads one request, gives its body to the test, and answers as the test says.
async fn serve(listener: TcpListener, bodies: mpsc::UnboundedSender<Report>, mut answers: Vec<&'static str>) {
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
const GO_ON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{\"release\":false}";
const RELEASE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{\"release\":true}";

const DONE: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 29\r\nConnection: close\r\n\r\n{\"release\":false,\"done\":true}";
const LEAVE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 36\r\nConnection: close\r\n\r\n{\"release\":false,\"leave\":\"poweroff\"}";
pub(in crate::run) const NOT_FOUND: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A reporter to a server that answers so, the last of all from then on; and what that server takes.
pub(in crate::run) async fn reporter(
    answers: Vec<&'static str>,
) -> (Reporter, mpsc::UnboundedReceiver<Report>) {
    reporter_with(answers, None).await
}

async fn reporter_with(
    answers: Vec<&'static str>,
    console: Option<History>,
) -> (Reporter, mpsc::UnboundedReceiver<Report>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/api/report", listener.local_addr().unwrap())).unwrap();
    let (bodies, received) = mpsc::unbounded_channel();
    tokio::spawn(serve(listener, bodies, answers));
    let paths = SystemPaths::below(std::path::Path::new("/"));
    let line = ReportLine::new(url, MachineId::default(), &paths);
    (Reporter::start(line, Steps::new(&paths), console).unwrap(), received)
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
async fn the_console_is_the_next_report_once_it_is_asked_for() {
    const ASKED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 32\r\nConnection: close\r\n\r\n{\"release\":false,\"console\":true}";
    let folder = tempfile::tempdir().unwrap();
    let history = History::in_file(folder.path().join("log"));
    history.add("disk: clearing");
    let (reporter, mut received) = reporter_with(vec![ASKED, GO_ON], Some(history)).await;
    reporter.send(Event::FirstByte);
    reporter.send(Event::Done { end: "reboot".into() });
    assert_eq!(reporter.delivered(Duration::from_secs(20)).await, Delivery::Accepted);
    let events: Vec<_> =
        std::iter::from_fn(|| received.try_recv().ok()).map(|r| (r.sequence, r.event)).collect();
    let [(0, Event::FirstByte), (1, Event::Console { console }), (2, Event::Done { .. })] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert!(console[0].ends_with("disk: clearing"), "{console:?}");
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
