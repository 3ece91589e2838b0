//! What became of runs, as JSON and as a table.

use std::sync::Arc;

use axum::extract::{Json, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ezio_contract::urls;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::description::Barred;
use super::guard::Routes;
use crate::access::Role;
use crate::fleet::{Deployment, Fleet};
use crate::history::csv;

pub(super) fn routes(fleet: Arc<Fleet>) -> Routes {
    Routes::new()
        .at(urls::HISTORY, Role::Viewer, get(history))
        .at(urls::HISTORY_CSV, Role::Viewer, get(history_csv))
        .with_state(fleet)
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Id of a machine: only its own.
    machine: Option<String>,
    /// Number of a deployment: only those before it.
    #[param(value_type = Option<u64>, maximum = 4_294_967_295_i64)]
    before: Option<u32>,
    /// At most so many.
    #[param(maximum = 65535)]
    limit: Option<u16>,
}

/// Runs that have ended, the newest first.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct HistoryView {
    pub(crate) deployments: Vec<Deployment>,
}

impl Which {
    fn of(&self, fleet: &Fleet) -> Vec<Deployment> {
        let (before, limit) =
            (self.before.map_or(u64::MAX, u64::from), self.limit.map_or(usize::MAX, usize::from));
        fleet.ended_before(self.machine.as_deref(), before, limit)
    }
}

/// Runs that have ended, the newest first
#[utoipa::path(get, path = "/api/history", tag = "room", params(Which), responses(
    (status = 200, body = HistoryView),
    Barred,
    (status = 400, description = "The query says something else", content_type = "text/plain", body = String),
))]
pub(super) async fn history(
    State(fleet): State<Arc<Fleet>>,
    Query(which): Query<Which>,
) -> Json<HistoryView> {
    Json(HistoryView { deployments: which.of(&fleet) })
}

/// Runs that have ended, as a table (RFC 4180)
#[utoipa::path(get, path = "/api/history.csv", tag = "room", params(Which), responses(
    (status = 200, description = "One a line, the newest first", content_type = "text/csv", body = String),
    Barred,
    (status = 400, description = "The query says something else", content_type = "text/plain", body = String),
))]
pub(super) async fn history_csv(State(fleet): State<Arc<Fleet>>, Query(which): Query<Which>) -> Response {
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&which.of(&fleet))).into_response()
}
