//! Web hooks, as receivers know them: told of each run that ends, signed, tried again while they are down or hang; and nobody waits.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ezio_contract::report::Event;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::room::{Image, Server};
use crate::{report, send};

const BOUND: Duration = Duration::from_secs(30);

type Told = mpsc::UnboundedReceiver<(HeaderMap, String)>;

/// A web server at this address that takes what it is told; the first `refused` it answers with an error.
fn receiver(address: SocketAddr, refused: usize) -> Told {
    let (send, told) = mpsc::unbounded_channel();
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(refused));
    let take = async move |State(send): State<mpsc::UnboundedSender<_>>, headers: HeaderMap, body: String| {
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        if left.fetch_update(relaxed, relaxed, |left| left.checked_sub(1)).is_ok() {
            return StatusCode::BAD_GATEWAY;
        }
        send.send((headers, body)).unwrap();
        StatusCode::NO_CONTENT
    };
    let router = Router::new().route("/told", post(take)).with_state(send);
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    told
}

async fn next(told: &mut Told) -> (HeaderMap, String) {
    tokio::time::timeout(BOUND, told.recv()).await.expect("nobody is told").unwrap()
}

/// An address where nobody listens.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn failed() -> Event {
    let (step, error, next) = ("write".to_owned(), "no \"space\"".to_owned(), "reboot".to_owned());
    Event::Failed { step, error, next, console: Vec::new() }
}

/// What openssl makes of it.
fn hmac(secret: &str, body: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, body).unwrap();
    let mut openssl = std::process::Command::new("openssl");
    let output = openssl.args(["dgst", "-sha256", "-r", "-hmac", secret]).arg(&file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn each_end_of_a_run_is_told_once_and_signed() {
    let (first, second) = (closed(), closed());
    let (mut told, mut also) = (receiver(first, 1), receiver(second, 0));
    let image = Image::make("golden");
    let secret = image.folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let hooks = [format!("http://{first}/told"), format!("http://{second}/told")];
    let secret = secret.to_str().unwrap();
    let server = Server::start(&image, &["--hook", &hooks[0], "--hook", &hooks[1], "--hook-secret", secret]);
    send(&server, &report("bad", 0, failed())).await;
    send(&server, &report("bad", 0, failed())).await;
    send(&server, &report("good", 0, Event::Done { end: "reboot".into() })).await;
    for told in [&mut told, &mut also] {
        let (headers, body) = next(told).await;
        assert_eq!(headers["x-hub-signature-256"], format!("sha256={}", hmac("s3cret", &body)));
        assert_eq!(headers["content-type"], "application/json");
        let message: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (message["event"].as_str(), message["deployment"]["number"].as_u64()),
            (Some("failed"), Some(1))
        );
        let text = message["text"].as_str().unwrap();
        assert!(text.starts_with("S1: failed (no image yet, 0 s): write: no \"space\""), "{text}");
        let second: Value = serde_json::from_str(&next(told).await.1).unwrap();
        assert_eq!(
            (second["event"].as_str(), second["deployment"]["run"].as_str()),
            (Some("done"), Some("good"))
        );
        assert!(told.is_empty());
    }
    server.wait_for_log("it answers 502");
}

#[tokio::test]
async fn who_is_down_is_told_when_it_is_back_and_nobody_waits_for_who_hangs() {
    let (down, hangs) = (closed(), TcpListener::bind("127.0.0.1:0").unwrap());
    let image = Image::make("golden");
    let hooks = [format!("http://{down}/told"), format!("http://{}/told", hangs.local_addr().unwrap())];
    let server = Server::start(&image, &["--hook", &hooks[0], "--hook", &hooks[1]]);
    let began = Instant::now();
    send(&server, &report("bad", 0, failed())).await;
    assert!(began.elapsed() < Duration::from_secs(5), "the machine waited");
    server.wait_for_log("try 1 of 10 failed");
    let (headers, body) = next(&mut receiver(down, 0)).await;
    assert!(body.contains("\"run\":\"bad\"") && !headers.contains_key("x-hub-signature-256"), "{body}");
    server.wait_for_log("no answer within 10 s");
    // Its place in the queue is kept: it is told once it answers.
    let address = hangs.local_addr().unwrap();
    drop(hangs);
    let mut back = receiver(address, 0);
    assert!(next(&mut back).await.1.contains("\"run\":\"bad\""));
    send(&server, &report("worse", 0, failed())).await;
    assert!(next(&mut back).await.1.contains("\"run\":\"worse\""));
}

/// Numbers of the runs that somebody is told of, in their order, up to this one.
async fn up_to(told: &mut Told, last: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let message: Value = serde_json::from_str(&next(told).await.1).unwrap();
        numbers.push(message["deployment"]["number"].as_u64().unwrap());
    }
    numbers
}

#[tokio::test]
async fn what_waits_outlives_kill_9_and_restarts_in_its_order() {
    let (image, state) = (Image::make("golden"), tempfile::tempdir().unwrap());
    let (slow, good) = (closed(), closed());
    let hooks = [slow, good].map(|address| format!("http://{address}/told"));
    let args = ["--state", state.path().to_str().unwrap(), "--hook", &hooks[0], "--hook", &hooks[1]];
    let mut also = receiver(good, 0);
    let server = Server::start(&image, &args);
    for run in ["a", "b", "c"] {
        send(&server, &report(run, 0, failed())).await;
    }
    assert_eq!(up_to(&mut also, 3).await, [1, 2, 3]);
    let log = server.wait_for_log("try 2 of 10 failed");
    assert!(log.contains("connecting") && !log.contains("told\""), "{log}");
    // kill -9.
    drop(server);
    let server = Server::start(&image, &args);
    server.wait_for_log("try 1 of 10 failed");
    send(&server, &report("d", 0, failed())).await;
    assert_eq!(next(&mut also).await.1.matches("\"number\":4").count(), 1, "1 to 3 are told once");
    server.stop_saying("4 messages wait, and are delivered after the next start");
    let server = Server::start(&image, &args);
    let mut told = receiver(slow, 0);
    assert_eq!(up_to(&mut told, 4).await, [1, 2, 3, 4]);
    assert_eq!(server.command(&["history"]).lines().count(), 4);
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_tells_of_each_run() {
    let (image, state) = (Image::make("golden"), tempfile::tempdir().unwrap());
    let address = closed();
    let hook = format!("http://{address}/told");
    let args = ["--state", state.path().to_str().unwrap(), "--hook", &hook];
    let mut told = receiver(address, 0);
    for round in 0..5 {
        let server = Server::start(&image, &args);
        for run in 0..4 {
            // The answer to the report is the promise; what is being told then is cut.
            send(&server, &report(&format!("{round}-{run}"), 0, failed())).await;
        }
        drop(server);
    }
    let _server = Server::start(&image, &args);
    let mut numbers = up_to(&mut told, 20).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    numbers.dedup();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_is_new_is_told_of_what_is_to_come_alone() {
    let (image, state) = (Image::make("golden"), tempfile::tempdir().unwrap());
    let address = closed();
    let hook = format!("http://{address}/told");
    let without = ["--state", state.path().to_str().unwrap()];
    let with = [&without[..], &["--hook", &hook]].concat();
    let run = async |server: &Server, run: &str| send(server, &report(run, 0, failed())).await;
    let server = Server::start(&image, &without);
    run(&server, "a").await;
    server.stop();
    let server = Server::start(&image, &with);
    run(&server, "b").await;
    drop(server);
    // Nobody is told any more, and what waits is let go.
    let server = Server::start(&image, &without);
    run(&server, "c").await;
    server.stop();
    let mut told = receiver(address, 0);
    let server = Server::start(&image, &with);
    run(&server, "d").await;
    assert_eq!(up_to(&mut told, 4).await, [4]);
}

#[test]
fn what_is_wrong_with_hooks_is_said_at_the_start() {
    let image = Image::make("golden");
    assert!(Server::fails(&image, &["--hook", "h.example"]).contains("--hook"));
    assert!(Server::fails(&image, &["--hook-secret", "/dev/null"]).contains("goes with --hook"));
    let empty = Server::fails(&image, &["--hook", "http://h.example/", "--hook-secret", "/dev/null"]);
    assert!(empty.contains("/dev/null is empty"), "{empty}");
}
