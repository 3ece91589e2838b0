//! The ezio.conf that a person names, and this machine's orders in it.

use std::time::Duration;

use crate::fetch::{Fetcher, Patience};
use crate::machine::{self, SystemPaths};
use crate::run::briefing::{Briefing, ConfPlaces, fetch_conf};
use crate::screen::Screen;

/// The person waits: a server that starts right now is all that this is for.
const CONF_PATIENCE: Patience = Patience { total: Duration::from_secs(30) };

/// Fetches the conf, and picks out this machine's orders.
pub(crate) async fn brief(
    conf: &str,
    paths: &SystemPaths,
    group: Option<&str>,
    report: Option<&str>,
    fetcher: &Fetcher,
    screen: &Screen,
) -> anyhow::Result<Briefing> {
    let places = ConfPlaces { candidates: vec![conf.parse()?], images: None };
    let (conf, origin) = fetch_conf(&places, fetcher, CONF_PATIENCE, None, screen).await?;
    Briefing::of(&conf, origin, &machine::identity(paths, None), group, report)
}
