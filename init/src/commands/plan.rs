//! `plan`: what would be done to which disk of this running system.

use std::path::Path;

use anyhow::{Context, bail};
use ezio_contract::MachineId;
use ezio_contract::identity::IdentityAnswer;
use ezio_image::conf::{Conf, ImageRef, Orders, Settings};

use super::arguments::PlanOptions;
use super::conf::{brief, image_at};
use super::print;
use crate::fetch::Fetcher;
use crate::identity::ask;
use crate::identity::plan::IdentityPlan;
use crate::machine::SystemPaths;
use crate::run::share_out::assign;
use crate::run::{health, list_disks};
use crate::screen::Screen;

/// Shows what would be done to which disk; writes nothing.
pub(crate) async fn plan(options: &PlanOptions) -> anyhow::Result<()> {
    let screen = Screen::dark();
    let paths = SystemPaths::below(Path::new("/"));
    let fetcher = Fetcher::new()?;
    let briefing = match &options.conf {
        Some(conf) => Some(brief(conf, &paths, options.group.as_deref(), None, &fetcher, &screen).await?),
        None => None,
    };
    let images = match (&options.image, &briefing) {
        (Some(image), _) => vec![image_at(image, &fetcher).await?],
        (None, Some(briefing)) => briefing.fetch_images(&fetcher, None, &screen).await?,
        (None, None) => bail!("neither an image nor a conf"),
    };
    let mut orders = match (briefing, images.as_slice()) {
        (Some(briefing), images) if briefing.orders.writes.len() == images.len() => briefing.orders,
        (None, [image]) => default_orders(image.name())?,
        _ => bail!("--image gives one image, but the conf has several [[disk]]"),
    };
    orders.allow_only(&options.disks);
    if let Some(grow) = &options.grow {
        orders.grow = grow.clone();
    }
    let disks = list_disks(&paths, &options.disks)?;
    let assignment = assign(&images, &orders, &disks)?;
    print(&assignment.to_string())?;
    print(&identity_lines(&orders))?;
    let health = health::ask(&paths.sys, &disks).await;
    health::complaints(&disks, &health).iter().try_for_each(|line| print(&format!("{line}\n")))
}

/// What would make this clone differ from the next, as far as it is known without the server.
fn identity_lines(orders: &Orders) -> String {
    let own = IdentityAnswer::default();
    let plan = IdentityPlan::of(orders, &own);
    let asked =
        ask::is_needed(orders).then_some("  host name and files that the server has for this machine\n");
    match (plan.is_empty(), asked) {
        (true, None) => String::new(),
        (_, asked) => format!("identity:\n{}{plan}", asked.unwrap_or_default()),
    }
}

/// What an ezio.conf that names nothing but an image says.
fn default_orders(image: &str) -> anyhow::Result<Orders> {
    let image: ImageRef = image.parse().map_err(anyhow::Error::msg)?;
    let conf = Conf::for_image(image, Settings::default());
    conf.orders_for(&MachineId::default(), None).context("orders")
}
