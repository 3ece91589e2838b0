//! What stands on the consoles of machines: what is kept, and asking for it.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use ezio_contract::urls;
use serde::Deserialize;
use utoipa::IntoParams;

use super::act::{Answer, Order, Parts, acted};
use super::body::json;
use super::description::{Barred, Refused};
use super::guard::Routes;
use super::{not_found, text};
use crate::access::Role;
use crate::fleet::Acted;

pub(super) fn routes(parts: Parts) -> Routes {
    Routes::new()
        .at(urls::CONSOLES, Role::Operator, post(ask))
        .at(&urls::console("{name}"), Role::Viewer, get(console))
        .with_state(parts)
}

/// Which one.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    /// None while the machine is asked for another.
    fresh: bool,
}

/// What stood on the console of a machine when it failed, or was asked for it last
#[utoipa::path(get, path = "/api/console/{name}", tag = "room",
    params(("name" = String, Path, description = "Id of the machine"), Which),
    responses((status = 200, body = String), (status = 404, description = "none is known"), Barred, Refused))]
pub(super) async fn console(
    State(parts): State<Parts>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Response {
    match parts.fleet.console(&id, which.fresh) {
        Some(console) => text("text/plain; charset=utf-8", console.lines.join("\n")),
        None => not_found(),
    }
}

/// Has machines send what stands on their consoles, with their next reports
#[utoipa::path(post, path = "/api/console", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn ask(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    let order: Order = json(&headers, body).await?;
    Ok(acted("ask for the console of", parts.fleet.ask_consoles(&parts.meant(&order.machines))))
}
