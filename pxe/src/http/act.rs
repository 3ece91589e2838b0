//! What an operator does to machines.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use ezio_contract::urls;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{Rejection, json, not_kept};
use super::description::{Barred, Refused};
use super::guard::{Did, Routes};
use crate::access::Role;
use crate::conf::RoomConf;
use crate::fleet::{Act, Acted, Fleet, Meant};

/// What acts need.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) fleet: Arc<Fleet>,
    pub(super) conf: Arc<RoomConf>,
}

impl Parts {
    /// Those who are meant by it now: names in place of a group.
    pub(super) fn meant(&self, meant: &Meant) -> Meant {
        self.conf.meant(meant, &self.fleet)
    }
}

pub(super) fn routes(parts: Parts) -> Routes {
    Routes::new()
        .at(urls::AGAIN, Role::Operator, post(again))
        .at(urls::APPROVE, Role::Operator, post(approve))
        .at(urls::HOLD, Role::Operator, post(hold))
        .at(urls::RESTART, Role::Operator, post(restart))
        .at(urls::POWER_OFF, Role::Operator, post(power_off))
        .at(urls::FORGET, Role::Operator, post(forget))
        .with_state(parts)
}

/// What every act says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) machines: Meant,
}

pub(super) type Answer = Result<Response, Rejection>;

/// Has machines deployed again at their next network boot
#[utoipa::path(post, path = "/api/again", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn again(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    carry_out(&parts, Act::Again, &headers, body).await
}

/// Lets machines overwrite what they found, and go on
#[utoipa::path(post, path = "/api/approve", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn approve(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    carry_out(&parts, Act::Approve, &headers, body).await
}

/// Keeps machines from being deployed
#[utoipa::path(post, path = "/api/hold", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn hold(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    carry_out(&parts, Act::Hold, &headers, body).await
}

/// Ends the runs of machines in init, which restart
#[utoipa::path(post, path = "/api/restart", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn restart(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    carry_out(&parts, Act::Restart, &headers, body).await
}

/// Ends the runs of machines in init, which are switched off
#[utoipa::path(post, path = "/api/poweroff", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn power_off(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    carry_out(&parts, Act::PowerOff, &headers, body).await
}

/// Forgets machines and their disks
#[utoipa::path(post, path = "/api/forget", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn forget(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    carry_out(&parts, Act::Forget, &headers, body).await
}

async fn carry_out(parts: &Parts, act: Act, headers: &HeaderMap, body: Body) -> Answer {
    let order: Order = json(headers, body).await?;
    let done = parts.fleet.act(act, &parts.meant(&order.machines)).await;
    done.map(|done| acted(&format!("{act:?}").to_lowercase(), done))
        .map_err(|e| not_kept(&format!("{act:?}"), &e))
}

/// The answer to an act on machines.
pub(super) fn acted(act: &str, acted: Acted) -> Response {
    let status = match (acted.machines.is_empty(), acted.unknown.is_empty()) {
        (true, false) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    let named: Vec<&str> = acted.machines.iter().map(|machine| machine.id.as_str()).collect();
    Did::beside(format!("{act} {}", named.join(", ")), (status, Json(acted)))
}
