//! The rates of a machine over time. Those of the room stand in the view of it.

use std::sync::Arc;

use axum::extract::{Json, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ezio_contract::urls;
use serde::Deserialize;
use utoipa::IntoParams;

use super::description::Barred;
use super::guard::Routes;
use super::not_found;
use super::overview::Overview;
use crate::access::Role;
use crate::fleet::RatesView;

pub(super) fn routes(overview: Arc<Overview>) -> Routes {
    Routes::new().at(&urls::rates("{name}"), Role::Viewer, get(of_machine)).with_state(overview)
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// In seconds since 1970: only slots that end later.
    after: Option<f64>,
}

/// What a machine receives and sends over its last run; without samples where none are known
#[utoipa::path(get, path = "/api/rates/{name}", tag = "room",
    params(("name" = String, Path, description = "Id of the machine"), Which),
    responses(
        (status = 200, body = RatesView),
        (status = 404, description = "No machine has this id", content_type = "text/plain", body = String),
        Barred,
        (status = 400, description = "The query says something else", content_type = "text/plain", body = String),
    ))]
pub(super) async fn of_machine(
    State(overview): State<Arc<Overview>>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Response {
    if !overview.fleet.look(|machines| machines.iter().any(|machine| machine.id == id)) {
        return not_found();
    }
    Json(overview.rates.machine(&id, which.after.unwrap_or(f64::NEG_INFINITY))).into_response()
}
