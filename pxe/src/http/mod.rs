//! HTTP: boot files, configuration, images, tracker, reports and the dashboard. One kind of request a file.

mod files;
mod listen;
mod metrics;
mod report;
mod tracker;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;

pub(crate) use listen::serve;
pub(crate) use report::AgainAnswer;

use crate::server::App;

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

/// Everything there is.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(files::dashboard))
        .route("/ezio.conf", get(files::conf))
        .route("/ezio.conf.minisig", get(files::conf_signature))
        .route("/boot.ipxe", get(files::ipxe))
        .route("/autoexec.ipxe", get(files::ipxe))
        .route("/boot/{file}", get(files::boot))
        .route("/images/{image}/{file}", get(files::image))
        .route("/announce", get(tracker::announce))
        .route("/scrape", get(tracker::scrape))
        .route("/api/fleet", get(report::fleet))
        .route("/metrics", get(metrics::metrics))
        .merge(posts())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}

fn posts() -> Router<Arc<App>> {
    Router::new()
        .route("/api/report", post(report::report))
        .route("/api/again", post(report::again))
        .layer(map_response(close_after_refusal))
}

/// The body of a refused request may be unread, and then the connection ends: a client that is not told
/// would send its next request over it and lose that one.
async fn close_after_refusal(mut response: Response) -> Response {
    if !response.status().is_success() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// How this client names this server: as in its request if that makes sense, else as configured.
fn base(app: &App, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match host.filter(|host| is_host(host)) {
        Some(host) => format!("http://{host}"),
        None => app.base.clone(),
    }
}

/// Host and port, and nothing that means something in a URL or a script.
fn is_host(host: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    (1..=255).contains(&host.len()) && host.bytes().all(good)
}

fn text(kind: &'static str, body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body.into()).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}
