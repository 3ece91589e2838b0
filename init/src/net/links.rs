//! Network cards, addresses and routes, through the kernel's rtnetlink.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ezio_contract::Mac;
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{Handle, LinkUnspec, MulticastGroup, RouteMessageBuilder, new_multicast_connection};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A wired network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    /// The kernel's number for it.
    pub(crate) index: u32,
    /// "eth0", ...
    pub(crate) name: String,
    pub(crate) mac: Mac,
    /// Switched on.
    pub(crate) up: bool,
    /// There is a link: a cable with something at its other end.
    pub(crate) carrier: bool,
}

/// The kernel's word on links, and ours to it.
pub(crate) struct Links {
    handle: Handle,
    changes: watch::Receiver<()>,
    class_net: PathBuf,
    _connection: JoinSet<()>,
}

impl Links {
    /// Begins to listen for changes.
    pub(crate) fn open(sys: &Path) -> anyhow::Result<Self> {
        let (connection, handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])
            .context("opening the kernel's rtnetlink socket")?;
        let (changed, changes) = watch::channel(());
        let mut running = JoinSet::new();
        running.spawn(connection);
        // All that counts is that something has changed: what, is asked for.
        running.spawn(async move {
            while messages.next().await.is_some() {
                changed.send_replace(());
            }
        });
        Ok(Self { handle, changes, class_net: sys.join("class/net"), _connection: running })
    }

    /// Waits until some link has changed since the last call.
    pub(crate) async fn changed(&mut self) -> anyhow::Result<()> {
        self.changes.changed().await.map_err(|_| anyhow!("the kernel's rtnetlink socket is closed"))
    }

    /// Wired cards with hardware behind them, in order of their numbers.
    pub(crate) async fn cards(&self) -> anyhow::Result<Vec<Card>> {
        let links: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.context("listing network cards")?;
        let cards = links.iter().filter_map(card_of);
        let is_wired_card = |card: &Card| {
            let folder = self.class_net.join(&card.name);
            folder.join("device").exists() && !folder.join("phy80211").exists()
        };
        Ok(cards.filter(is_wired_card).collect())
    }

    /// Switches a card on; its link comes later.
    pub(crate) async fn switch_on(&self, card: &Card) -> anyhow::Result<()> {
        let message = LinkUnspec::new_with_index(card.index).up().build();
        let error = match self.handle.link().set(message).execute().await {
            Ok(()) => return Ok(()),
            Err(error) if lacks_firmware(&error) => anyhow!("{MISSING_FIRMWARE}"),
            Err(error) => error.into(),
        };
        let driver = std::fs::read_link(self.class_net.join(&card.name).join("device/driver"));
        let driver = driver.ok().and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
        Err(error.context(format!("switching {} ({}) on", card.name, driver.unwrap_or_default())))
    }

    /// Gives the card an address.
    pub(crate) async fn set_address(&self, card: &Card, address: Ipv4Addr, prefix: u8) -> anyhow::Result<()> {
        let add = self.handle.address().add(card.index, address.into(), prefix).replace();
        add.execute().await.with_context(|| format!("giving {} the address {address}/{prefix}", card.name))
    }

    /// Takes an address off the card, if it is there.
    pub(crate) async fn remove_address(&self, card: &Card, address: Ipv4Addr) -> anyhow::Result<()> {
        let list = self.handle.address().get().set_link_index_filter(card.index);
        let found: Vec<_> = list
            .set_address_filter(address.into())
            .execute()
            .try_collect()
            .await
            .with_context(|| format!("listing the addresses of {}", card.name))?;
        for message in found {
            let delete = self.handle.address().del(message).execute().await;
            delete.with_context(|| format!("taking the address {address} off {}", card.name))?;
        }
        Ok(())
    }

    /// Sends what is for other networks to this router. `onlink`: cloud-like /32 leases have a router
    /// outside their prefix.
    pub(crate) async fn set_default_route(&self, card: &Card, router: Ipv4Addr) -> anyhow::Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(router)
            .output_interface(card.index)
            .onlink()
            .build();
        let add = self.handle.route().add(route).replace().execute().await;
        add.with_context(|| format!("routing through {router} on {}", card.name))
    }
}

const MISSING_FIRMWARE: &str =
    "the driver finds no firmware file for it: pack it with image-builder netboot --firmware";

/// A driver whose firmware file is not there says ENOENT, and nothing else has a file to miss.
fn lacks_firmware(error: &rtnetlink::Error) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(message) if message.to_io().kind() == ErrorKind::NotFound)
}

fn card_of(link: &LinkMessage) -> Option<Card> {
    let flags = link.header.flags;
    let name = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let mac = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::Address(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac::new),
        _ => None,
    })?;
    let (up, carrier) = (flags.contains(LinkFlags::Up), flags.contains(LinkFlags::LowerUp));
    Some(Card { index: link.header.index, name, mac, up, carrier })
}
