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

#[tokio::test]
async fn what_is_left_at_the_end_is_said() {
    let image = Image::make("golden");
    let hook = format!("http://{}/secret", closed());
    let server = Server::start(&image, &["--hook", &hook]);
    send(&server, &report("bad", 0, failed())).await;
    let log = server.wait_for_log("try 2 of 10 failed");
    assert!(log.contains("connecting") && !log.contains("secret"), "{log}");
    server.stop_saying("1 messages were not delivered");
}

#[test]
fn what_is_wrong_with_hooks_is_said_at_the_start() {
    let image = Image::make("golden");
    assert!(Server::fails(&image, &["--hook", "h.example"]).contains("--hook"));
    assert!(Server::fails(&image, &["--hook-secret", "/dev/null"]).contains("goes with --hook"));
    let empty = Server::fails(&image, &["--hook", "http://h.example/", "--hook-secret", "/dev/null"]);
    assert!(empty.contains("/dev/null is empty"), "{empty}");
}
