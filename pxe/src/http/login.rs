//! How people come in and go, and who somebody is.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ezio_contract::urls;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Peer;
use super::accounts::refusal;
use super::body::{Rejection, json};
use super::description::{Barred, Refused};
use super::guard::{Did, Routes, cookie, set_cookie};
use crate::access::{Access, By, Caller, LIFE, LoginError, Role, Secret};
use crate::throttle::Throttle;

/// What this file needs.
pub(super) struct Logins {
    pub(super) access: Arc<Access>,
    pub(super) throttle: Arc<Throttle>,
}

pub(super) fn routes(logins: Logins) -> Routes {
    Routes::new()
        .open(urls::LOGIN, post(log_in))
        .open(urls::FIRST, post(first))
        .at(urls::LOGOUT, Role::Viewer, post(log_out))
        .at(urls::ME, Role::Viewer, get(me))
        .at(urls::PASSWORD, Role::Viewer, post(change_password))
        .with_state(Arc::new(logins))
}

/// Who calls
#[utoipa::path(get, path = "/api/me", tag = "access", responses((status = 200, body = Caller), Barred))]
pub(super) async fn me(Extension(caller): Extension<Caller>) -> Json<Caller> {
    Json(caller)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    name: String,
    password: String,
}

/// Begins a session, which a cookie holds
#[utoipa::path(post, path = "/api/login", tag = "access", request_body = Login, responses(
    (status = 200, body = Caller), Barred, Refused,
    (status = 429, description = "Too many attempts failed", content_type = "text/plain", body = String),
))]
pub(super) async fn log_in(
    State(logins): State<Arc<Logins>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    let login: Login = json(&headers, body).await?;
    let entered = logins.access.log_in(&login.name, &login.password, peer.remote.ip()).await;
    entered.map(|entered| welcome(entered, "log in", peer)).map_err(|e| {
        // Not the name: some type their password there.
        logins.throttle.warn("login", || format!("{}: {e}", peer.remote));
        refused(&e)
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    link: String,
    name: String,
    password: String,
}

/// Makes the first account, an administrator, by the link that the server prints while there is none
#[utoipa::path(post, path = "/api/first", tag = "access", request_body = First, responses(
    (status = 200, body = Caller), Barred, Refused,
    (status = 422, description = "What is wrong with name or password", content_type = "text/plain", body = String),
))]
pub(super) async fn first(
    State(logins): State<Arc<Logins>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    let first: First = json(&headers, body).await?;
    let entered = logins.access.first(&Secret::said(&first.link), &first.name, &first.password).await;
    entered.map(|entered| welcome(entered, "make the first account, administrator", peer)).map_err(|e| {
        logins.throttle.warn("login", || format!("{}: first account: {e}", peer.remote));
        refused(&e)
    })
}

/// Ends the session
#[utoipa::path(post, path = "/api/logout", tag = "access", responses((status = 204, description = "It has ended"), Barred, Refused))]
pub(super) async fn log_out(
    State(logins): State<Arc<Logins>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    if let Some(cookie) = cookie(&headers, peer.tls) {
        logins.access.log_out(&cookie);
    }
    let gone = [(header::SET_COOKIE, set_cookie(None, 0, peer.tls))];
    Did::beside("log out".into(), (StatusCode::NO_CONTENT, gone))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    old: String,
    new: String,
}

/// Gives the own account another password
#[utoipa::path(post, path = "/api/password", tag = "access", request_body = NewPassword, responses(
    (status = 204, description = "It has it; the other sessions have ended"), Barred, Refused,
    (status = 422, description = "What is wrong with the password", content_type = "text/plain", body = String),
    (status = 429, description = "Too many attempts failed", content_type = "text/plain", body = String),
))]
pub(super) async fn change_password(
    State(logins): State<Arc<Logins>>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    let asked: NewPassword = json(&headers, body).await?;
    if caller.by != By::Session {
        return Err((StatusCode::FORBIDDEN, "only an account that is logged in has a password\n".into()));
    }
    let address = peer.remote.ip();
    let cookie = logins.access.change_own_password(&caller.name, &asked.old, &asked.new, address).await;
    let cookie = cookie.map_err(|e| refused(&e))?;
    let kept = [(header::SET_COOKIE, set_cookie(Some(&cookie), LIFE.as_secs(), peer.tls))];
    Ok(Did::beside("change the own password".into(), (StatusCode::NO_CONTENT, kept)))
}

/// The answer to somebody who is in.
fn welcome((caller, cookie): (Caller, Secret), what: &str, peer: Peer) -> Response {
    let did = Did { who: Some(caller.name.clone()), what: what.to_owned() };
    let kept = [(header::SET_COOKIE, set_cookie(Some(&cookie), LIFE.as_secs(), peer.tls))];
    (Extension(did), kept, Json(caller)).into_response()
}

fn refused(error: &LoginError) -> Rejection {
    let status = match error {
        LoginError::Wrong | LoginError::NoLink => StatusCode::UNAUTHORIZED,
        LoginError::Later(_) => StatusCode::TOO_MANY_REQUESTS,
        LoginError::Change(e) => return refusal(e),
        LoginError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n"))
}
