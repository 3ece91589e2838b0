//! DHCP proper (RFC 2131): addresses of our own, for the interface's network and for those behind relays.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use ezio_contract::dhcp::INIT_VENDOR_CLASS;
use ezio_netproto::dhcp::{Kind, Message, option};

use super::answer::{Me, Verdict, broadcast, client_of};
use super::mode::Pool;
use super::pool::{Lease, Leases};
use super::program::As;
use super::subnet::{Subnet, remote_link};
use crate::boot::Boot;

/// Suboption of a relay: its address that replies are to name as the server's, so that clients send their renewals there
/// (RFC 5107).
const SERVER_ID_OVERRIDE: u8 = 11;
/// Networks without a range that are remembered as told to the log.
const MAX_TOLD: usize = 256;

/// What is handed out.
#[derive(Debug)]
pub(super) struct Full {
    subnets: Vec<Subnet>,
    dns: Vec<Ipv4Addr>,
    lease_time: Duration,
    leases: Leases,
    /// Where requests came from that no range is for: each is told to the log once.
    told: BTreeSet<Ipv4Addr>,
}

impl Full {
    /// `own` is this server's address, `known` are the leases of an earlier run.
    pub(super) fn new(own: Ipv4Addr, subnets: Vec<Subnet>, pool: &Pool, known: Vec<Lease>) -> Self {
        let leases = Leases::new(&subnets, own, pool.lease_time.as_secs(), known);
        Self { subnets, dns: pool.dns.clone(), lease_time: pool.lease_time, leases, told: BTreeSet::new() }
    }

    /// What comes of `request`.
    pub(super) fn answer(&mut self, me: &Me, request: &Message, boot: Boot, now: u64) -> Verdict {
        let mac = request.mac;
        let asked = request.options.address(option::REQUESTED_ADDRESS);
        match request.kind {
            Kind::Release => self.leases.release(mac).map_or(Verdict::Ignore(None), Verdict::Released),
            Kind::Decline => {
                let address = asked.unwrap_or(Ipv4Addr::UNSPECIFIED);
                self.leases.decline(mac, address, now);
                Verdict::Ignore(Some(format!("{mac} says that another machine has {address}")))
            }
            // It took another server's offer.
            Kind::Request if is_for_another(request, me) => Verdict::Ignore(None),
            Kind::Discover | Kind::Request | Kind::Inform => match self.subnet_of(request, me.address) {
                Ok(subnet) => self.answer_in(&subnet, me, request, boot, now),
                Err(why) => Verdict::Ignore(why),
            },
            Kind::Offer | Kind::Ack | Kind::Nak => Verdict::Ignore(None),
        }
    }

    /// The subnet that a machine is in: as its relay says, or itself; one that renews comes through routers without a
    /// relay's help, from its address. `Err` with a reason, where nobody heard it before.
    fn subnet_of(&mut self, request: &Message, own: Ipv4Addr) -> Result<Subnet, Option<String>> {
        let with = |address: Ipv4Addr| self.subnets.iter().find(|subnet| subnet.contains(address)).cloned();
        let link = remote_link(request);
        let found = link.map_or_else(|| with(request.ciaddr).or_else(|| with(own)), with);
        found.ok_or_else(|| {
            let link = link.unwrap_or(own);
            let new = self.told.len() < MAX_TOLD && self.told.insert(link);
            let relay = match request.giaddr {
                Ipv4Addr::UNSPECIFIED => String::new(),
                relay => format!(" by relay {relay}"),
            };
            new.then(|| {
                format!(
                    "{}{relay}: no --dhcp-range is in the network of {link}, so its machines get no address here",
                    request.mac
                )
            })
        })
    }

    fn answer_in(&mut self, subnet: &Subnet, me: &Me, request: &Message, boot: Boot, now: u64) -> Verdict {
        let mac = request.mac;
        let asked = request.options.address(option::REQUESTED_ADDRESS);
        let (kind, address, lease) = match request.kind {
            Kind::Discover => match self.leases.offer(mac, asked, subnet, now) {
                Some(address) => (Kind::Offer, address, None),
                None => {
                    return Verdict::Ignore(Some(format!("{mac}: no address is left in {}", subnet.range)));
                }
            },
            Kind::Request => {
                let address = asked.unwrap_or(request.ciaddr);
                match self.leases.lease(mac, address, subnet, now) {
                    Some(lease) => (Kind::Ack, address, Some(lease)),
                    None => return nak(request, address, subnet, me),
                }
            }
            _ => (Kind::Ack, Ipv4Addr::UNSPECIFIED, None),
        };
        let mut reply = Message::reply(kind, request, server_id(request, me));
        reply.yiaddr = address;
        reply.ciaddr = if kind == Kind::Ack { request.ciaddr } else { Ipv4Addr::UNSPECIFIED };
        self.put_network(&mut reply, subnet);
        let mut note = format!("{mac}: {kind:?} of {address}");
        if request.vendor_class() == INIT_VENDOR_CLASS {
            reply.siaddr = me.address;
        }
        // A machine without a program gets its address all the same: the firmware then goes on to its next boot
        // device, and an installed system is a client like any other.
        match me.programs.choose(request, boot) {
            Ok(program) => {
                reply.siaddr = me.address;
                program.put(&mut reply, As::Server);
                note = format!("{note}; {}", program.describe(request));
            }
            Err(Some(why)) => note = format!("{note}; {why}"),
            Err(None) => {}
        }
        Verdict::Answer { message: Box::new(reply), to: client_of(request), lease, note }
    }

    /// What a machine is to know of its network, and for how long.
    fn put_network(&self, reply: &mut Message, subnet: &Subnet) {
        let leased = !reply.yiaddr.is_unspecified();
        let options = &mut reply.options;
        options.set_addresses(option::SUBNET_MASK, &[subnet.mask]);
        options.set_addresses(option::BROADCAST, &[subnet.broadcast()]);
        options.set_addresses(option::ROUTER, subnet.router.as_slice());
        options.set_addresses(option::DNS, &self.dns);
        if leased {
            let seconds = self.lease_time.as_secs().min(u64::from(u32::MAX)) as u32;
            options.set_u32(option::LEASE_TIME, seconds);
            options.set_u32(option::RENEWAL_TIME, seconds / 2);
            options.set_u32(option::REBINDING_TIME, seconds / 8 * 7);
        }
    }
}

fn nak(request: &Message, address: Ipv4Addr, subnet: &Subnet, me: &Me) -> Verdict {
    let mut nak = Message::reply(Kind::Nak, request, server_id(request, me));
    nak.options.set(option::MESSAGE, b"address not available");
    // The address that the client believes to have may be another machine's, so it hears it by broadcast, from the relay
    // too (RFC 2131 section 4.3.2). In another network without a relay's help, that address is all that reaches it.
    nak.broadcast = true;
    let relayed = !request.giaddr.is_unspecified();
    let to = if relayed || !subnet.contains(me.address) { client_of(request) } else { broadcast() };
    let note = format!("{}: {address} is not for it", request.mac);
    Verdict::Answer { message: Box::new(nak), to, lease: None, note }
}

/// The server's identifier in replies: its address, or that of a relay which wants renewals to come its way.
fn server_id(request: &Message, me: &Me) -> Ipv4Addr {
    let relayed = !request.giaddr.is_unspecified();
    let value = request.options.of_relay(SERVER_ID_OVERRIDE).filter(|_| relayed);
    let address = value.and_then(|value| value.first_chunk()).map(|octets: &[u8; 4]| Ipv4Addr::from(*octets));
    address.filter(|address| !address.is_unspecified()).unwrap_or(me.address)
}

fn is_for_another(request: &Message, me: &Me) -> bool {
    let named = request.options.address(option::SERVER_ID);
    named.is_some_and(|id| id != me.address && id != server_id(request, me))
}
