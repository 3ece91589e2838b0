//! Moving machines on the map of seats.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::patch;
use ezio_contract::urls;

use super::body::{Rejection, json, not_kept};
use super::description::{Barred, Refused};
use super::guard::Routes;
use crate::access::Role;
use crate::seats::{Moved, Seats};

pub(super) fn routes(seats: Arc<Seats>) -> Routes {
    Routes::new().at(urls::SEATS, Role::Operator, patch(move_seats)).with_state(seats)
}

/// Moves machines on the map of seats, or takes their seats away
#[utoipa::path(patch, path = "/api/seats", tag = "acts",
    request_body = BTreeMap<String, Option<[u8; 2]>>,
    responses(
        (status = 204, description = "They are moved"),
        Barred,
        Refused,
        (status = 422, description = "A machine has no name, or there are too many", content_type = "text/plain", body = String),
    ))]
pub(super) async fn move_seats(
    State(seats): State<Arc<Seats>>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Rejection> {
    let moved: Moved = json(&headers, body).await?;
    match seats.move_to(moved).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => {
            let why = "a machine has no name, or there are too many\n";
            Err((StatusCode::UNPROCESSABLE_ENTITY, why.to_owned()))
        }
        Err(e) => Err(not_kept("seats", &e)),
    }
}
