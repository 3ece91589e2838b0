//! What is one machine's own, to that machine only, and only while it is being deployed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use ezio_contract::identity::{IdentityAnswer, IdentityRequest};
use ezio_contract::urls;

use super::body::{close_after_refusal, read};
use super::description::Refused;
use super::{Peer, at};
use crate::conf::RoomConf;
use crate::fleet::Fleet;
use crate::identity;
use crate::throttle::Throttle;

/// What this file needs.
pub(crate) struct Identities {
    pub(crate) conf: Arc<RoomConf>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) throttle: Arc<Throttle>,
}

pub(super) fn router(identities: Identities) -> Router {
    Router::new()
        .route(&at(urls::IDENTITY), post(identity))
        .layer(axum::middleware::map_response(close_after_refusal))
        .with_state(Arc::new(identities))
}

/// What is one machine's own, for a run that is under way
#[utoipa::path(post, path = "/api/identity", tag = "machines", request_body = IdentityRequest,
    responses(
        (status = 200, body = IdentityAnswer),
        Refused,
        (status = 404, description = "There is no ezio.conf", content_type = "text/plain", body = String),
        (status = 422, description = "The files beside ezio.conf have nothing for this machine", content_type = "text/plain", body = String),
    ))]
pub(super) async fn identity(
    State(identities): State<Arc<Identities>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Response {
    match answer(&identities, peer, body).await {
        Ok(answer) => Json(answer).into_response(),
        Err((status, why)) => {
            identities.throttle.warn("identity", || format!("{}: {why}", peer.remote));
            (status, format!("{why}\n")).into_response()
        }
    }
}

async fn answer(
    identities: &Identities,
    peer: Peer,
    body: Body,
) -> Result<IdentityAnswer, (StatusCode, String)> {
    let body = read(body).await?;
    let request: IdentityRequest = serde_json::from_slice(&body)
        .map_err(|e| (StatusCode::BAD_REQUEST, format!("this is no question: {e}")))?;
    let refused = |e: anyhow::Error| (StatusCode::UNPROCESSABLE_ENTITY, format!("{e:#}"));
    let served = identities.conf.current();
    let served = served.ok_or((StatusCode::NOT_FOUND, "there is no ezio.conf".to_owned()))?;
    let orders = served.conf.orders_for(&request.machine, request.group.as_deref());
    let orders = orders.map_err(|e| refused(e.into()))?;
    let purpose = identity::number_for(&orders, &served.files);
    let number = identities.fleet.number(&request, peer.remote.ip(), purpose.as_deref()).await;
    let number = number.map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, format!("{e:#}")))?;
    let number = number.map_err(|denied| (StatusCode::FORBIDDEN, denied.to_string()))?;
    let machine = request.machine.clone();
    let work = move || identity::answer(&orders, &served.files, &machine, number);
    let done = tokio::task::spawn_blocking(work).await;
    let answer = done.map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?.map_err(refused)?;
    if let Some(name) = &answer.hostname {
        let kept = identities.fleet.give_hostname(&request.machine, name).await;
        kept.map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, format!("{e:#}")))?;
    }
    Ok(answer)
}
