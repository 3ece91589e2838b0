//! Bodies of requests, read within bounds, and the answers where that fails.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::MAX_BODY;

/// From the head of a request to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The answer to what is refused: status and reason.
pub(super) type Rejection = (StatusCode, String);

/// The body of a refused request may be unread, and then the connection ends: a client that is not told
/// would send its next request over it and lose that one.
pub(super) async fn close_after_refusal(mut response: Response) -> Response {
    if !response.status().is_success() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a small body in bounded time.
pub(super) async fn read(body: Body) -> Result<Bytes, Rejection> {
    let bytes = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await;
    let bytes = bytes.map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the body took too long\n".to_owned()))?;
    bytes.map_err(|e| (StatusCode::PAYLOAD_TOO_LARGE, format!("{e}\n")))
}

/// Reads what a person or a program asks for. It has to call itself JSON: somebody else's page cannot send that without asking first.
pub(super) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Rejection> {
    let kind = headers.get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json\n".to_owned()));
    }
    serde_json::from_slice(&read(body).await?).map_err(bad_request)
}

/// The answer to what the database did not take.
pub(super) fn not_kept(what: &str, error: &anyhow::Error) -> Rejection {
    tracing::error!("{what}: {error:#}");
    (StatusCode::SERVICE_UNAVAILABLE, "this could not be kept, try again\n".to_owned())
}

pub(super) fn bad_request(error: impl Into<anyhow::Error>) -> Rejection {
    (StatusCode::BAD_REQUEST, format!("{:#}\n", error.into()))
}
