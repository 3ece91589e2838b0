//! Metrics in Prometheus' text format (version 0.0.4): figures, and nobody's name. All sets of labels are bounded.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use ezio_contract::urls;
use ezio_netproto::places::Places;

use super::overview::Overview;
use super::{Acting, at, text};
use crate::fleet::State as MachineState;

/// What the figures are of.
pub(super) struct Sources {
    pub(super) overview: Arc<Overview>,
    pub(super) acting: Acting,
}

/// Bounds on connections, each by the name of its service.
pub(crate) type Bounds = Vec<(&'static str, Arc<Places>)>;

pub(super) fn router(sources: Sources) -> Router {
    Router::new().route(&at(urls::METRICS), get(prometheus)).with_state(Arc::new(sources))
}

/// Figures for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "room",
    responses((status = 200, description = "Text format 0.0.4", content_type = "text/plain", body = String)))]
pub(super) async fn prometheus(State(sources): State<Arc<Sources>>) -> Response {
    let mut out = Text::default();
    sources.overview.room(&mut out);
    sources.overview.services(&mut out);
    sources.acting.orders(&mut out);
    sources.acting.access(&mut out);
    text("text/plain; version=0.0.4", out.0)
}

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str, values: &[(String, u64)]) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP ezio_{name} {help}\n# TYPE ezio_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "ezio_{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "gauge", help, &[(String::new(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "counter", help, &[(String::new(), value)]);
    }
}

/// Values by one label.
fn by<'a>(label: &str, values: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<(String, u64)> {
    values.into_iter().map(|(name, value)| (format!("{{{label}=\"{name}\"}}"), value)).collect()
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Overview {
    /// The machines, and what became of their runs.
    fn room(&self, out: &mut Text) {
        let (machines, counts) = self.fleet.view();
        let states = [
            ("done", counts.done),
            ("working", counts.working),
            ("failed", counts.failed),
            ("silent", counts.silent),
            ("waiting", counts.waiting),
        ];
        let states = by("state", states.map(|(state, count)| (state, count as u64)));
        out.metric("machines", "gauge", "Machines by what they are doing.", &states);
        let waits = machines.iter().filter(|m| m.state == MachineState::Waiting && !m.held).count();
        let help = "Machines that wait for an operator's word.";
        out.gauge("machines_awaiting_approval", help, waits as u64);
        let failing = machines.iter().flat_map(|m| &m.inventory).filter(|disk| disk.complaint().is_some());
        let help = "Disks that say that they are failing, as machines saw them last.";
        out.gauge("disks_failing", help, failing.count() as u64);
        let orders = machines.iter().filter(|m| m.order.is_some()).count();
        out.gauge("orders", "Machines with an order that has not been carried out.", orders as u64);
        let deployments = machines.iter().map(|m| m.deployments).sum();
        out.counter("deployments_total", "Good runs of all known machines.", deployments);
        let tally = self.fleet.tally();
        let help = "Runs that have ended since the server started, by how.";
        out.metric("runs_ended_total", "counter", help, &by("outcome", tally.outcomes));
        let help = "Runs that have failed since the server started, by the step that did.";
        out.metric("run_failures_total", "counter", help, &by("cause", tally.causes));
        let received = machines.iter().map(|m| m.progress.from_peers_bytes).sum();
        let help = "Payload that machines got from each other in their last run.";
        out.gauge("machines_from_peers_bytes", help, received);
        let hooks = self.hooks.counters();
        let told = [("delivered", count(&hooks.delivered)), ("failed", count(&hooks.failed))];
        let help = "Messages to web hooks, one for each address, that were delivered or given up.";
        out.metric("hook_messages_total", "counter", help, &by("result", told));
        let help = "Messages to web hooks that wait to be delivered.";
        out.gauge("hook_messages_waiting", help, self.hooks.waiting());
    }

    /// What the server gives, and to how many.
    fn services(&self, out: &mut Text) {
        let version = by("version", [(env!("CARGO_PKG_VERSION"), 1)]);
        out.metric("build_info", "gauge", "The server's version, as a label; always 1.", &version);
        let seeder = *self.seeder.borrow();
        out.counter(
            "seeder_sent_bytes_total",
            "Payload that the server's seeder has sent.",
            seeder.sent_bytes,
        );
        out.gauge("seeder_up_bytes_per_second", "Rate of the server's seeder.", seeder.up_bytes_per_s);
        out.gauge("seeder_peers", "Peers connected to the server's seeder.", seeder.peers.into());
        let scrapes = self.announces.tracker().scrape(&[], Instant::now());
        let peers = scrapes.iter().map(|s| (s.complete + s.incomplete - 1) as u64).sum();
        out.gauge("tracker_peers", "Peers that the tracker knows, over all torrents.", peers);
        out.counter("tftp_files_total", "Files sent by TFTP.", count(&self.tftp.sent_files));
        out.counter("tftp_bytes_total", "Bytes of files sent by TFTP.", count(&self.tftp.sent_bytes));
        out.counter("tftp_failures_total", "TFTP transfers that failed.", count(&self.tftp.failed));
        let bounds: Vec<_> =
            self.bounds.iter().map(|(service, places)| (*service, places.counts())).collect();
        let open = by("service", bounds.iter().map(|(service, counts)| (*service, counts.taken as u64)));
        out.metric("connections", "gauge", "Open connections, and transfers of TFTP.", &open);
        let refused = by("service", bounds.iter().map(|(service, counts)| (*service, counts.refused)));
        let help =
            "Connections that were closed at once: all places were taken, and their address had its share.";
        out.metric("connections_refused_total", "counter", help, &refused);
        let lost = by("service", bounds.iter().map(|(service, counts)| (*service, counts.lost)));
        let help = "Connections that gave way to those of addresses with fewer.";
        out.metric("connections_displaced_total", "counter", help, &lost);
    }
}

impl Acting {
    /// What is to come, and who was called for it.
    fn orders(&self, out: &mut Text) {
        let schedules = self.schedules.all();
        out.gauge("schedules", "Deployments that are kept for later.", schedules.len() as u64);
        // Before 1970 nothing is scheduled.
        let next = schedules.iter().filter_map(|s| s.next()).reduce(f64::min);
        let next: Vec<_> = next.map(|next| (String::new(), next as u64)).into_iter().collect();
        let help = "When the next schedule is carried out, in seconds since 1970.";
        out.metric("schedule_next_timestamp_seconds", "gauge", help, &next);
        let counters = self.schedules.counters();
        let due = [("carried_out", count(&counters.carried_out)), ("left_out", count(&counters.left_out))];
        let help = "Schedules that were due, and carried out or left out, for they were too late.";
        out.metric("schedules_due_total", "counter", help, &by("result", due));
        let calls = self.waker.counters();
        let calls = [("sent", count(&calls.sent)), ("failed", count(&calls.failed))];
        let help = "Machines that were called to wake, or could not be.";
        out.metric("wake_calls_total", "counter", help, &by("result", calls));
    }

    /// Who came in, and who did not.
    fn access(&self, out: &mut Text) {
        let logins = self.access.logins();
        let logins = [
            ("good", count(&logins.good)),
            ("wrong", count(&logins.wrong)),
            ("refused", count(&logins.refused)),
        ];
        let help = "Logins: good, with a wrong name or password, or refused after too many of those.";
        out.metric("logins_total", "counter", help, &by("result", logins));
    }
}
