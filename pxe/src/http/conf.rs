//! The `ezio.conf` that holds, what is to be said of another one before it is put in its place, and putting it there.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use ezio_contract::urls;
use ezio_image::checksums::sha256_hex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::act::Answer;
use super::body::{Rejection, json, not_kept};
use super::description::{Barred, Refused};
use super::guard::{Did, Routes};
use super::plan::Plans;
use crate::access::Role;
use crate::conf::{Mistake, PutError, ServedConf};
use crate::plan::{self, PlanView};

/// The conf that holds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ConfView {
    /// As it was written.
    pub(crate) text: String,
    /// Its SHA-256: what `replaces` of another text says.
    pub(crate) version: String,
    /// Where it comes from.
    pub(crate) origin: String,
    /// The operator's signature lies beside it.
    pub(crate) signed: bool,
    /// Why no other can be put in its place by a call, and what to do; missing where one can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by_hand: Option<String>,
}

/// A conf to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfText {
    text: String,
}

/// A conf to be put in place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfPut {
    text: String,
    /// The `version` of the text that it is to replace, so that nobody replaces what was not seen.
    replaces: String,
}

/// What is to be said of it.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct ConfCheck {
    /// In the order of their lines where there are several. Where the text is no conf at all, this is the first.
    pub(crate) mistakes: Vec<Mistake>,
    /// What can be put in place by hand alone: files of the server that the conf which holds does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) by_hand: Vec<Mistake>,
    /// What would be done to each known machine by it, where nothing is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<PlanView>,
}

pub(super) fn routes(plans: Arc<Plans>) -> Routes {
    Routes::new()
        .at(urls::CONF_TEXT, Role::Viewer, get(conf))
        .at(urls::CONF_TEXT, Role::Administrator, put(put_conf))
        .asks(urls::CONF_CHECK, Role::Operator, post(check))
        .with_state(plans)
}

fn view(plans: &Plans, conf: &ServedConf) -> Json<ConfView> {
    Json(ConfView {
        text: conf.written(),
        version: conf.version(),
        origin: conf.origin.clone(),
        signed: conf.is_signed(),
        by_hand: plans.conf.kept_by_hand(),
    })
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
    Ok(view(&plans, &conf))
}

/// Puts another ezio.conf in place, which holds at once
#[utoipa::path(put, path = "/api/conf", tag = "acts", request_body = ConfPut, responses(
    (status = 200, body = ConfView),
    Barred,
    Refused,
    (status = 409, description = "None can be put in place here, or another one holds than was seen", content_type = "text/plain", body = String),
    (status = 422, description = "What is wrong with it, by line", body = ConfCheck),
))]
pub(super) async fn put_conf(State(plans): State<Arc<Plans>>, headers: HeaderMap, body: Body) -> Answer {
    let ConfPut { text, replaces } = json(&headers, body).await?;
    let what = format!("replace ezio.conf {} by {}", short(&replaces), short(&sha256_hex(text.as_bytes())));
    let writing = Arc::clone(&plans);
    let put = tokio::task::spawn_blocking(move || writing.conf.put(&text, &replaces, &writing.catalogue));
    let put = put.await.map_err(|e| not_kept("ezio.conf", &e.into()))?;
    match put {
        Ok(conf) => Ok(Did::beside(what, view(&plans, &conf))),
        Err(PutError::Wrong(mistakes)) => {
            let wrong = Json(ConfCheck { mistakes, ..ConfCheck::default() });
            Ok(Did::beside(what, (StatusCode::UNPROCESSABLE_ENTITY, wrong).into_response()))
        }
        Err(PutError::Refused(why)) => Err((StatusCode::CONFLICT, format!("{why}\n"))),
        Err(PutError::NotWritten(e)) => {
            tracing::error!("ezio.conf was not replaced: {e:#}");
            Err((StatusCode::SERVICE_UNAVAILABLE, format!("{e:#}: what held before holds on\n")))
        }
    }
}

/// Enough of a version to tell it from others in a log.
fn short(version: &str) -> String {
    version.chars().take(12).collect()
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
            let by_hand = plans.conf.only_by_hand(&conf);
            ConfCheck { by_hand, plan: Some(plan), ..ConfCheck::default() }
        }
        Err(mistakes) => ConfCheck { mistakes, ..ConfCheck::default() },
    }))
}
