//! Waking machines.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use ezio_contract::urls;

use super::act::{Order, Parts, acted};
use super::body::{Rejection, json};
use super::description::{Barred, Refused};
use super::guard::Routes;
use crate::access::Role;
use crate::fleet::Acted;
use crate::wake::{Waker, wake_one};

pub(super) fn routes(parts: Parts, waker: Arc<Waker>) -> Routes {
    Routes::new().at(urls::WAKE, Role::Operator, post(wake)).with_state((parts, waker))
}

/// Wakes machines: magic packets to all of their cards
#[utoipa::path(post, path = "/api/wake", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn wake(
    State((parts, waker)): State<(Parts, Arc<Waker>)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    let order: Order = json(&headers, body).await?;
    let (machines, unknown) = parts.fleet.meant(&parts.meant(&order.machines));
    let mut woken = Acted { machines: Vec::new(), unknown };
    for machine in &machines {
        woken.machines.push(wake_one(&waker, machine).await);
    }
    Ok(acted("wake", woken))
}
