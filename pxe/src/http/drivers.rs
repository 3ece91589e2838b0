//! Files of drivers for Windows, in blocks. They are no secret: whoever has the hash of one may have it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ezio_contract::urls;

use super::{at, not_found};
use crate::conf::RoomConf;

pub(super) fn router(conf: Arc<RoomConf>) -> Router {
    Router::new().route(&at(&urls::driver_block("{sha256}", "{number}")), get(block)).with_state(conf)
}

async fn block(State(conf): State<Arc<RoomConf>>, Path((sha256, number)): Path<(String, u64)>) -> Response {
    let Some(served) = conf.current() else { return not_found() };
    let read = tokio::task::spawn_blocking(move || served.files.driver_block(&sha256, number)).await;
    match read.map_err(std::io::Error::from).flatten() {
        Ok(Some(block)) => ([(header::CONTENT_TYPE, "application/octet-stream")], block).into_response(),
        Ok(None) => not_found(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("reading a driver: {error}\n")).into_response()
        }
    }
}
