//! HTTP: the page, the tree of names, tracker, reports and the view of the room. One kind of request a file, each given no more than
//! it needs.

mod description;
mod drivers;
mod events;
mod files;
mod history;
mod identity;
mod listen;
mod metrics;
mod overview;
mod page;
mod plan;
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

pub(crate) use files::Files;
pub(crate) use history::HistoryView;
pub(crate) use identity::Identities;
pub(crate) use listen::serve;
pub(crate) use overview::Overview;
pub(crate) use report::Reports;
pub(crate) use tracker::Announces;

/// Largest request body, in bytes: a report with a long error fits many times.
const MAX_BODY: usize = 64 << 10;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl Peer {
    /// Is it a program on this very machine?
    fn is_here(&self) -> bool {
        let remote = self.remote.ip().to_canonical();
        remote.is_loopback() || remote == self.local.ip().to_canonical()
    }
}

/// A name as a route.
fn at(name: &str) -> String {
    format!("/{name}")
}

/// Everything there is, until `stop` turns true.
pub(crate) fn router(
    files: Files,
    reports: Reports,
    identities: Identities,
    announces: Arc<Announces>,
    overview: Overview,
    stop: watch::Receiver<bool>,
) -> Router {
    let plans = plan::Plans {
        catalogue: Arc::clone(&overview.catalogue),
        conf: Arc::clone(&identities.conf),
        fleet: Arc::clone(&overview.fleet),
    };
    let (overview, reports) = (Arc::new(overview), Arc::new(reports));
    files::router(files)
        .merge(page::router())
        .merge(description::router())
        .merge(plan::router(plans))
        .merge(drivers::router(Arc::clone(&identities.conf)))
        .merge(report::router(Arc::clone(&reports)))
        .merge(wake::router(Arc::clone(&reports)))
        .merge(history::router(Arc::clone(&reports.fleet)))
        .merge(identity::router(identities))
        .merge(tracker::router(announces))
        .merge(overview::router(Arc::clone(&overview)))
        .merge(short::router(Arc::clone(&overview.fleet)))
        .merge(seats::router(Arc::clone(&overview.seats)))
        .merge(events::router(overview, stop))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

fn text(media_type: &'static str, body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-store")], body.into()).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}
