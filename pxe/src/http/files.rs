//! The tree of names.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use ezio_contract::FirmwareIdentity;
use serde::Deserialize;

use super::{Peer, not_found, text};
use crate::names::{Asker, Names};

/// What this file serves from.
pub(crate) struct Files {
    pub(crate) names: Arc<Names>,
    /// `http://ADDRESS:PORT` of this server, for clients that do not say how they name it.
    pub(crate) base: String,
}

pub(super) fn router(files: Files) -> Router {
    Router::new().route("/{*name}", get(name)).with_state(Arc::new(files))
}

/// What iPXE says about its machine.
#[derive(Debug, Default, Deserialize)]
struct Who {
    mac: Option<String>,
    uuid: Option<String>,
    serial: Option<String>,
    product: Option<String>,
}

async fn name(
    State(files): State<Arc<Files>>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    Query(who): Query<Who>,
    headers: HeaderMap,
) -> Response {
    let said = FirmwareIdentity {
        uuid: who.uuid,
        serial: who.serial,
        product: who.product,
        macs: who.mac.into_iter().collect(),
    };
    let base = own_name(&headers).map_or_else(|| files.base.clone(), |host| format!("http://{host}"));
    let asker = Asker { address: peer.remote.ip(), base, machine: said.into() };
    files.names.open(&name, &asker).map_or_else(not_found, |found| text(found.media_type, found.bytes))
}

/// How this client names this server, if that makes sense.
fn own_name(headers: &HeaderMap) -> Option<&str> {
    // Nothing that means something in a URL or a script.
    let good = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let host = headers.get(header::HOST).map(HeaderValue::to_str)?.ok()?;
    ((1..=255).contains(&host.len()) && host.bytes().all(good)).then_some(host)
}
