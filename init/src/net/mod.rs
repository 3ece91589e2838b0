//! The network: which card, which address, and keeping it.

mod dhcp;
mod links;
mod sysctl;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use ezio_contract::Mac;
use ezio_netproto::dhcp::client::Lease;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::machine::cmdline::Cmdline;
use crate::machine::ip_param::{IpParam, StaticIp};
use crate::machine::pci::{self, Missing};
use crate::machine::steps::Steps;
use crate::screen::Screen;

use dhcp::Bound;
pub(crate) use links::Card;
use links::Links;
pub(crate) use sysctl::tune;

/// Until a card has a link and an address: drivers load firmware, switches keep a port closed for
/// 30 s (spanning tree), DHCP servers are slow.
const NETWORK_BOUND: Duration = Duration::from_secs(150);
/// How long only the card that booted is considered.
const BOOT_CARD_BOUND: Duration = Duration::from_secs(45);
/// After a lease without a boot server: how long other cards may come up with a better one.
const BETTER_LEASE_GRACE: Duration = Duration::from_secs(5);

/// A configured network. Dropping it ends the renewal of the lease.
#[derive(Debug)]
pub(crate) struct Network {
    /// Card in use.
    pub(crate) card: Card,
    /// Address of this machine.
    pub(crate) address: Ipv4Addr,
    /// Server that DHCP or `ip=` named.
    pub(crate) boot_server: Option<Ipv4Addr>,
    _keeper: Option<JoinSet<()>>,
}

/// What the choice of a card depends on.
#[derive(Debug)]
struct Wanted<'a> {
    device: Option<&'a str>,
    boot_mac: Option<Mac>,
    /// The conf's address is not known yet: a lease that names a boot server is better.
    boot_server: bool,
}

impl Wanted<'_> {
    /// Is there a card that is meant before all others?
    fn names_one(&self) -> bool {
        self.device.is_some() || self.boot_mac.is_some()
    }

    /// `ip=` names the card or else `BOOTIF=` does; else any will do.
    fn means(&self, card: &Card) -> bool {
        match (self.device, self.boot_mac) {
            (Some(device), _) => device == card.name,
            (None, Some(mac)) => mac == card.mac,
            (None, None) => true,
        }
    }
}

/// Brings up a card and gets an address for it.
pub(crate) async fn bring_up(
    cmdline: &Cmdline,
    sys: &Path,
    steps: &Steps,
    screen: &Screen,
) -> anyhow::Result<Network> {
    let links = Links::open(sys)?;
    let fixed = match &cmdline.ip {
        Some(IpParam::Static(fixed)) => Some(fixed),
        _ => None,
    };
    let device = match &cmdline.ip {
        Some(IpParam::Static(StaticIp { device, .. }) | IpParam::Dhcp { device }) => device.as_deref(),
        None => None,
    };
    let wanted = Wanted {
        device,
        boot_mac: cmdline.boot_mac,
        boot_server: cmdline.conf.is_none() && cmdline.server.is_none(),
    };
    let network = match fixed {
        Some(fixed) => with_fixed_address(links, &wanted, fixed, steps, screen).await,
        None => with_lease(links, &wanted, steps, screen).await,
    };
    network.map_err(|error| pci::explain(error, sys, Missing::NetworkCard))
}

async fn with_fixed_address(
    mut links: Links,
    wanted: &Wanted<'_>,
    fixed: &StaticIp,
    steps: &Steps,
    screen: &Screen,
) -> anyhow::Result<Network> {
    screen.step("network: waiting for a link");
    let began = Instant::now();
    let mut dead = DeadCards::default();
    let card = loop {
        let cards = usable(&links, wanted, began, &mut dead, screen).await?;
        if let Some(card) = cards.into_iter().next() {
            steps.take(|times| &mut times.link_s);
            break card;
        }
        wait_for_links(&mut links, began, &dead).await?;
    };
    links.set_address(&card, fixed.address, fixed.prefix).await?;
    if let Some(gateway) = fixed.gateway {
        links.set_default_route(&card, gateway).await?;
    }
    write_resolv_conf(&fixed.dns, None);
    steps.take(|times| &mut times.lease_s);
    screen.step(&format!("network: {} is {}/{}", card.name, fixed.address, fixed.prefix));
    Ok(Network { card, address: fixed.address, boot_server: fixed.server, _keeper: None })
}

async fn with_lease(
    mut links: Links,
    wanted: &Wanted<'_>,
    steps: &Steps,
    screen: &Screen,
) -> anyhow::Result<Network> {
    let began = Instant::now();
    let mut asking: JoinSet<anyhow::Result<Bound>> = JoinSet::new();
    let mut asked: HashMap<u32, String> = HashMap::new();
    let mut dead = DeadCards::default();
    let mut second_best: Option<(Bound, Instant)> = None;
    screen.step("network: waiting for a link");
    let bound = loop {
        for card in usable(&links, wanted, began, &mut dead, screen).await? {
            steps.take(|times| &mut times.link_s);
            if asked.insert(card.index, card.name.clone()).is_none() {
                screen.step(&format!("network: asking for an address (DHCP on {}, {})", card.name, card.mac));
                asking.spawn(dhcp::ask(card, wanted.boot_server));
            }
        }
        let give_up = second_best.as_ref().map_or(began + NETWORK_BOUND, |(_, until)| *until);
        tokio::select! {
            Some(answer) = asking.join_next() => match answer.context("asking for an address")? {
                Ok(bound) if bound.lease.boot_server.is_some() || !wanted.boot_server => break bound,
                Ok(bound) if asking.is_empty() => break bound,
                Ok(bound) => second_best = Some((bound, Instant::now() + BETTER_LEASE_GRACE)),
                Err(error) => screen.step(&format!("network: {error:#}")),
            },
            changed = links.changed() => changed?,
            () = sleep_until(give_up) => match second_best.take() {
                Some((bound, _)) => break bound,
                None => bail!("{}", why_no_lease(&asked, &dead, began.elapsed())),
            },
            // The card that booted had its time: look at the others.
            () = sleep_until(began + BOOT_CARD_BOUND), if wanted.names_one() && began.elapsed() < BOOT_CARD_BOUND => {}
        }
    };
    let lease = bound.lease.clone();
    apply(&links, &bound.card, &lease, None).await?;
    steps.take(|times| &mut times.lease_s);
    screen.step(&format!("network: {} is {}/{}", bound.card.name, lease.address, lease.prefix));
    let card = bound.card.clone();
    let mut keeper = JoinSet::new();
    keeper.spawn(keep(links, bound));
    Ok(Network { card, address: lease.address, boot_server: lease.boot_server, _keeper: Some(keeper) })
}

/// Cards that cannot be switched on, by the kernel's numbers, and why.
type DeadCards = BTreeMap<u32, String>;

/// Cards with a link that may be asked now, after all have been switched on. One that cannot be is told once: another
/// may do.
async fn usable(
    links: &Links,
    wanted: &Wanted<'_>,
    began: Instant,
    dead: &mut DeadCards,
    screen: &Screen,
) -> anyhow::Result<Vec<Card>> {
    let mut cards = links.cards().await?;
    for card in cards.iter().filter(|card| !card.up) {
        if !dead.contains_key(&card.index)
            && let Err(error) = links.switch_on(card).await
        {
            let why = format!("{error:#}");
            screen.step(&format!("network: {why}"));
            dead.insert(card.index, why);
        }
    }
    cards.retain(|card| card.carrier);
    let only_the_meant = wanted.names_one() && began.elapsed() < BOOT_CARD_BOUND || wanted.device.is_some();
    cards.retain(|card| !only_the_meant || wanted.means(card));
    Ok(cards)
}

async fn wait_for_links(links: &mut Links, began: Instant, dead: &DeadCards) -> anyhow::Result<()> {
    tokio::select! {
        changed = links.changed() => changed,
        () = sleep_until(began + BOOT_CARD_BOUND), if began.elapsed() < BOOT_CARD_BOUND => Ok(()),
        () = sleep_until(began + NETWORK_BOUND) => bail!("{}", why_no_lease(&HashMap::new(), dead, began.elapsed())),
    }
}

fn why_no_lease(asked: &HashMap<u32, String>, dead: &DeadCards, waited: Duration) -> String {
    let mut names: Vec<&str> = asked.values().map(String::as_str).collect();
    names.sort_unstable();
    let mut why = match names.is_empty() {
        true => format!("no network card with a link after {} s (no driver, no cable?)", waited.as_secs()),
        false => format!("no DHCP server answered on {} within {} s", names.join(", "), waited.as_secs()),
    };
    dead.values().for_each(|reason| why.extend(["; ", reason]));
    why
}

/// Renews the lease for as long as it is wanted.
async fn keep(links: Links, mut bound: Bound) {
    let mut current = Some(bound.lease.clone());
    loop {
        let next = match bound.next().await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!("the lease is not renewed any more: {error:#}");
                return;
            }
        };
        let changed = match &next {
            Some(lease) => apply(&links, &bound.card, lease, current.as_ref()).await,
            None => drop_address(&links, &bound.card, current.as_ref()).await,
        };
        if let Err(error) = changed {
            tracing::warn!("the new lease cannot be used: {error:#}");
        }
        current = next;
    }
}

async fn apply(links: &Links, card: &Card, lease: &Lease, before: Option<&Lease>) -> anyhow::Result<()> {
    let same = |b: &&Lease| (b.address, b.prefix, b.router) == (lease.address, lease.prefix, lease.router);
    if before.is_some_and(|b| same(&b)) {
        return Ok(());
    }
    drop_address(links, card, before).await?;
    links.set_address(card, lease.address, lease.prefix).await?;
    if let Some(router) = lease.router {
        links.set_default_route(card, router).await?;
    }
    write_resolv_conf(&lease.dns, lease.domain.as_deref());
    Ok(())
}

async fn drop_address(links: &Links, card: &Card, lease: Option<&Lease>) -> anyhow::Result<()> {
    match lease {
        Some(lease) => links.remove_address(card, lease.address).await,
        None => Ok(()),
    }
}

/// Names are a convenience (`ezio.conf=http://deploy.example/…`): without them addresses still work.
fn write_resolv_conf(dns: &[Ipv4Addr], domain: Option<&str>) {
    let mut text: String = dns.iter().map(|server| format!("nameserver {server}\n")).collect();
    text.extend(domain.map(|domain| format!("search {domain}\n")));
    if let Err(error) = std::fs::write("/etc/resolv.conf", text) {
        tracing::warn!("/etc/resolv.conf: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, mac: &str) -> Card {
        Card { index: 1, name: name.into(), mac: mac.parse().unwrap(), up: true, carrier: true }
    }

    #[test]
    fn ip_names_the_card_before_bootif_does() {
        let (eth0, eth1) = (card("eth0", "52:54:00:00:00:01"), card("eth1", "52:54:00:00:00:02"));
        let by_mac = Wanted { device: None, boot_mac: "52:54:00:00:00:02".parse().ok(), boot_server: true };
        assert!(!by_mac.means(&eth0) && by_mac.means(&eth1) && by_mac.names_one());
        let by_name = Wanted { device: Some("eth0"), ..by_mac };
        assert!(by_name.means(&eth0) && !by_name.means(&eth1));
        let any = Wanted { device: None, boot_mac: None, boot_server: true };
        assert!(any.means(&eth0) && any.means(&eth1) && !any.names_one());
    }

    #[test]
    fn says_what_was_tried() {
        let asked = HashMap::from([(2, "eth1".to_owned()), (1, "eth0".to_owned())]);
        let none = DeadCards::new();
        let text = why_no_lease(&asked, &none, Duration::from_secs(150));
        assert_eq!(text, "no DHCP server answered on eth0, eth1 within 150 s");
        assert!(why_no_lease(&HashMap::new(), &none, Duration::ZERO).contains("no network card with a link"));
        let dead = DeadCards::from([(3, "switching eth2 (e100) on: no firmware".to_owned())]);
        let text = why_no_lease(&HashMap::new(), &dead, Duration::ZERO);
        assert!(text.ends_with("; switching eth2 (e100) on: no firmware"), "{text}");
    }
}
