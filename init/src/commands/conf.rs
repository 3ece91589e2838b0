//! The ezio.conf that a person names, with this machine's orders in it; the image that a person names.

use std::time::Duration;

use crate::fetch::location::Location;
use crate::fetch::torrent::Torrent;
use crate::fetch::{Fetcher, Patience};
use crate::machine::{self, SystemPaths};
use crate::run::briefing::{Briefing, ConfPlaces, fetch_conf};
use crate::run::image::{Fetched, Image};
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

/// The image or the set of images in a folder, here or on a server, or a torrent.
pub(crate) async fn image_at(name: &str, fetcher: &Fetcher) -> anyhow::Result<Fetched> {
    let location: Location = name.parse()?;
    if location.is_torrent() {
        let torrent = Torrent::fetch(name, &[], fetcher, Patience::NONE, |_, _| {}).await?;
        return Ok(Fetched::One(Box::new(Image::Torrent(torrent))));
    }
    Fetched::fetch(&location, fetcher, None, &Screen::dark()).await
}
