//! The tree of names. Torrents go out packed where that is understood: a whole room asks the server for them at once, and most of
//! a torrent are the names of runs. (1.4 GiB in 8583 runs: 543 KB, packed 72; all else is hashes.) And of a room whose machines
//! pass it on, most are told who has it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use ezio_contract::FirmwareIdentity;
use ezio_contract::passing::{Elsewhere, PASSES_ON, SIZES};
use ezio_frames::Packer;
use ezio_image::checksums::sha256_hex;
use serde::Deserialize;

use super::passing::Passing;
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
    pub(crate) passing: Mutex<Passing>,
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
    match files.names.open(&name, &asker) {
        Some(found) if found.media_type == TORRENT => torrent(found, &headers, peer, &files.passing),
        Some(found) => text(found.media_type, found.bytes),
        None => not_found(),
    }
}

fn torrent(found: Found, headers: &HeaderMap, peer: Peer, passing: &Mutex<Passing>) -> Response {
    let takes =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let takes_zstd = takes.split(',').any(|coding| coding.trim() == ZSTD);
    let packed = takes_zstd.then(|| Packer::new(LEVEL)?.pack(&found.bytes)).and_then(Result::ok);
    // Whoever is behind a router that hides its address cannot be reached by the others.
    let passes_on = headers.get(PASSES_ON).and_then(|at| at.to_str().ok()?.parse::<SocketAddr>().ok());
    let passes_on = passes_on.filter(|at| at.ip() == peer.remote.ip().to_canonical() && at.port() != 0);
    let elsewhere = packed.as_deref().zip(passes_on).and_then(|(packed, at)| elsewhere(packed, at, passing));
    let mut answer = match (elsewhere, packed) {
        (Some(elsewhere), _) => (StatusCode::MULTIPLE_CHOICES, Json(elsewhere)).into_response(),
        (None, Some(packed)) => ([(header::CONTENT_ENCODING, ZSTD)], text(TORRENT, packed)).into_response(),
        (None, None) => text(TORRENT, found.bytes),
    };
    // For a cache between: what another machine asks for is another answer.
    for asked in [header::ACCEPT_ENCODING, HeaderName::from_static(PASSES_ON)] {
        answer.headers_mut().append(header::VARY, asked.into());
    }
    answer
}

/// Who else has these bytes for a machine that passes them on.
fn elsewhere(packed: &[u8], passes_on: SocketAddr, passing: &Mutex<Passing>) -> Option<Elsewhere> {
    let length = packed.len() as u64;
    let sha256 = SIZES.contains(&length).then(|| sha256_hex(packed))?;
    let mut passing = passing.lock().unwrap_or_else(PoisonError::into_inner);
    let at = passing.ask(&sha256, passes_on, Instant::now())?;
    Some(Elsewhere { at, sha256, length })
}

/// How this client names this server, if that makes sense.
fn own_name(headers: &HeaderMap) -> Option<&str> {
    // Nothing that means something in a URL or a script.
    let good = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let host = headers.get(header::HOST).map(HeaderValue::to_str)?.ok()?;
    ((1..=255).contains(&host.len()) && host.bytes().all(good)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of what a machine is told that passes a torrent on at `passes_on`, and what that depends on.
    fn ask(passes_on: SocketAddr, passing: &Mutex<Passing>) -> (StatusCode, Vec<HeaderValue>) {
        let noise: Vec<u8> =
            (0_u64..4096).flat_map(|n| (n * n).wrapping_mul(n ^ 0x9e37_79b9).to_le_bytes()).collect();
        let found = Found { media_type: TORRENT, bytes: noise.into() };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ZSTD));
        headers.insert(PASSES_ON, passes_on.to_string().parse().unwrap());
        let peer = Peer { remote: passes_on, local: passes_on, tls: false };
        let answer = torrent(found, &headers, peer, passing);
        (answer.status(), answer.headers().get_all(header::VARY).into_iter().cloned().collect())
    }

    #[test]
    fn a_cache_between_keeps_the_answers_of_machines_apart() {
        let passing = Mutex::new(Passing::new(Vec::new()));
        let answers: Vec<_> = (1..=3).map(|n| ask(([10, 0, 0, n], 4000).into(), &passing)).collect();
        let statuses: Vec<StatusCode> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [StatusCode::OK, StatusCode::OK, StatusCode::MULTIPLE_CHOICES]);
        assert!(answers.iter().all(|(_, by)| by == &["accept-encoding", "ezio-passes-on"]), "{answers:?}");
    }
}
