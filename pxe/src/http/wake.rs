//! Waking machines.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware::map_response;
use axum::routing::post;
use ezio_contract::urls;

use super::at;
use super::description::Refused;
use super::report::{Answer, Asked, Order, Reports, acted, close_after_refusal, order};
use crate::fleet::{Acted, ActedOn, Machine};
use crate::wake::Waker;

pub(super) fn router(reports: Arc<Reports>) -> Router {
    Router::new()
        .route(&at(urls::WAKE), post(wake))
        .layer(map_response(close_after_refusal))
        .with_state(reports)
}

/// Wakes machines: magic packets to all of their cards
#[utoipa::path(post, path = "/api/wake", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Refused))]
pub(super) async fn wake(asked: Asked, body: Body) -> Answer {
    let (reports, order): (_, Order) = order("wake", asked, body).await?;
    let (machines, unknown) = reports.fleet.meant(&order.machines);
    let mut woken = Acted { machines: Vec::new(), unknown };
    for machine in &machines {
        woken.machines.push(wake_one(&reports.waker, machine).await);
    }
    Ok(acted(woken))
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
