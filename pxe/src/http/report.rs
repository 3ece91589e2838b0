//! Reports of machines.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use ezio_contract::report::{Directive, Report};
use ezio_contract::urls;

use super::body::{bad_request, close_after_refusal, read};
use super::description::Refused;
use super::{Peer, at};
use crate::fleet::{Fleet, ReportError};
use crate::throttle::Throttle;

/// What this file needs.
pub(crate) struct Reports {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) throttle: Arc<Throttle>,
}

pub(super) fn router(reports: Reports) -> Router {
    Router::new()
        .route(&at(urls::REPORT), post(report))
        .layer(map_response(close_after_refusal))
        .with_state(Arc::new(reports))
}

/// Takes one report of a machine
#[utoipa::path(post, path = "/api/report", tag = "machines", request_body = Report,
    responses(
        (status = 200, body = Directive),
        Refused,
        (status = 422, description = "It cannot be taken, and need not be sent again", content_type = "text/plain", body = String),
    ))]
pub(super) async fn report(
    State(reports): State<Arc<Reports>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Response {
    let read = read(body).await.and_then(|body| Report::from_json(&body).map_err(bad_request));
    let report = match read {
        Ok(report) => report,
        Err((status, why)) => {
            reports.throttle.warn("report", || format!("{}: {}", peer.remote, why.trim_end()));
            return (status, why).into_response();
        }
    };
    match reports.fleet.report(&report, peer.remote.ip()).await {
        Ok(directive) => Json(directive).into_response(),
        Err(ReportError::Refused(refusal)) => {
            reports.throttle.warn("report", || format!("{}: {refusal}", peer.remote));
            (StatusCode::UNPROCESSABLE_ENTITY, format!("{refusal}\n")).into_response()
        }
        Err(ReportError::NotKept(e)) => {
            tracing::error!("report of {}: {e:#}", peer.remote);
            (StatusCode::SERVICE_UNAVAILABLE, "the report could not be kept, send it again\n").into_response()
        }
    }
}
