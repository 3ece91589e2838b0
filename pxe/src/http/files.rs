//! Files and scripts. Every name is looked up in the catalogue; none becomes a path on the disk.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use ezio_image::report::MachineId;
use serde::Deserialize;

use super::{Peer, base, not_found, text};
use crate::boot::{ipxe_identify, ipxe_script};
use crate::server::App;

const BINARY: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

pub(super) async fn dashboard() -> Response {
    text("text/html; charset=utf-8", include_str!("../dashboard.html"))
}

pub(super) async fn conf(State(app): State<Arc<App>>) -> Response {
    app.conf.text().map_or_else(not_found, |conf| text(TEXT, conf))
}

pub(super) async fn conf_signature(State(app): State<Arc<App>>) -> Response {
    app.conf.signature().map_or_else(not_found, |signature| text(TEXT, signature))
}

pub(super) async fn boot(State(app): State<Arc<App>>, Path(file): Path<String>) -> Response {
    let found = app.catalogue.netboot.as_ref().and_then(|netboot| netboot.file(&file));
    found.map_or_else(not_found, |bytes| text(BINARY, bytes.clone()))
}

pub(super) async fn image(
    State(app): State<Arc<App>>,
    Path((image, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let announce = format!("{}/announce", base(&app, &headers));
    let found = app.catalogue.image(&image).and_then(|image| image.file(&file, &announce));
    let kind = if file.ends_with(".torrent") { "application/x-bittorrent" } else { BINARY };
    found.map_or_else(not_found, |bytes| text(kind, bytes))
}

/// What iPXE says about its machine.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Who {
    mac: Option<String>,
    uuid: Option<String>,
    serial: Option<String>,
    product: Option<String>,
}

pub(super) async fn ipxe(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Query(who): Query<Who>,
    headers: HeaderMap,
) -> Response {
    let base = base(&app, &headers);
    let id = MachineId {
        uuid: who.uuid,
        serial: who.serial,
        product: who.product,
        macs: who.mac.into_iter().collect(),
    };
    if id == MachineId::default() {
        return text(TEXT, ipxe_identify(&base));
    }
    let boot = app.fleet.boots(&id, peer.remote.ip()).await;
    text(TEXT, ipxe_script(&app.boot_site(&base), boot))
}
