//! What is served, and how a client reaches it: for the operator and for scripts.

use std::net::SocketAddr;

use ezio_image::conf::units::human_size;

use crate::dhcp::Dhcp;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::tls::Tls;

/// Where clients reach what is served.
pub(crate) struct Places<'a> {
    /// `http://ADDRESS:PORT`.
    pub(crate) base: &'a str,
    /// The same for people, and its certificate if it is by TLS.
    pub(crate) page: &'a str,
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) tftp: Option<SocketAddr>,
    pub(crate) peers: SocketAddr,
}

/// One line a thing.
pub(crate) fn lines(shared: &Shared, settings: &Settings, places: &Places) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(text);
    line(format!("ezio-pxe {} serves", env!("CARGO_PKG_VERSION")));
    for set in &shared.catalogue.sets {
        line(format!("  set        {}: {}", set.name, set.list.images().collect::<Vec<_>>().join(", ")));
    }
    for image in &shared.catalogue.images {
        let torrents = image.torrents.len();
        let plural = if torrents == 1 { "" } else { "s" };
        line(format!(
            "  image      {}: {} in {torrents} torrent{plural}, from {}",
            image.name,
            human_size(image.payload_bytes()),
            image.dir.display()
        ));
        for note in &image.manifest.notes {
            line(format!("             note: {note}"));
        }
    }
    for netboot in &shared.catalogue.netboots {
        let files: Vec<String> =
            netboot.list().map(|(name, size)| format!("{name} {}", human_size(size as u64))).collect();
        line(format!("  netboot    {}: {}", netboot.arch, files.join(", ")));
        if let (count @ 1.., size) = netboot.on_demand() {
            line(format!(
                "             {count} modules and firmware files on demand, {}",
                human_size(size as u64)
            ));
        }
    }
    match shared.conf.current() {
        Some(conf) => line(format!("  ezio.conf  {}", conf.origin)),
        None => line(
            "  ezio.conf  none: with several images, --conf has to say which machine gets which".to_owned(),
        ),
    }
    line("to clients at".to_owned());
    line(format!("  http       {}/", places.base));
    if let Some(tftp) = places.tftp {
        line(format!("  tftp       {tftp}"));
    }
    line(format!("  peers      {}", places.peers));
    match &settings.dhcp {
        Dhcp::Off => line(format!(
            "  dhcp       off: clients boot by other means, with ezio.conf={}/ezio.conf",
            places.base
        )),
        Dhcp::Proxy { interface } => {
            line(format!("  dhcp       proxy on {interface}, beside the network's own server"))
        }
        Dhcp::Full { interface, .. } => {
            line(format!("  dhcp       full on {interface}: it hands out the addresses"))
        }
    }
    if let Some(state) = &settings.state {
        line(format!("state in     {}", state.display()));
    }
    if let Some(link) = shared.access.first_link() {
        line(format!(
            "first login  {}/#/first/{} makes the first administrator, once",
            places.page,
            link.reveal()
        ));
    }
    if let Some(Tls { fingerprint, outdated, .. }) = places.tls {
        line(format!("certificate  SHA-256 {fingerprint}"));
        if let Some(outdated) = outdated {
            line(format!("             {outdated}"));
        }
    }
    line(format!("dashboard    {}/", places.page));
    lines
}
