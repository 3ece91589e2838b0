//! HTTP: the page, the tree of names, tracker, reports and the view of the room. One kind of request a file, each given no more than
//! it needs.

mod accounts;
mod act;
mod body;
mod conf;
mod console;
mod deploy;
mod description;
mod drivers;
mod events;
mod files;
mod guard;
mod history;
mod identity;
mod lead;
mod listen;
mod login;
mod metrics;
mod overview;
mod page;
mod passing;
mod plan;
mod rates;
mod report;
mod seats;
mod short;
mod tracker;
mod wake;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::watch;

pub(crate) use conf::{ConfCheck, ConfView};
pub(crate) use deploy::{ScheduleList, ScheduleView};
pub(crate) use files::Files;
pub(crate) use history::HistoryView;
pub(crate) use identity::Identities;
pub(crate) use listen::{places, serve};
pub(crate) use metrics::Bounds;
pub(crate) use overview::Overview;
pub(crate) use passing::Passing;
pub(crate) use report::Reports;
pub(crate) use tracker::Announces;

use crate::access::Access;
use crate::schedule::Schedules;
use crate::wake::Waker;

/// Largest request body, in bytes: a report with a long error fits many times.
const MAX_BODY: usize = 64 << 10;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    /// By TLS.
    pub(crate) tls: bool,
}

/// A name as a route.
fn at(name: &str) -> String {
    format!("/{name}")
}

/// What people need beyond the view, to act.
pub(crate) struct Acting {
    pub(crate) access: Arc<Access>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) schedules: Arc<Schedules>,
}

/// Everything there is.
pub(crate) struct Routers {
    machines: Router,
    people: Router,
}

impl Routers {
    /// On one port.
    pub(crate) fn together(self) -> Router {
        self.people.merge(self.machines)
    }

    /// For machines, and for people whose port that is.
    pub(crate) fn apart(self, page_port: u16) -> (Router, Router) {
        (self.machines.merge(lead::router(page_port)), self.people)
    }
}

/// Makes them; what they send ends when `stop` turns true.
pub(crate) fn routers(
    files: Files,
    reports: Reports,
    identities: Identities,
    announces: Arc<Announces>,
    overview: Overview,
    acting: Acting,
    stop: watch::Receiver<bool>,
) -> Routers {
    let overview = Arc::new(overview);
    let people = people(&reports, &identities, &overview, &acting, stop);
    let machines = files::router(files)
        .merge(drivers::router(Arc::clone(&identities.conf)))
        .merge(report::router(reports))
        .merge(identity::router(identities))
        .merge(tracker::router(announces))
        .merge(metrics::router(metrics::Sources { overview, acting }));
    let bounded = |router: Router| router.layer(DefaultBodyLimit::max(MAX_BODY));
    Routers { machines: bounded(machines), people: bounded(people) }
}

/// What people and their programs call: each has to say who it is.
fn people(
    reports: &Reports,
    identities: &Identities,
    overview: &Arc<Overview>,
    acting: &Acting,
    stop: watch::Receiver<bool>,
) -> Router {
    let (throttle, Acting { access, waker, schedules }) = (&reports.throttle, acting);
    let who = act::Parts { fleet: Arc::clone(&overview.fleet), conf: Arc::clone(&identities.conf) };
    let orders = deploy::Orders {
        who: who.clone(),
        schedules: Arc::clone(schedules),
        catalogue: Arc::clone(&overview.catalogue),
    };
    let plans = Arc::new(plan::Plans {
        catalogue: Arc::clone(&overview.catalogue),
        conf: Arc::clone(&identities.conf),
        fleet: Arc::clone(&overview.fleet),
    });
    let logins = login::Logins { access: Arc::clone(access), throttle: Arc::clone(throttle) };
    page::routes()
        .merge(login::routes(logins))
        .merge(accounts::routes(Arc::clone(access)))
        .merge(act::routes(who.clone()))
        .merge(wake::routes(who.clone(), Arc::clone(waker)))
        .merge(deploy::routes(orders))
        .merge(history::routes(Arc::clone(&overview.fleet)))
        .merge(description::routes())
        .merge(console::routes(who))
        .merge(short::routes(Arc::clone(&overview.fleet)))
        .merge(conf::routes(Arc::clone(&plans)))
        .merge(plan::routes(plans))
        .merge(overview::routes(Arc::clone(overview)))
        .merge(rates::routes(Arc::clone(overview)))
        .merge(seats::routes(Arc::clone(&overview.seats)))
        .merge(events::routes(Arc::clone(overview), stop))
        .guarded(access, throttle)
}

fn text(media_type: &'static str, body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-store")], body.into()).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}
