//! Orders to deploy: what would come of them, now, or later.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use chrono::Local;
use ezio_contract::urls;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::act::{Answer, Order, Parts, acted};
use super::body::{Rejection, json, not_kept};
use super::description::{Barred, Refused};
use super::guard::{Did, Routes};
use crate::access::{Caller, Role};
use crate::catalogue::Catalogue;
use crate::fleet::{Acted, Machine, Rules};
use crate::plan::{self, PlanView};
use crate::schedule::{Schedule, Schedules, When, Wish};

/// What this file needs.
pub(super) struct Orders {
    pub(super) who: Parts,
    pub(super) schedules: Arc<Schedules>,
    pub(super) catalogue: Arc<Catalogue>,
}

/// A wish, and when.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Later {
    #[serde(flatten)]
    wish: Wish,
    /// `2026-12-01 03:00` or `03:00` in the server's zone, or as RFC 3339 has it.
    at: Option<String>,
    /// Minute, hour, day of the month, month, day of the week, in the server's zone.
    cron: Option<String>,
}

/// What is kept for later.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScheduleList {
    pub(crate) schedules: Vec<ScheduleView>,
}

/// A schedule, and when it is carried out next.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScheduleView {
    #[serde(flatten)]
    pub(crate) schedule: Schedule,
    /// Seconds since 1970.
    pub(crate) next: Option<f64>,
}

/// Which one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    id: u64,
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> Self {
        Self { next: schedule.next(), schedule }
    }
}

pub(super) fn routes(orders: Orders) -> Routes {
    Routes::new()
        .asks(urls::DEPLOY_PLAN, Role::Operator, post(deploy_plan))
        .at(urls::DEPLOY, Role::Operator, post(deploy))
        .at(urls::CANCEL, Role::Operator, post(cancel))
        .at(urls::SCHEDULES, Role::Viewer, get(schedules))
        .at(urls::SCHEDULES, Role::Operator, post(schedule))
        .at(urls::UNSCHEDULE, Role::Operator, post(unschedule))
        .with_state(Arc::new(orders))
}

/// What would become of machines that are ordered to deploy
#[utoipa::path(post, path = "/api/deploy/plan", tag = "acts", request_body = Wish, responses(
    (status = 200, body = PlanView),
    Barred,
    Refused,
    (status = 422, description = "The image is not served, or ezio.conf has no place for it", content_type = "text/plain", body = String),
))]
pub(super) async fn deploy_plan(
    State(orders): State<Arc<Orders>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PlanView>, Rejection> {
    let wish: Wish = json(&headers, body).await?;
    let wish = orders.checked(wish, &caller)?;
    let (machines, rules) = orders.supposed(&wish);
    Ok(Json(plan::of(&machines, &rules, orders.who.conf.current().as_deref(), &orders.catalogue)))
}

/// Has machines deployed: at once, as far as they can be woken, else at their next network boot
#[utoipa::path(post, path = "/api/deploy", tag = "acts", request_body = Wish, responses(
    (status = 200, body = Acted),
    (status = 404, body = Acted, description = "No machine has these names"),
    Barred,
    Refused,
    (status = 422, description = "The image is not served, or ezio.conf has no place for it", content_type = "text/plain", body = String),
))]
pub(super) async fn deploy(
    State(orders): State<Arc<Orders>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let wish: Wish = json(&headers, body).await?;
    let wish = orders.checked(wish, &caller)?;
    let done = orders.schedules.deploy(&wish, Vec::new()).await;
    done.map(|done| acted("deploy", done)).map_err(|e| not_kept("deploy", &e))
}

/// Takes back what was ordered for machines and has not begun
#[utoipa::path(post, path = "/api/cancel", tag = "acts", request_body = Order,
    responses((status = 200, body = Acted), (status = 404, body = Acted, description = "No machine has these names"), Barred, Refused))]
pub(super) async fn cancel(State(orders): State<Arc<Orders>>, headers: HeaderMap, body: Body) -> Answer {
    let order: Order = json(&headers, body).await?;
    let done = orders.who.fleet.cancel(&orders.who.meant(&order.machines)).await;
    done.map(|done| acted("cancel", done)).map_err(|e| not_kept("cancel", &e))
}

/// What is to be deployed later
#[utoipa::path(get, path = "/api/schedules", tag = "room", responses((status = 200, body = ScheduleList), Barred))]
pub(super) async fn schedules(State(orders): State<Arc<Orders>>) -> Json<ScheduleList> {
    Json(ScheduleList { schedules: orders.schedules.all().into_iter().map(ScheduleView::from).collect() })
}

/// Has machines deployed later: once, or again and again
#[utoipa::path(post, path = "/api/schedules", tag = "acts", request_body = Later, responses(
    (status = 200, body = ScheduleView),
    Barred,
    Refused,
    (status = 422, description = "It is no time, or the image is not served", content_type = "text/plain", body = String),
))]
pub(super) async fn schedule(
    State(orders): State<Arc<Orders>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let later: Later = json(&headers, body).await?;
    let when = match (&later.at, &later.cron) {
        (Some(at), None) => When::at(at),
        (None, Some(cron)) => When::cron(cron),
        _ => Err("say either at or cron".to_owned()),
    };
    let (when, wish) = (when.map_err(unfit)?, orders.checked(later.wish, &caller)?);
    let kept = orders.schedules.add(wish, when).await.map_err(|e| not_kept("schedule", &e))?;
    let schedule = kept.ok_or_else(|| unfit("there are too many schedules".to_owned()))?;
    let what = format!("schedule {}: {:?} {:?}", schedule.id, schedule.when, schedule.wish);
    Ok(Did::beside(what, Json(ScheduleView::from(schedule))))
}

/// Removes a schedule
#[utoipa::path(post, path = "/api/schedules/remove", tag = "acts", request_body = Which, responses(
    (status = 204, description = "It is gone"),
    Barred,
    Refused,
    (status = 404, description = "There is none with this number", content_type = "text/plain", body = String),
))]
pub(super) async fn unschedule(State(orders): State<Arc<Orders>>, headers: HeaderMap, body: Body) -> Answer {
    let which: Which = json(&headers, body).await?;
    match orders.schedules.remove(which.id).await.map_err(|e| not_kept("unschedule", &e))? {
        true => Ok(Did::beside(format!("remove schedule {}", which.id), StatusCode::NO_CONTENT)),
        false => Err((StatusCode::NOT_FOUND, format!("there is no schedule {}\n", which.id))),
    }
}

fn unfit(why: String) -> Rejection {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n"))
}

impl Orders {
    /// The machines as they would be, and the rules that hold for them.
    fn supposed(&self, wish: &Wish) -> (Vec<Machine>, Rules) {
        self.who.fleet.supposed(&self.who.meant(&wish.machines), &wish.order, wish.approve)
    }

    /// A wish that can be carried out, by the name of who has it.
    fn checked(&self, mut wish: Wish, caller: &Caller) -> Result<Wish, Rejection> {
        let now = Local::now().format("%Y-%m-%d %H:%M");
        wish.order.source = format!("the order of {}, {now}", caller.label());
        if let Some(image) = &wish.order.image
            && !self.catalogue.names().any(|name| name == image)
        {
            let known: Vec<&str> = self.catalogue.names().collect();
            return Err(unfit(format!("{image:?} is not served here (served: {})", known.join(", "))));
        }
        let Some(conf) = self.who.conf.current() else { return Ok(wish) };
        for machine in self.supposed(&wish).0 {
            let fits = machine.over().map_or(Ok(()), |over| conf.may_lie_over(&over));
            fits.map_err(|why| unfit(format!("machine {}: {why}", machine.id)))?;
        }
        Ok(wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_nobody_knows_is_refused() {
        let good = r#"{"machines": ["a"], "image": "lab", "wake": true}"#;
        assert!(serde_json::from_str::<Wish>(good).is_ok());
        let later = r#"{"machines": ["a"], "image": "lab", "at": "03:00"}"#;
        assert!(serde_json::from_str::<Later>(later).is_ok());
        let misspelled = r#"{"machines": ["a"], "imgae": "lab"}"#;
        for error in [
            serde_json::from_str::<Wish>(misspelled).unwrap_err(),
            serde_json::from_str::<Later>(misspelled).unwrap_err(),
        ] {
            assert!(error.to_string().contains("imgae"), "{error}");
        }
    }
}
