//! The description of the interface (OpenAPI 3.1): each call says itself what it takes and answers, by the types that it is made of.

use axum::extract::Json;
use axum::response::IntoResponse;
use axum::routing::get;
use ezio_contract::urls;
use utoipa::{IntoResponses, OpenApi};

use super::guard::Routes;
use super::{
    accounts, act, conf, console, deploy, events, history, identity, login, metrics, overview, plan, rates,
    report, seats, wake,
};

/// All calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "ezio-pxe",
        description = "The server of a room. Times are seconds since 1970 with a fraction, sizes are bytes; API.md says what the \
                       words mean.",
    ),
    tags(
        (name = "room", description = "For those who watch"),
        (name = "acts", description = "For operators"),
        (name = "access", description = "Who somebody is, and who may what"),
        (name = "machines", description = "For init, on the machines that are deployed"),
    ),
    paths(
        overview::fleet,
        rates::of_machine,
        metrics::prometheus,
        events::join,
        plan::plan,
        conf::conf,
        conf::check,
        conf::put_conf,
        console::ask,
        console::console,
        deploy::schedules,
        history::history,
        history::history_csv,
        act::again,
        act::approve,
        act::hold,
        act::restart,
        act::power_off,
        act::forget,
        deploy::deploy_plan,
        deploy::deploy,
        deploy::cancel,
        deploy::schedule,
        deploy::unschedule,
        wake::wake,
        seats::move_seats,
        report::report,
        identity::identity,
        description,
        login::log_in,
        login::first,
        login::log_out,
        login::me,
        login::change_password,
        accounts::users,
        accounts::add_user,
        accounts::change_user,
        accounts::remove_user,
        accounts::tokens,
        accounts::add_token,
        accounts::revoke_token,
        accounts::audit,
    )
)]
struct Description;

pub(super) fn routes() -> Routes {
    Routes::new().open(urls::OPENAPI, get(description))
}

/// Why somebody is not let in: a sentence.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes answers, and is none")]
pub(super) enum Barred {
    /// It is not known who asks: log in, or give a token.
    #[response(status = 401, content_type = "text/plain")]
    Nobody(String),
    /// Who asks may not do this.
    #[response(status = 403, content_type = "text/plain")]
    Forbidden(String),
}

/// This description
#[utoipa::path(get, path = "/api/openapi.json", tag = "room",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)))]
pub(super) async fn description() -> impl IntoResponse {
    Json(Description::openapi())
}

/// Why a call that changes something was not carried out: a sentence.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes answers, and is none")]
pub(super) enum Refused {
    /// The body is not what this call takes.
    #[response(status = 400, content_type = "text/plain")]
    Malformed(String),
    /// Whoever asks may not do this.
    #[response(status = 403, content_type = "text/plain")]
    Forbidden(String),
    /// The body did not come in time.
    #[response(status = 408, content_type = "text/plain")]
    Slow(String),
    /// The body is longer than 64 KiB.
    #[response(status = 413, content_type = "text/plain")]
    TooLong(String),
    /// The body is not `application/json`.
    #[response(status = 415, content_type = "text/plain")]
    NoJson(String),
    /// The database did not take it: try again.
    #[response(status = 503, content_type = "text/plain")]
    NotKept(String),
}
