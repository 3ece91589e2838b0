//! What this machine is told: finds ezio.conf, reads it, and picks out this machine's orders.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ezio_contract::{Arch, MachineId, ports, urls};
use ezio_image::conf::{Conf, ImageRef, Orders};
use tokio::time::{Instant, sleep};
use url::Url;

use super::image::{Fetched, Image};
use crate::fetch::location::Location;
use crate::fetch::signature::PublicKey;
use crate::fetch::torrent::Torrent;
use crate::fetch::{FetchError, Fetcher, Patience};
use crate::screen::Screen;
use crate::screen::nag::Nag;

const ROUND_PAUSE: Duration = Duration::from_secs(2);

/// What this machine is told.
#[derive(Debug)]
pub(crate) struct Briefing {
    pub(crate) orders: Orders,
    /// Where the conf came from: images are found on the same server.
    pub(crate) origin: Location,
    /// Where reports go.
    pub(crate) report: Option<Url>,
    /// Whose orders these are.
    pub(crate) machine: MachineId,
    /// The group that it was started with.
    pub(crate) group: Option<String>,
}

/// Where to look for ezio.conf.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfPlaces {
    /// Tried in turn.
    pub(crate) candidates: Vec<Location>,
    /// Where images by name lie, if not beside the conf.
    pub(crate) images: Option<Location>,
}

impl ConfPlaces {
    /// `told` comes from the kernel command line, `server` from DHCP. An embedded conf is taken where none is told.
    pub(crate) fn find(
        told: Option<&str>,
        server: Option<Ipv4Addr>,
        embedded: &Path,
    ) -> anyhow::Result<Self> {
        if let Some(url) = told {
            return Ok(Self { candidates: vec![url.parse().context("ezio.conf=")?], images: None });
        }
        let served = server.map(conf_on).transpose()?;
        if embedded.exists() {
            let images = served.and_then(|served| served.into_iter().next());
            return Ok(Self { candidates: vec![Location::Local(embedded.to_owned())], images });
        }
        match served {
            Some(candidates) => Ok(Self { candidates, images: None }),
            None => bail!(
                "no ezio.conf: neither ezio.conf=URL on the kernel command line (on a stick: server=ADDRESS in \
                 ezio.txt) nor a boot server from DHCP"
            ),
        }
    }
}

/// Where the server that a person names has its ezio.conf: `10.0.0.1`, `deploy.example:8080`, `http://10.0.0.1:8080/`.
/// The address of a file stays what it is.
pub(crate) fn conf_of_server(server: &str) -> String {
    let host = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    match (host.contains('/'), host.contains(':')) {
        (true, _) => server.to_owned(),
        (false, true) => format!("http://{host}/{}", urls::CONF),
        (false, false) => format!("http://{host}:{}/{}", ports::HTTP, urls::CONF),
    }
}

/// Where a boot server has ezio.conf.
fn conf_on(server: Ipv4Addr) -> anyhow::Result<Vec<Location>> {
    let urls = [
        format!("http://{server}:{}/{}", ports::HTTP, urls::CONF),
        format!("tftp://{server}/{}", urls::CONF),
    ];
    urls.iter().map(|url| Ok(url.parse()?)).collect()
}

/// Where modules lie that the initrd left out, each place to be tried in turn: on the server of ezio.conf, then on the
/// boot server that DHCP named.
pub(crate) fn boot_folders(conf: &Location, boot_server: Option<Ipv4Addr>) -> anyhow::Result<Vec<Location>> {
    let arch = Arch::of_this_program().context("no server has modules for this architecture")?;
    let of_boot_server = boot_server.map(conf_on).transpose()?.unwrap_or_default();
    let mut folders = Vec::new();
    for server in [conf].into_iter().chain(&of_boot_server) {
        let folder = server.on_same_server(&urls::boot_file(arch, ""));
        if !matches!(folder, Location::Local(_)) && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    Ok(folders)
}

/// Fetches ezio.conf from the first place that has it, asking again while none answers.
pub(crate) async fn fetch_conf(
    places: &ConfPlaces,
    fetcher: &Fetcher,
    patience: Patience,
    key: Option<&PublicKey>,
    screen: &Screen,
) -> anyhow::Result<(Conf, Location)> {
    let end = Instant::now() + patience.total;
    let mut nag = Nag::new(screen);
    loop {
        let mut errors: Vec<FetchError> = Vec::new();
        for location in &places.candidates {
            match fetcher.get(location).await {
                Ok(bytes) => {
                    if let Some(key) = key {
                        key.check(location, &bytes, fetcher).await?;
                    }
                    let conf = read_conf(&bytes, location)?;
                    return Ok((conf, places.images.clone().unwrap_or_else(|| location.clone())));
                }
                Err(error) => errors.push(error),
            }
        }
        let all = errors
            .into_iter()
            .map(|e| format!("{:#}", anyhow::Error::from(e)))
            .collect::<Vec<_>>()
            .join("; ");
        if Instant::now() + ROUND_PAUSE > end {
            bail!("no server gave ezio.conf within {} s: {all}", patience.total.as_secs());
        }
        nag.say(format!("conf: {all}: trying again"));
        sleep(ROUND_PAUSE).await;
    }
}

fn read_conf(bytes: &[u8], location: &Location) -> anyhow::Result<Conf> {
    let text = std::str::from_utf8(bytes).with_context(|| format!("{location}: not text"))?;
    Conf::parse(text).with_context(|| location.to_string())
}

impl Briefing {
    /// This machine's orders.
    pub(crate) fn of(
        conf: &Conf,
        origin: Location,
        machine: &MachineId,
        group: Option<&str>,
        report: Option<&str>,
    ) -> anyhow::Result<Self> {
        let orders = conf.orders_for(machine, group)?;
        let report = report_url(report.or(orders.report.as_deref()), &origin)?;
        Ok(Self { orders, origin, report, machine: machine.clone(), group: group.map(str::to_owned) })
    }

    /// Fetches the images that are ordered, one for each of `orders.writes`.
    pub(crate) async fn fetch_images(
        &self,
        fetcher: &Fetcher,
        key: Option<&PublicKey>,
        screen: &Screen,
    ) -> anyhow::Result<Vec<Fetched>> {
        let mut images = Vec::new();
        for write in &self.orders.writes {
            images.push(self.fetch_image(&write.image, fetcher, key, screen).await?);
        }
        Ok(images)
    }

    async fn fetch_image(
        &self,
        image: &ImageRef,
        fetcher: &Fetcher,
        key: Option<&PublicKey>,
        screen: &Screen,
    ) -> anyhow::Result<Fetched> {
        let fetch_torrent = async |source: &str| {
            ensure!(
                key.is_none(),
                "{source}: this initrd takes signed images only, and a torrent has no signature"
            );
            let mut nag = Nag::new(screen);
            let tell = |error: &FetchError, _| nag.say(format!("image: {error}: trying again"));
            let torrent = Torrent::fetch(source, &[], fetcher, Patience::DEFAULT, tell).await?;
            let mut nag = Nag::new(screen);
            let tell = |why: &str| nag.say(format!("image: its beginning has not come yet: {why}"));
            Ok(Fetched::One(Box::new(Image::Torrent(torrent.measured(&[], tell).await?))))
        };
        match image {
            ImageRef::Name(name) => {
                let folder = self.origin.on_same_server(&urls::image(name));
                Fetched::fetch(&folder, fetcher, key, screen).await
            }
            ImageRef::TorrentPath(path) => fetch_torrent(&self.origin.on_same_server(path).to_string()).await,
            ImageRef::Url(url) if url.starts_with("magnet:") => fetch_torrent(url).await,
            ImageRef::Url(url) => {
                let location: Location = url.parse()?;
                if location.is_torrent() {
                    return fetch_torrent(url).await;
                }
                Fetched::fetch(&location, fetcher, key, screen).await
            }
        }
    }
}

/// Where reports go: where told, else to the server that the conf came from, if that speaks HTTP.
fn report_url(told: Option<&str>, origin: &Location) -> anyhow::Result<Option<Url>> {
    let location = match told {
        Some(url) => url.parse().context("address for reports")?,
        None => origin.on_same_server(urls::REPORT),
    };
    match location {
        Location::Http(url) => Ok(Some(url)),
        _ if told.is_some() => bail!("address for reports {location}: not http://"),
        _ => Ok(None),
    }
}

#[cfg(test)]
#[path = "briefing_tests.rs"]
mod tests;
