//! Waking machines.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use ezio_contract::urls;

use super::act::{Order, acted};
use super::body::{Rejection, json};
use super::description::{Barred, Refused};
use super::guard::Routes;
use crate::access::Role;
use crate::fleet::{Acted, ActedOn, Fleet, Machine};
use crate::wake::Waker;

/// What this file needs.
type Parts = (Arc<Fleet>, Arc<Waker>);

pub(super) fn routes(fleet: Arc<Fleet>, waker: Arc<Waker>) -> Routes {
    Routes::new().at(urls::WAKE, Role::Operator, post(wake)).with_state((fleet, waker))
}

/// Wakes machines: magic packets to all of their cards
#[utoipa::path(post, path = "/api/wake", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn wake(
    State((fleet, waker)): State<Parts>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    let order: Order = json(&headers, body).await?;
    let (machines, unknown) = fleet.meant(&order.machines);
    let mut woken = Acted { machines: Vec::new(), unknown };
    for machine in &machines {
        woken.machines.push(wake_one(&waker, machine).await);
    }
    Ok(acted("wake", woken))
}

/// Tries to; it cannot be known whether the machine was off, or heard it.
pub(crate) async fn wake_one(waker: &Waker, machine: &Machine) -> ActedOn {
    let macs = machine.identity.macs();
    let address = machine.address.as_ref().and_then(|address| address.parse().ok());
    let address = address.and_then(|address: IpAddr| match address.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    let woken = match macs {
        [] => Err("no card of it is known".to_owned()),
        macs => waker.wake(macs, address).await.map_err(|e| format!("{e:#}")),
    };
    let cards: Vec<String> = macs.iter().map(ToString::to_string).collect();
    let what = woken.as_ref().map(|broadcasts| {
        let broadcasts: Vec<String> = broadcasts.iter().map(ToString::to_string).collect();
        format!("is called to wake: {} at {}", cards.join(", "), broadcasts.join(", "))
    });
    ActedOn { id: machine.id.clone(), done: woken.is_ok(), what: what.unwrap_or_else(|why| why.clone()) }
}
