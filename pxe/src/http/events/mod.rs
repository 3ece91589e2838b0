//! The room as it changes, for the page: server-sent events (see API.md).

mod hub;
mod patch;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ezio_contract::urls;
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;

use self::hub::{Hub, Joined};
use super::description::Barred;
use super::guard::{Routes, StillIn};
use super::listen::HangUp;
use super::overview::Overview;
use crate::access::Role;

/// Machines report up to twice a second; nobody reads faster than this.
const TICK: Duration = Duration::from_secs(1);

/// What this file needs.
pub(super) struct Events {
    overview: Arc<Overview>,
    hub: Hub,
}

/// Watches the room for its viewers until `stop` turns true, which ends them.
pub(super) fn routes(overview: Arc<Overview>, stop: watch::Receiver<bool>) -> Routes {
    let events = Arc::new(Events { overview, hub: Hub::new() });
    tokio::spawn(watch_room(Arc::clone(&events), stop));
    Routes::new().at(urls::EVENTS, Role::Viewer, get(join)).with_state(events)
}

async fn watch_room(events: Arc<Events>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        if events.hub.is_watched() {
            events.update();
        }
    }
    events.hub.close();
}

impl Events {
    fn update(&self) {
        if let Err(e) = self.hub.update(self.overview.view()) {
            tracing::error!("events: {e:#}");
        }
    }
}

/// The room as it changes: server-sent events `room` and `change`
#[utoipa::path(get, path = "/api/events", tag = "room",
    params(("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen")),
    responses(
        (status = 200, description = "Until one side ends it", content_type = "text/event-stream", body = String),
        Barred,
        (status = 503, description = "Too many watch the room", content_type = "text/plain", body = String),
    ))]
pub(super) async fn join(
    State(events): State<Arc<Events>>,
    Extension(hang_up): Extension<HangUp>,
    Extension(still_in): Extension<StillIn>,
    headers: HeaderMap,
) -> Response {
    events.update();
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    match events.hub.join(seen, hang_up.0) {
        Ok(Some(Joined { first, mut rest })) => {
            let rest = stream::poll_fn(move |context| rest.poll_recv(context));
            let all = stream::iter(first).chain(rest).map(Ok::<Event, Infallible>);
            // There is an event every few seconds, so that who is logged out sees no more soon.
            Sse::new(all.take_while(move |_| ready(still_in.holds()))).into_response()
        }
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "too many watch the room, or the server stops\n")
            .into_response(),
        Err(e) => {
            tracing::error!("events: {e:#}");
            (StatusCode::INTERNAL_SERVER_ERROR, "the room cannot be told\n").into_response()
        }
    }
}
