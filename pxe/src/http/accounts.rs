//! What an administrator does: accounts, tokens, and reading the audit log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Json, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{delete, get, patch};
use ezio_contract::urls;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{Rejection, json};
use super::description::{Barred, Refused};
use super::guard::{Did, Routes};
use crate::access::{Access, AccountView, ChangeError, Deed, NewToken, Role, TokenView};

pub(super) fn routes(access: Arc<Access>) -> Routes {
    Routes::new()
        .at(urls::USERS, Role::Administrator, get(users).post(add_user))
        .at(urls::USER, Role::Administrator, patch(change_user).delete(remove_user))
        .at(urls::TOKENS, Role::Administrator, get(tokens).post(add_token))
        .at(urls::TOKEN, Role::Administrator, delete(revoke_token))
        .at(urls::AUDIT, Role::Administrator, get(audit))
        .with_state(access)
}

/// The answer to a change that was not made.
pub(super) fn refusal(error: &ChangeError) -> Rejection {
    let status = match error {
        ChangeError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ChangeError::Unknown(_) => StatusCode::NOT_FOUND,
        ChangeError::NotKept(e) => {
            tracing::error!("accounts: {e:#}");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    (status, format!("{error}\n"))
}

fn done(what: String, made: Result<(), ChangeError>) -> Result<Response, Rejection> {
    made.map_err(|e| refusal(&e)).map(|()| Did::beside(what, StatusCode::NO_CONTENT))
}

/// Accounts, by name
#[utoipa::path(get, path = "/api/users", tag = "access",
    responses((status = 200, body = Vec<AccountView>), Barred))]
pub(super) async fn users(State(access): State<Arc<Access>>) -> Json<Vec<AccountView>> {
    Json(access.accounts())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    name: String,
    role: Role,
    password: String,
}

/// Makes an account
#[utoipa::path(post, path = "/api/users", tag = "access",
    request_body = NewUser, responses((status = 204, description = "It is there"), Barred, Refused, (status = 422, description = "What is wrong with it", content_type = "text/plain", body = String)))]
pub(super) async fn add_user(
    State(access): State<Arc<Access>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    let user: NewUser = json(&headers, body).await?;
    let made = access.add_account(&user.name, user.role, &user.password).await;
    done(format!("add account {}, {}", user.name, user.role), made)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedUser {
    role: Option<Role>,
    password: Option<String>,
}

/// Gives an account another role, or another password
#[utoipa::path(patch, path = "/api/users/{name}", tag = "access",
    params(("name" = String, Path, description = "Its name")), request_body = ChangedUser, responses((status = 204, description = "It has it"), Barred, Refused, (status = 404, description = "There is none of this name", content_type = "text/plain", body = String), (status = 422, description = "What is wrong with it", content_type = "text/plain", body = String)))]
pub(super) async fn change_user(
    State(access): State<Arc<Access>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    match json(&headers, body).await? {
        ChangedUser { role: Some(role), password: None } => {
            done(format!("make account {name} {role}"), access.set_role(&name, role).await)
        }
        ChangedUser { role: None, password: Some(password) } => {
            done(format!("give account {name} a password"), access.set_password(&name, &password).await)
        }
        _ => Err((StatusCode::UNPROCESSABLE_ENTITY, "give a role or a password\n".to_owned())),
    }
}

/// Removes an account, and ends its sessions
#[utoipa::path(delete, path = "/api/users/{name}", tag = "access",
    params(("name" = String, Path, description = "Its name")), responses((status = 204, description = "It is gone"), Barred, Refused, (status = 404, description = "There is none of this name", content_type = "text/plain", body = String), (status = 422, description = "What is wrong with it", content_type = "text/plain", body = String)))]
pub(super) async fn remove_user(
    State(access): State<Arc<Access>>,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    done(format!("remove account {name}"), access.remove_account(&name).await)
}

/// Tokens, by name
#[utoipa::path(get, path = "/api/tokens", tag = "access",
    responses((status = 200, body = Vec<TokenView>), Barred))]
pub(super) async fn tokens(State(access): State<Arc<Access>>) -> Json<Vec<TokenView>> {
    Json(access.tokens())
}

/// A token, told once.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    token: String,
}

/// Makes a token
#[utoipa::path(post, path = "/api/tokens", tag = "access",
    request_body = NewToken, responses((status = 201, body = MadeToken), Barred, Refused, (status = 422, description = "What is wrong with it", content_type = "text/plain", body = String)))]
pub(super) async fn add_token(
    State(access): State<Arc<Access>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    let new: NewToken = json(&headers, body).await?;
    let what = format!("make token {}, {}", new.name, new.role);
    let secret = access.add_token(new).await.map_err(|e| refusal(&e))?;
    Ok(Did::beside(what, (StatusCode::CREATED, Json(MadeToken { token: secret.reveal().to_owned() }))))
}

/// Has a token count no more
#[utoipa::path(delete, path = "/api/tokens/{name}", tag = "access",
    params(("name" = String, Path, description = "Its name")), responses((status = 204, description = "It is gone"), Barred, Refused, (status = 404, description = "There is none of this name", content_type = "text/plain", body = String)))]
pub(super) async fn revoke_token(
    State(access): State<Arc<Access>>,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    done(format!("revoke token {name}"), access.revoke_token(&name).await)
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those with smaller numbers.
    #[param(value_type = Option<u64>, maximum = 4_294_967_295_i64)]
    before: Option<u32>,
    /// At most so many, the last ones.
    #[param(maximum = 65535)]
    limit: Option<u16>,
}

/// Who did what, the oldest first
#[utoipa::path(get, path = "/api/audit", tag = "access", params(Which), responses(
    (status = 200, body = Vec<Deed>),
    Barred,
    (status = 400, description = "The query says something else", content_type = "text/plain", body = String),
))]
pub(super) async fn audit(State(access): State<Arc<Access>>, Query(which): Query<Which>) -> Json<Vec<Deed>> {
    let limit = which.limit.map_or(usize::MAX, usize::from);
    Json(access.audit().before(which.before.map_or(u64::MAX, u64::from), limit))
}
