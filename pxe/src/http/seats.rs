//! Moving machines on the map of seats.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::map_response;
use axum::routing::patch;
use axum::{Extension, Router};

use super::Peer;
use super::report::{close_after_refusal, read};
use crate::seats::{Moved, Seats};

pub(super) fn router(seats: Arc<Seats>) -> Router {
    Router::new()
        .route("/api/seats", patch(move_seats))
        .layer(map_response(close_after_refusal))
        .with_state(seats)
}

/// From this machine only, as all that changes something.
async fn move_seats(
    State(seats): State<Arc<Seats>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, (StatusCode, String)> {
    let refused = |status: StatusCode, why: &str| Err((status, format!("{why}\n")));
    if !peer.is_here() {
        return refused(StatusCode::FORBIDDEN, "only from the server itself");
    }
    // A page of somebody else's in a browser on this machine cannot send this without asking first.
    let kind = headers.get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
    }
    let moved: Moved = match serde_json::from_slice(&read(body).await?) {
        Ok(moved) => moved,
        Err(e) => return refused(StatusCode::BAD_REQUEST, &format!("these are no seats: {e}")),
    };
    match seats.move_to(moved).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => {
            refused(StatusCode::UNPROCESSABLE_ENTITY, "a machine has no name, or there are too many")
        }
        Err(e) => {
            tracing::error!("seats: {e:#}");
            refused(StatusCode::SERVICE_UNAVAILABLE, "this could not be kept, try again")
        }
    }
}
