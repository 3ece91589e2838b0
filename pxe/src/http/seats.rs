//! Moving machines on the map of seats.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::routing::patch;
use axum::{Extension, Router};
use ezio_contract::urls;

use super::description::Refused;
use super::report::{close_after_refusal, must_be_json, not_kept, read};
use super::{Peer, at};
use crate::seats::{Moved, Seats};

pub(super) fn router(seats: Arc<Seats>) -> Router {
    Router::new()
        .route(&at(urls::SEATS), patch(move_seats))
        .layer(map_response(close_after_refusal))
        .with_state(seats)
}

/// Moves machines on the map of seats, or takes their seats away
///
/// From this machine only, as all that changes something.
#[utoipa::path(patch, path = "/api/seats", tag = "acts",
    request_body = BTreeMap<String, Option<[u8; 2]>>,
    responses(
        (status = 204, description = "They are moved"),
        Refused,
        (status = 422, description = "A machine has no name, or there are too many", content_type = "text/plain", body = String),
    ))]
pub(super) async fn move_seats(
    State(seats): State<Arc<Seats>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, (StatusCode, String)> {
    let refused = |status: StatusCode, why: &str| Err((status, format!("{why}\n")));
    if !peer.is_here() {
        return refused(StatusCode::FORBIDDEN, "only from the server itself");
    }
    must_be_json(&headers)?;
    let moved: Moved = match serde_json::from_slice(&read(body).await?) {
        Ok(moved) => moved,
        Err(e) => return refused(StatusCode::BAD_REQUEST, &format!("these are no seats: {e}")),
    };
    match seats.move_to(moved).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => {
            refused(StatusCode::UNPROCESSABLE_ENTITY, "a machine has no name, or there are too many")
        }
        Err(e) => Err(not_kept("seats", &e)),
    }
}
