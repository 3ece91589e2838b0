//! Wake-on-LAN: magic packets to the cards of machines, as broadcasts into the networks where they may be.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use ezio_contract::Mac;
use tokio::net::UdpSocket;

use crate::fleet::{ActedOn, Machine};

/// Where cards expect the packet, unless told otherwise: discard (RFC 863). They look at any port, and some switches only let this pass.
pub(crate) const PORT: u16 = 9;
/// How often a magic packet has the card's address, after six bytes of 255 (AMD, "Magic Packet Technology", 1995).
const REPEATS: usize = 16;

/// A network that is known, by an address in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: Ipv4Addr,
    pub(crate) mask: Ipv4Addr,
}

impl Network {
    fn contains(self, address: Ipv4Addr) -> bool {
        address & self.mask == self.address & self.mask
    }

    fn broadcast(self) -> Ipv4Addr {
        self.address | !self.mask
    }
}

/// Wakes machines.
#[derive(Debug)]
pub(crate) struct Waker {
    /// Networks that this server is in.
    own: Vec<Network>,
    /// Those behind routers, from the ranges of DHCP.
    far: Vec<Network>,
    port: u16,
    counters: Counters,
}

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Waker {
    pub(crate) fn new(own: Vec<Network>, far: Vec<Network>, port: u16) -> Self {
        Self { own, far, port, counters: Counters::default() }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sends to all of these cards. `address` is where their machine was last, if that is known.
    pub(crate) async fn wake(&self, macs: &[Mac], address: Option<Ipv4Addr>) -> Result<Vec<Ipv4Addr>> {
        let broadcasts = self.broadcasts(address);
        for own in &self.own {
            // From an address of the network, so that the packet leaves by its interface.
            let socket = open(own.address).await.with_context(|| format!("UDP on {}", own.address))?;
            let first = self.own.first() == Some(own);
            let reached = |to: &&Ipv4Addr| **to == own.broadcast() || first && !self.is_own(**to);
            for to in broadcasts.iter().filter(reached) {
                for mac in macs {
                    let sent = socket.send_to(&packet(*mac), (*to, self.port)).await;
                    sent.with_context(|| format!("sending to {to}, UDP port {}", self.port))?;
                }
            }
        }
        Ok(broadcasts)
    }

    fn is_own(&self, broadcast: Ipv4Addr) -> bool {
        self.own.iter().any(|network| network.broadcast() == broadcast)
    }

    /// Where a machine that was last at this address may be: in the networks of this server, and in its own behind routers, which
    /// have to let directed broadcasts through.
    fn broadcasts(&self, address: Option<Ipv4Addr>) -> Vec<Ipv4Addr> {
        let own = self.own.iter();
        let far = self.far.iter().filter(|network| address.is_some_and(|address| network.contains(address)));
        let mut all = Vec::new();
        for broadcast in own.chain(far).map(|network| network.broadcast()) {
            if !all.contains(&broadcast) {
                all.push(broadcast);
            }
        }
        all
    }
}

/// Tries to; it cannot be known whether the machine was off, or heard it.
pub(crate) async fn wake_one(waker: &Waker, machine: &Machine) -> ActedOn {
    let macs = machine.identity.macs();
    let address = machine.address.as_ref().and_then(|address| address.parse().ok());
    let address = address.and_then(|address: IpAddr| match address.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    let woken = match macs {
        [] => Err("no card of it is known".to_owned()),
        macs => waker.wake(macs, address).await.map_err(|e| format!("{e:#}")),
    };
    let counters = waker.counters();
    let counter = if woken.is_ok() { &counters.sent } else { &counters.failed };
    counter.fetch_add(1, Ordering::Relaxed);
    let cards: Vec<String> = macs.iter().map(ToString::to_string).collect();
    let what = woken.as_ref().map(|broadcasts| {
        let broadcasts: Vec<String> = broadcasts.iter().map(ToString::to_string).collect();
        format!("is called to wake: {} at {}", cards.join(", "), broadcasts.join(", "))
    });
    ActedOn { id: machine.id.clone(), done: woken.is_ok(), what: what.unwrap_or_else(|why| why.clone()) }
}

async fn open(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0)).await?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

fn packet(mac: Mac) -> Vec<u8> {
    [[255; 6].as_slice(), &mac.octets().repeat(REPEATS)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: [u8; 4], bits: u32) -> Network {
        Network { address: address.into(), mask: Ipv4Addr::from_bits(u32::MAX << (32 - bits)) }
    }

    #[test]
    fn a_packet_is_as_cards_expect_it() {
        let packet = packet(Mac::new([1, 2, 3, 4, 5, 6]));
        assert_eq!(packet.len(), 102);
        assert!(packet[..6].iter().all(|byte| *byte == 255));
        assert!(packet[6..].chunks(6).all(|part| part == [1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn machines_behind_routers_are_woken_in_their_own_network() {
        let waker = Waker::new(
            vec![network([10, 77, 0, 1], 24)],
            vec![network([10, 78, 0, 50], 24), network([10, 79, 4, 0], 22)],
            PORT,
        );
        let of = |address: [u8; 4]| waker.broadcasts(Some(address.into()));
        let own = Ipv4Addr::new(10, 77, 0, 255);
        assert_eq!(of([10, 77, 0, 9]), [own]);
        assert_eq!(of([10, 78, 0, 9]), [own, Ipv4Addr::new(10, 78, 0, 255)]);
        assert_eq!(of([10, 79, 6, 9]), [own, Ipv4Addr::new(10, 79, 7, 255)]);
        assert_eq!(of([192, 168, 0, 9]), [own]);
        assert_eq!(waker.broadcasts(None), [own]);
    }
}
