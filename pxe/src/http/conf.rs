//! The `ezio.conf` that holds, and what is to be said of another one before it is put in its place.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use ezio_contract::urls;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Rejection, json};
use super::description::{Barred, Refused};
use super::guard::Routes;
use super::plan::Plans;
use crate::access::Role;
use crate::conf::{Mistake, ServedConf};
use crate::plan::{self, PlanView};

/// The conf that holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfView {
    /// As it was written.
    text: String,
    /// Where it comes from.
    origin: String,
    /// The operator's signature lies beside it.
    signed: bool,
}

/// A conf to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfText {
    text: String,
}

/// What is to be said of it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct ConfCheck {
    /// In the order of their lines where there are several. Where the text is no conf at all, this is the first.
    mistakes: Vec<Mistake>,
    /// What would be done to each known machine by it, where nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanView>,
}

pub(super) fn routes(plans: Arc<Plans>) -> Routes {
    Routes::new()
        .at(urls::CONF_TEXT, Role::Viewer, get(conf))
        .asks(urls::CONF_CHECK, Role::Operator, post(check))
        .with_state(plans)
}

/// The ezio.conf that holds
#[utoipa::path(get, path = "/api/conf", tag = "room", responses(
    (status = 200, body = ConfView),
    Barred,
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn conf(State(plans): State<Arc<Plans>>) -> Result<Json<ConfView>, Rejection> {
    let conf = plans.conf.current();
    let conf = conf.ok_or_else(|| (StatusCode::NOT_FOUND, "there is no ezio.conf\n".to_owned()))?;
    Ok(Json(ConfView { text: conf.written(), origin: conf.origin.clone(), signed: conf.is_signed() }))
}

/// What is wrong with another ezio.conf, or what would become of the machines by it
#[utoipa::path(post, path = "/api/conf/check", tag = "acts", request_body = ConfText,
    responses((status = 200, body = ConfCheck), Barred, Refused))]
pub(super) async fn check(
    State(plans): State<Arc<Plans>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ConfCheck>, Rejection> {
    let ConfText { text } = json(&headers, body).await?;
    Ok(Json(match ServedConf::supposed(&text, &plans.catalogue) {
        Ok(conf) => {
            let (machines, rules) = plans.fleet.machines();
            let plan = plan::of(&machines, &rules, Some(&conf), &plans.catalogue);
            ConfCheck { mistakes: Vec::new(), plan: Some(plan) }
        }
        Err(mistakes) => ConfCheck { mistakes, plan: None },
    }))
}
