//! What would be done to each machine.

use std::sync::Arc;

use axum::extract::{Json, State};
use axum::routing::get;
use ezio_contract::urls;

use super::description::Barred;
use super::guard::Routes;
use crate::access::Role;
use crate::catalogue::Catalogue;
use crate::conf::RoomConf;
use crate::fleet::Fleet;
use crate::plan::{self, PlanView};

/// What this file needs.
pub(crate) struct Plans {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) conf: Arc<RoomConf>,
    pub(crate) fleet: Arc<Fleet>,
}

pub(super) fn routes(plans: Arc<Plans>) -> Routes {
    Routes::new().at(urls::PLAN, Role::Viewer, get(plan)).with_state(plans)
}

/// What would be done to each known machine at its next network boot
#[utoipa::path(get, path = "/api/plan", tag = "room", responses((status = 200, body = PlanView), Barred))]
pub(super) async fn plan(State(plans): State<Arc<Plans>>) -> Json<PlanView> {
    let (machines, rules) = plans.fleet.machines();
    Json(plan::of(&machines, &rules, plans.conf.current().as_deref(), &plans.catalogue))
}
