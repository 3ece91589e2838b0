//! The page as the built program serves it, and the events that it lives from.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::room::{Image, Server};

/// Longest wait for an event that has to come.
const BOUND: Duration = Duration::from_secs(30);
/// What the page may weigh under gzip, in bytes.
const MAX_PAGE: usize = 200 << 10;

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Names of the page's parts, as index.html has them.
fn parts(html: &str) -> Vec<&str> {
    html.split('"').filter_map(|text| text.strip_prefix("./")).collect()
}

fn gzipped(bytes: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

#[tokio::test]
async fn the_page_is_small_and_loads_nothing_from_elsewhere() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let answer = reqwest::get(&server.people).await.unwrap();
    let policy = header(&answer, "content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(header(&answer, "cache-control"), "no-cache");
    let html = answer.text().await.unwrap();
    let mut size = gzipped(html.as_bytes());
    let parts = parts(&html);
    for kind in [".js", ".css", ".svg"] {
        assert!(parts.iter().any(|part| part.ends_with(kind)), "{html}");
    }
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    for part in parts {
        let answer = reqwest::get(format!("{}/{part}", server.people)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{part}");
        assert_eq!(header(&answer, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        size += gzipped(&answer.bytes().await.unwrap());
    }
    println!("the page is {size} bytes under gzip");
    assert!(size <= MAX_PAGE, "{size}");
    let missing = reqwest::get(format!("{}/page/index-00000000.js", server.people)).await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

/// A viewer's connection.
struct Viewer {
    answer: Response,
    read: String,
}

impl Viewer {
    async fn join(server: &Server, seen: Option<&str>) -> Self {
        let mut request = server.client(None).get(format!("{}/api/events", server.people));
        if let Some(seen) = seen {
            request = request.header("Last-Event-ID", seen);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(header(&answer, "content-type"), "text/event-stream");
        Self { answer, read: String::new() }
    }

    /// The next event: its kind, its id and its data; none at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let data = serde_json::from_str(line("data:").unwrap()).unwrap();
                let (kind, id) =
                    (line("event:").unwrap().to_owned(), line("id:").unwrap_or_default().to_owned());
                self.read = rest.to_owned();
                return Some((kind, id, data));
            }
            let chunk = tokio::time::timeout(BOUND, self.answer.chunk()).await.unwrap().unwrap()?;
            self.read += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The next change of what this JSON pointer names.
    async fn change_of(&mut self, what: &str) -> Value {
        loop {
            let (kind, _, mut data) = self.next().await.unwrap();
            assert_eq!(kind, "change");
            let change = data.pointer_mut(what).map(Value::take).unwrap_or_default();
            if !change.is_null() {
                return change;
            }
        }
    }
}

async fn report(server: &Server, sequence: u64, event: Value) {
    let mut report = json!({ "format": 4, "machine": { "serial": "S1", "macs": [] }, "run": "r", "sequence": sequence, "uptime_s": 1.0 });
    report.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
    let answer =
        reqwest::Client::new().post(format!("{}/api/report", server.base)).json(&report).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn seats_are_kept_and_shown() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let args = ["--state", state.path().to_str().unwrap()];
    let server = Server::start(&image, &args);
    let address = format!("{}/api/seats", server.people);
    let client = server.client(None);
    let patch = |body: &'static str| client.patch(&address).body(body);
    let json = |body| patch(body).header("Content-Type", "application/json");
    let status = |request: reqwest::RequestBuilder| async { request.send().await.unwrap().status() };
    let mut viewer = Viewer::join(&server, None).await;
    assert_eq!(viewer.next().await.unwrap().2["seats"], json!({}));
    assert_eq!(status(json(r#"{"S1": [3, 0], "S2": [4, 0], "S3": [5, 1]}"#)).await, StatusCode::NO_CONTENT);
    assert_eq!(viewer.change_of("/seats").await, json!({ "S1": [3, 0], "S2": [4, 0], "S3": [5, 1] }));
    assert_eq!(status(json(r#"{"S1": null, "S2": [9, 9]}"#)).await, StatusCode::NO_CONTENT);
    assert_eq!(viewer.change_of("/seats").await, json!({ "S1": null, "S2": [9, 9] }));
    for nonsense in [r#"{"S1": [3]}"#, r#"{"S1": [300, 0]}"#, "[]", ""] {
        assert_eq!(status(json(nonsense)).await, StatusCode::BAD_REQUEST, "{nonsense}");
    }
    assert_eq!(status(json(r#"{"": [1, 1]}"#)).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(status(patch(r#"{"S1": [1, 1]}"#)).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    drop(viewer);
    server.stop();
    let server = Server::start(&image, &args);
    let whole = Viewer::join(&server, None).await.next().await.unwrap().2;
    assert_eq!(whole["seats"], json!({ "S2": [9, 9], "S3": [5, 1] }));
}

#[tokio::test]
async fn rates_are_kept_for_who_comes_late() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let mut viewer = Viewer::join(&server, None).await;
    assert_eq!(viewer.next().await.unwrap().2["rates"]["samples"], json!({}));
    let progress = json!({
        "event": "progress", "done_bytes": 10, "total_bytes": 1000, "down_bytes_per_s": 100, "up_bytes_per_s": 5,
        "from_server_bytes": 10, "from_peers_bytes": 0, "sent_bytes": 0, "peers": 1
    });
    report(&server, 0, progress).await;
    assert_eq!(viewer.change_of("/rates/samples/0").await, json!([100, 0, 1]));
    let late = Viewer::join(&server, None).await.next().await.unwrap().2;
    assert_eq!(late["rates"]["samples"]["0"], json!([100, 0, 1]));
    let ask = async |name: &str| {
        let answer =
            server.client(None).get(format!("{}/api/rates/{name}", server.people)).send().await.unwrap();
        (answer.status(), serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap_or_default())
    };
    let (status, rates) = ask("S1").await;
    assert_eq!((status, &rates["samples"]["0"]), (StatusCode::OK, &json!([100, 5])));
    let (_, later) = ask("S1?after=1e12").await;
    assert_eq!((&later["since"], &later["samples"]), (&rates["since"], &json!({})));
    assert_eq!(ask("nobody").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_viewer_gets_the_room_then_what_changes_and_an_end_with_the_server() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let started = json!({ "event": "started", "version": "1", "firmware": "bios", "address": "10.0.0.9" });
    report(&server, 0, started).await;
    let mut viewer = Viewer::join(&server, None).await;
    let (kind, first, whole) = viewer.next().await.unwrap();
    assert_eq!(kind, "room");
    assert_eq!(whole["machines"]["S1"]["state"], "started");
    assert_eq!(whole["images"][0]["partitions"][0]["payload_bytes"], 300 << 10);
    report(&server, 1, json!({ "event": "first-byte" })).await;
    let change = viewer.change_of("/machines/S1").await;
    assert_eq!(change["state"], "working");
    assert!(change.get("machine").is_none(), "what has not changed does not travel: {change}");
    drop(viewer);
    // Who comes back hears what it missed, not the whole.
    let mut viewer = Viewer::join(&server, Some(&first)).await;
    assert_eq!(viewer.change_of("/machines/S1").await["state"], "working");
    let stopped = tokio::task::spawn_blocking(move || {
        let since = std::time::Instant::now();
        server.stop();
        since.elapsed()
    });
    while viewer.next().await.is_some() {}
    assert!(stopped.await.unwrap() < Duration::from_secs(3), "a viewer does not hold up the end");
}
