//! What stood on a machine's console when it failed.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use ezio_contract::urls;

use super::description::Barred;
use super::guard::Routes;
use super::{not_found, text};
use crate::access::Role;
use crate::fleet::Fleet;

pub(super) fn routes(fleet: Arc<Fleet>) -> Routes {
    Routes::new().at(&urls::console("{name}"), Role::Viewer, get(console)).with_state(fleet)
}

/// The last lines of the console of a machine that failed, until the server ends
#[utoipa::path(get, path = "/api/console/{name}", tag = "room", params(("name" = String, Path, description = "Id of the machine")),
    responses((status = 200, body = String), (status = 404, description = "none is known"), Barred))]
pub(super) async fn console(State(fleet): State<Arc<Fleet>>, Path(id): Path<String>) -> Response {
    match fleet.console(&id) {
        Some(lines) => text("text/plain; charset=utf-8", lines.join("\n")),
        None => not_found(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use axum::http::StatusCode;
    use ezio_contract::FirmwareIdentity;
    use ezio_contract::report::{Event, FORMAT, MAX_CONSOLE, MAX_CONSOLE_LINE, Report, StepTimes};

    use super::*;
    use crate::fleet::Rules;
    use crate::hooks::Hooks;

    #[tokio::test]
    async fn the_console_of_a_machine_that_failed_is_kept_within_bounds() {
        let minute = Duration::from_secs(60);
        let fleet = Arc::new(Fleet::open(None, minute, minute, Rules::default(), Hooks::default()).unwrap());
        let said = FirmwareIdentity { serial: Some("S1".into()), ..FirmwareIdentity::default() };
        let console_lines = vec!["x\u{1b}".repeat(1000); 1000];
        let event = Event::Failed {
            step: "write".into(),
            error: "e".into(),
            next: "hold".into(),
            console: console_lines,
        };
        let (machine, run) = (said.into(), "r".to_owned());
        let steps = StepTimes::default();
        let report = Report { format: FORMAT, machine, run, sequence: 0, uptime_s: 1.0, steps, event };
        fleet.report(&report, Ipv4Addr::LOCALHOST.into()).await.unwrap();
        let kept = fleet.console("S1").unwrap();
        assert_eq!((kept.len(), kept[0].len()), (MAX_CONSOLE, MAX_CONSOLE_LINE));
        let ask = |id: &str| console(State(Arc::clone(&fleet)), Path(id.to_owned()));
        assert_eq!(ask("S1").await.status(), StatusCode::OK);
        assert_eq!(ask("S2").await.status(), StatusCode::NOT_FOUND);
    }
}
