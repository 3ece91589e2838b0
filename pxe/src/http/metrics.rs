//! Metrics in Prometheus' text format (version 0.0.4).

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::overview::Overview;

pub(super) fn render(overview: &Overview) -> String {
    let view = overview.view();
    let mut out = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP ezio_{name} {help}\n# TYPE ezio_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(out, "ezio_{name}{labels} {value}");
        }
    };
    let plain = |value: u64| [(String::new(), value)];
    let counts = view.counts;
    let states = [
        ("done", counts.done),
        ("working", counts.working),
        ("failed", counts.failed),
        ("silent", counts.silent),
        ("waiting", counts.waiting),
    ]
    .map(|(state, count)| (format!("{{state=\"{state}\"}}"), count as u64));
    metric("machines", "gauge", "Machines by what they are doing.", &states);
    let deployments = view.machines.iter().map(|m| m.deployments).sum();
    metric("deployments_total", "counter", "Good runs of all known machines.", &plain(deployments));
    let received = view.machines.iter().map(|m| m.progress.from_peers_bytes).sum();
    metric(
        "machines_from_peers_bytes",
        "gauge",
        "Payload that machines got from each other in their last run.",
        &plain(received),
    );
    metric(
        "seeder_sent_bytes_total",
        "counter",
        "Payload that the server's seeder has sent.",
        &plain(view.seeder.sent_bytes),
    );
    metric(
        "seeder_up_bytes_per_second",
        "gauge",
        "Rate of the server's seeder.",
        &plain(view.seeder.up_bytes_per_s),
    );
    metric(
        "seeder_peers",
        "gauge",
        "Peers connected to the server's seeder.",
        &plain(view.seeder.peers.into()),
    );
    let scrapes = overview.announces.tracker().scrape(&[], Instant::now());
    let peers = scrapes.iter().map(|s| (s.complete + s.incomplete - 1) as u64).sum();
    metric("tracker_peers", "gauge", "Peers that the tracker knows, over all torrents.", &plain(peers));
    let count = |counter: &std::sync::atomic::AtomicU64| plain(counter.load(Ordering::Relaxed));
    metric("tftp_files_total", "counter", "Files sent by TFTP.", &count(&overview.tftp.sent_files));
    metric("tftp_bytes_total", "counter", "Bytes of files sent by TFTP.", &count(&overview.tftp.sent_bytes));
    metric("tftp_failures_total", "counter", "TFTP transfers that failed.", &count(&overview.tftp.failed));
    out
}
