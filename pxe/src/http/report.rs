//! Reports of machines, and putting machines back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Json, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use ezio_contract::report::{Directive, Report};
use ezio_contract::urls;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::description::Refused;
use super::{MAX_BODY, Peer, at};
use crate::fleet::{Act, Acted, Fleet, Meant, ReportError};
use crate::throttle::Throttle;
use crate::wake::Waker;

/// From the head of a request to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// What this file needs.
pub(crate) struct Reports {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) throttle: Arc<Throttle>,
    /// Of the operator; none: only this machine may put machines back.
    pub(crate) token: Option<String>,
}

pub(super) fn router(reports: Arc<Reports>) -> Router {
    Router::new()
        .route(&at(urls::REPORT), post(report))
        .route(&at(urls::AGAIN), post(again))
        .route(&at(urls::APPROVE), post(approve))
        .route(&at(urls::HOLD), post(hold))
        .route(&at(urls::FORGET), post(forget))
        .layer(map_response(close_after_refusal))
        .with_state(reports)
}

/// The body of a refused request may be unread, and then the connection ends: a client that is not told
/// would send its next request over it and lose that one.
pub(super) async fn close_after_refusal(mut response: Response) -> Response {
    if !response.status().is_success() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a small body in bounded time.
pub(super) async fn read(body: Body) -> Result<Bytes, (StatusCode, String)> {
    let bytes = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await;
    let bytes = bytes.map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the body took too long\n".to_owned()))?;
    bytes.map_err(|e| (StatusCode::PAYLOAD_TOO_LARGE, format!("{e}\n")))
}

/// Refuses an order that is no JSON: a page of somebody else's in a browser on this machine cannot send that without asking
/// first.
pub(super) fn must_be_json(headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let kind = headers.get(header::CONTENT_TYPE);
    match kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        true => Ok(()),
        false => Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json\n".to_owned())),
    }
}

/// The answer to an order that the database did not take.
pub(super) fn not_kept(what: &str, error: &anyhow::Error) -> (StatusCode, String) {
    tracing::error!("{what}: {error:#}");
    (StatusCode::SERVICE_UNAVAILABLE, "this could not be kept, try again\n".to_owned())
}

fn bad_request(error: impl Into<anyhow::Error>) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, format!("{:#}\n", error.into()))
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

/// What every act of an operator says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) machines: Meant,
}

/// What every act is told by.
pub(super) type Asked = (State<Arc<Reports>>, Extension<Peer>, HeaderMap);
pub(super) type Answer = Result<Response, (StatusCode, String)>;

/// Has machines deployed again at their next network boot
#[utoipa::path(post, path = "/api/again", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Refused))]
pub(super) async fn again(asked: Asked, body: Body) -> Answer {
    carry_out(Act::Again, asked, body).await
}

/// Lets machines overwrite what they found, and go on
#[utoipa::path(post, path = "/api/approve", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Refused))]
pub(super) async fn approve(asked: Asked, body: Body) -> Answer {
    carry_out(Act::Approve, asked, body).await
}

/// Keeps machines from being deployed
#[utoipa::path(post, path = "/api/hold", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Refused))]
pub(super) async fn hold(asked: Asked, body: Body) -> Answer {
    carry_out(Act::Hold, asked, body).await
}

/// Forgets machines and their disks
#[utoipa::path(post, path = "/api/forget", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Refused))]
pub(super) async fn forget(asked: Asked, body: Body) -> Answer {
    carry_out(Act::Forget, asked, body).await
}

async fn carry_out(act: Act, asked: Asked, body: Body) -> Answer {
    let (reports, order): (_, Order) = order(&format!("{act:?}"), asked, body).await?;
    let done = reports.fleet.act(act, &order.machines).await;
    done.map(acted).map_err(|e| not_kept(&format!("{act:?}"), &e))
}

/// Reads what an operator wants: from this machine only, or with the operator's token, for it decides what disks lose.
pub(super) async fn order<T: DeserializeOwned>(
    what: &str,
    (State(reports), Extension(peer), headers): Asked,
    body: Body,
) -> Result<(Arc<Reports>, T), (StatusCode, String)> {
    if !(peer.is_here() || reports.token.as_deref().is_some_and(|token| bears(&headers, token))) {
        reports.throttle.warn("operator", || format!("{} is no operator ({what})", peer.remote));
        return Err((
            StatusCode::FORBIDDEN,
            "only from the server itself, or with the server's --token\n".to_owned(),
        ));
    }
    must_be_json(&headers)?;
    let order = serde_json::from_slice(&read(body).await?).map_err(bad_request)?;
    Ok((reports, order))
}

/// The answer to an act on machines.
pub(super) fn acted(acted: Acted) -> Response {
    let status = match (acted.machines.is_empty(), acted.unknown.is_empty()) {
        (true, false) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    (status, Json(acted)).into_response()
}

/// Compares all bytes, so that the time does not tell how many were right.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let given =
        headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| {
        given.len() == token.len()
            && given.iter().zip(token.as_bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_counts() {
        let headers = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert!(bears(&headers("Bearer secret"), "secret"));
        for wrong in ["Bearer secre", "Bearer secret2", "Bearer ", "secret", "Basic secret", "bearer secret"]
        {
            assert!(!bears(&headers(wrong), "secret"), "{wrong}");
        }
        assert!(!bears(&HeaderMap::new(), "secret"));
    }

    #[test]
    fn this_machine_is_known_by_loopback_and_by_its_own_address() {
        let peer = |remote: &str, local: &str| Peer {
            remote: remote.parse().unwrap(),
            local: local.parse().unwrap(),
        };
        assert!(peer("127.0.0.9:5000", "127.0.0.1:8080").is_here());
        assert!(peer("[::ffff:127.0.0.1]:5000", "[::1]:8080").is_here());
        assert!(peer("10.0.0.1:5000", "10.0.0.1:8080").is_here());
        assert!(!peer("10.0.0.2:5000", "10.0.0.1:8080").is_here());
    }
}
