//! The tree of names. Torrents go out packed where that is understood: a whole room asks the server for them at once, and most of
//! a torrent are the names of runs. (1.4 GiB in 8583 runs: 543 KB, packed 72; all else is hashes.)

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use ezio_contract::FirmwareIdentity;
use ezio_frames::Packer;
use serde::Deserialize;

use super::{Peer, not_found, text};
use crate::names::{Asker, Found, Names, TORRENT};

/// Compression that a client has to ask for.
const ZSTD: &str = "zstd";
/// Its level. Level 3 makes a torrent no smaller; 19 saves a sixth more, and takes hundreds of times as long.
const LEVEL: i32 = 1;

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
    files.names.open(&name, &asker).map_or_else(not_found, |found| answer(found, &headers))
}

fn answer(found: Found, headers: &HeaderMap) -> Response {
    if found.media_type != TORRENT {
        return text(found.media_type, found.bytes);
    }
    let takes =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let takes_zstd = takes.split(',').any(|coding| coding.trim() == ZSTD);
    let packed = takes_zstd.then(|| Packer::new(LEVEL)?.pack(&found.bytes)).and_then(Result::ok);
    let mut answer = match packed {
        Some(packed) => ([(header::CONTENT_ENCODING, ZSTD)], text(TORRENT, packed)).into_response(),
        None => text(TORRENT, found.bytes),
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    answer
}

/// How this client names this server, if that makes sense.
fn own_name(headers: &HeaderMap) -> Option<&str> {
    // Nothing that means something in a URL or a script.
    let good = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let host = headers.get(header::HOST).map(HeaderValue::to_str)?.ok()?;
    ((1..=255).contains(&host.len()) && host.bytes().all(good)).then_some(host)
}
