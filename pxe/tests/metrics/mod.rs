//! What Prometheus reads, and the dashboard that shows it: each is held against the other.

use std::collections::{BTreeMap, BTreeSet};

use ezio_contract::health::Health;
use ezio_contract::inventory::InventoryDisk;
use ezio_contract::report::Event;
use serde_json::Value;

use crate::room::{Image, Server};
use crate::{MAC, report, send, text};

/// A sample: its labels, and its value.
type Sample = (BTreeMap<String, String>, f64);

/// Metrics by their names, each with its type.
struct Metrics(BTreeMap<String, (String, Vec<Sample>)>);

impl Metrics {
    /// Reads version 0.0.4 of the text format, and holds it against what Prometheus asks of names.
    fn read(text: &str) -> Self {
        let mut metrics: BTreeMap<String, (String, Vec<Sample>)> = BTreeMap::new();
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(helped.insert(name.to_owned()) && help.ends_with('.'), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(helped.contains(name), "{name} has no help");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(
                    metrics.insert(name.to_owned(), (kind.to_owned(), Vec::new())).is_none(),
                    "{name} twice"
                );
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
                let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
                let labels = labels.map(|label| label.split_once('=').unwrap());
                let labels =
                    labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
                metrics.get_mut(name).unwrap().1.push((labels.collect(), value.parse().unwrap()));
            }
        }
        Self(metrics)
    }

    /// The one with this label, or the only one.
    fn value(&self, name: &str, label: &str) -> f64 {
        let samples = &self.0[name].1;
        let mut fits = samples.iter().filter(|(labels, _)| {
            if label.is_empty() { labels.is_empty() } else { labels.values().any(|value| value == label) }
        });
        fits.next().unwrap_or_else(|| panic!("{name} {label}")).1
    }
}

async fn read(server: &Server) -> Metrics {
    Metrics::read(&text(server, "/metrics").await)
}

/// Names like `ezio_machines` in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("ezio_")).map(str::to_owned).collect()
}

/// Labels that an expression or a legend names: `{{cause}}`, `by (cause)`, `{state="done"}`.
fn labels(target: &Value) -> BTreeSet<String> {
    let (expression, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
    let mut labels = BTreeSet::new();
    for (text, begin, end) in [(legend, "{{", "}}"), (expression, "by (", ")"), (expression, "{", "=")] {
        labels.extend(text.split(begin).skip(1).filter_map(|rest| rest.split(end).next()).map(str::to_owned));
    }
    labels
}

#[tokio::test]
async fn the_dashboard_shows_what_there_is_and_all_of_it() {
    let image = Image::make("golden");
    let server = Server::start(&image, &["--tftp-port", "0"]);
    let far = ["schedule", "add", "all", "--schedule", "0 3 * * *", "--yes"];
    server.command(&far);
    let metrics = read(&server).await;
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../config-examples/grafana-dashboard.json")).unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            for name in names(target["expr"].as_str().unwrap()) {
                let (_, samples) = metrics.0.get(&name).unwrap_or_else(|| panic!("{name}: {target}"));
                for label in labels(target) {
                    assert!(samples.iter().all(|(labels, _)| labels.contains_key(&label)), "{name}: {label}");
                }
                shown.insert(name);
            }
        }
    }
    // A label alone, and what the counts of runs say better.
    shown.extend(["ezio_build_info".to_owned(), "ezio_deployments_total".to_owned()]);
    assert_eq!(shown, metrics.0.keys().cloned().collect());
    let services: BTreeSet<&str> =
        metrics.0["ezio_connections"].1.iter().map(|(labels, _)| labels["service"].as_str()).collect();
    assert_eq!(services, BTreeSet::from(["http", "https", "seeder", "tftp"]));
    let tomorrow = metrics.value("ezio_schedule_next_timestamp_seconds", "") - server.now();
    assert!((0.0..=25.0 * 3600.0).contains(&tomorrow), "{tomorrow}");
}

#[tokio::test]
async fn figures_follow_what_happens() {
    let image = Image::make("golden");
    let hook = "http://127.0.0.1:9/";
    let server = Server::start(&image, &["--hook", hook, "--wake-port", "9"]);
    server.told(&["user", "add", "anna", "--role", "viewer"], "a long password\n");
    let failed = |step: &str| {
        let (step, error, next) = (step.to_owned(), "e".to_owned(), "reboot".to_owned());
        Event::Failed { step, error, next, console: Vec::new() }
    };
    send(&server, &report("a", 0, failed("choose disk"))).await;
    send(&server, &report("b", 0, failed("\"}\nezio_made_up 1"))).await;
    let failing = Health { failing: vec!["1 sector waits for reallocation".into()], ..Health::default() };
    let disk = |health| InventoryDisk { health, ..InventoryDisk::default() };
    let disks = vec![disk(None), disk(Some(Health::default())), disk(Some(failing))];
    send(&server, &report("c", 0, Event::Inventory { disks, cards: Vec::new(), computer: None })).await;
    send(&server, &report("c", 1, Event::FirstByte)).await;
    send(&server, &report("d", 0, Event::Done { end: "reboot".into() })).await;
    server.command(&["deploy", MAC, "--wake", "--yes"]);
    for password in ["a wrong password", "a long password"] {
        let body = serde_json::json!({ "name": "anna", "password": password });
        let client = reqwest::Client::new().post(format!("{}/api/login", server.people)).json(&body);
        client.send().await.unwrap();
    }
    let metrics = read(&server).await;
    for (name, label, value) in [
        ("ezio_runs_ended_total", "failed", 2.0),
        ("ezio_runs_ended_total", "lost", 1.0),
        ("ezio_runs_ended_total", "done", 1.0),
        ("ezio_run_failures_total", "choose disk", 1.0),
        ("ezio_run_failures_total", "other", 1.0),
        ("ezio_orders", "", 1.0),
        ("ezio_wake_calls_total", "sent", 1.0),
        ("ezio_hook_messages_total", "delivered", 0.0),
        ("ezio_hook_messages_waiting", "", 4.0),
        ("ezio_logins_total", "wrong", 1.0),
        ("ezio_logins_total", "good", 1.0),
        ("ezio_machines_awaiting_approval", "", 0.0),
        ("ezio_disks_failing", "", 1.0),
        ("ezio_schedules", "", 0.0),
    ] {
        assert_eq!(metrics.value(name, label), value, "{name} {label}");
    }
    assert!(metrics.value("ezio_connections", "http") >= 1.0);
}
