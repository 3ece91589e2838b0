//! What a machine is told: pure decisions over messages.

use std::net::{Ipv4Addr, SocketAddrV4};

use ezio_contract::dhcp::INIT_VENDOR_CLASS;
use ezio_contract::urls;
use ezio_netproto::dhcp::message::{CLIENT_PORT, SERVER_PORT};
use ezio_netproto::dhcp::{Kind, Message, Operation, option};

use super::pool::{Lease, Leases};
use super::program::{As, Programs};
use crate::boot::Boot;
use crate::settings::Pool;
use crate::sites::AddressRange;

/// Who answers.
#[derive(Debug, Clone)]
pub(crate) struct Me {
    pub(crate) address: Ipv4Addr,
    pub(crate) mask: Ipv4Addr,
    pub(crate) programs: Programs,
}

/// Where a packet came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// 67.
    Server,
    /// 4011.
    BootServer,
}

/// What comes of a packet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Send this.
    Answer {
        message: Box<Message>,
        to: SocketAddrV4,
        /// Keep this lease.
        lease: Option<Lease>,
        /// For the log.
        note: String,
    },
    /// The machine gave up this lease.
    Released(Lease),
    /// Nothing, and why: for the log where somebody may wonder.
    Ignore(Option<String>),
}

/// Answers to machines.
#[derive(Debug)]
pub(crate) struct Responder {
    me: Me,
    /// With addresses of our own, we are the network's DHCP server; without, a proxy.
    full: Option<(Pool, Leases)>,
}

impl Responder {
    pub(crate) fn proxy(me: Me) -> Self {
        Self { me, full: None }
    }

    /// `range` are the addresses that are handed out.
    pub(crate) fn full(me: Me, pool: Pool, range: AddressRange, known: Vec<Lease>) -> Self {
        let reserved = std::iter::once(me.address).chain(pool.router).collect();
        let leases = Leases::new(range, reserved, pool.lease_time.as_secs(), known);
        Self { me, full: Some((pool, leases)) }
    }

    /// What comes of `request`; `boot` is where the machine is to boot from, `now` in seconds since 1970.
    pub(crate) fn answer(
        &mut self,
        request: &Message,
        port: Port,
        source: SocketAddrV4,
        boot: Boot,
        now: u64,
    ) -> Verdict {
        if request.operation != Operation::Request {
            return Verdict::Ignore(None);
        }
        match (port, self.full.is_some()) {
            (Port::BootServer, _) => self.boot_server(request, source, boot),
            (Port::Server, false) => self.proxy_offer(request, boot),
            (Port::Server, true) => self.dhcp(request, boot, now),
        }
    }

    /// ProxyDHCP: an offer without an address, beside that of the network's own server.
    fn proxy_offer(&self, request: &Message, boot: Boot) -> Verdict {
        if request.kind != Kind::Discover {
            // The request is for the server whose address was taken; UEFI turns to port 4011.
            return Verdict::Ignore(None);
        }
        let mut offer = Message::reply(Kind::Offer, request, self.me.address);
        offer.siaddr = self.me.address;
        if request.vendor_class() == INIT_VENDOR_CLASS {
            offer.file = urls::CONF.to_owned();
            let note = format!("init on {}: boot server", request.mac);
            return self.send(offer, request, note);
        }
        match self.me.programs.choose(request, boot) {
            Ok(program) => {
                program.put(&mut offer, As::Proxy);
                let note = program.describe(request);
                self.send(offer, request, note)
            }
            Err(why) => Verdict::Ignore(why),
        }
    }

    /// Port 4011: UEFI, and a BIOS that does not take the file from the offer, ask here with their address.
    fn boot_server(&self, request: &Message, source: SocketAddrV4, boot: Boot) -> Verdict {
        if !matches!(request.kind, Kind::Request | Kind::Inform) {
            return Verdict::Ignore(None);
        }
        let program = match self.me.programs.choose(request, boot) {
            Ok(program) => program,
            Err(why) => return Verdict::Ignore(why),
        };
        let mut ack = Message::reply(Kind::Ack, request, self.me.address);
        ack.siaddr = self.me.address;
        ack.ciaddr = request.ciaddr;
        program.put(&mut ack, As::Proxy);
        let note = program.describe(request);
        // The client says where it listens: with its address, or as one that has none yet.
        let to = if source.ip().is_unspecified() { broadcast() } else { source };
        Verdict::Answer { message: Box::new(ack), to, lease: None, note }
    }

    /// DHCP proper.
    fn dhcp(&mut self, request: &Message, boot: Boot, now: u64) -> Verdict {
        let Some((_, leases)) = &mut self.full else { return Verdict::Ignore(None) };
        let mac = request.mac;
        let ours = request.options.address(option::SERVER_ID).map(|id| id == self.me.address);
        let asked = request.options.address(option::REQUESTED_ADDRESS);
        match request.kind {
            Kind::Discover => match leases.offer(mac, asked, now) {
                Some(address) => self.lease_message(Kind::Offer, request, address, None, boot),
                None => Verdict::Ignore(Some(format!("{mac}: no address is left in --dhcp-range"))),
            },
            // It took another server's offer.
            Kind::Request if ours == Some(false) => Verdict::Ignore(None),
            Kind::Request => {
                let address = asked.unwrap_or(request.ciaddr);
                match leases.lease(mac, address, now) {
                    Some(lease) => self.lease_message(Kind::Ack, request, address, Some(lease), boot),
                    None => self.nak(request, address),
                }
            }
            Kind::Release => leases.release(mac).map_or(Verdict::Ignore(None), Verdict::Released),
            Kind::Decline => {
                let address = asked.unwrap_or(Ipv4Addr::UNSPECIFIED);
                leases.decline(mac, address, now);
                Verdict::Ignore(Some(format!("{mac} says that another machine has {address}")))
            }
            Kind::Inform => self.lease_message(Kind::Ack, request, Ipv4Addr::UNSPECIFIED, None, boot),
            _ => Verdict::Ignore(None),
        }
    }

    fn lease_message(
        &self,
        kind: Kind,
        request: &Message,
        address: Ipv4Addr,
        lease: Option<Lease>,
        boot: Boot,
    ) -> Verdict {
        let Some((pool, _)) = &self.full else { return Verdict::Ignore(None) };
        let mut reply = Message::reply(kind, request, self.me.address);
        reply.yiaddr = address;
        reply.ciaddr = if kind == Kind::Ack { request.ciaddr } else { Ipv4Addr::UNSPECIFIED };
        let options = &mut reply.options;
        options.set_addresses(option::SUBNET_MASK, &[self.me.mask]);
        options.set_addresses(option::ROUTER, pool.router.as_slice());
        options.set_addresses(option::DNS, &pool.dns);
        if !address.is_unspecified() {
            let seconds = pool.lease_time.as_secs().min(u64::from(u32::MAX)) as u32;
            options.set_u32(option::LEASE_TIME, seconds);
            options.set_u32(option::RENEWAL_TIME, seconds / 2);
            options.set_u32(option::REBINDING_TIME, seconds / 8 * 7);
        }
        let mut note = format!("{}: {kind:?} of {address}", request.mac);
        if request.vendor_class() == INIT_VENDOR_CLASS {
            reply.siaddr = self.me.address;
        }
        // A machine without a program gets its address all the same: the firmware then goes on to its next boot
        // device, and an installed system is a client like any other.
        match self.me.programs.choose(request, boot) {
            Ok(program) => {
                reply.siaddr = self.me.address;
                program.put(&mut reply, As::Server);
                note = format!("{note}; {}", program.describe(request));
            }
            Err(Some(why)) => note = format!("{note}; {why}"),
            Err(None) => {}
        }
        let Verdict::Answer { message, to, note, .. } = self.send(reply, request, note) else {
            return Verdict::Ignore(None);
        };
        Verdict::Answer { message, to, lease, note }
    }

    fn nak(&self, request: &Message, address: Ipv4Addr) -> Verdict {
        let mut nak = Message::reply(Kind::Nak, request, self.me.address);
        nak.options.set(option::MESSAGE, b"address not available");
        let note = format!("{}: {address} is not for it", request.mac);
        let relayed = !request.giaddr.is_unspecified();
        // Always a broadcast: the address that the client believes to have may be another machine's.
        let to = if relayed { SocketAddrV4::new(request.giaddr, SERVER_PORT) } else { broadcast() };
        Verdict::Answer { message: Box::new(nak), to, lease: None, note }
    }

    /// Addresses a reply. A client without an address could be sent a unicast frame only through a raw socket;
    /// all of them take broadcasts, as RFC 2131 lets servers do.
    fn send(&self, message: Message, request: &Message, note: String) -> Verdict {
        let to = if !request.giaddr.is_unspecified() {
            SocketAddrV4::new(request.giaddr, SERVER_PORT)
        } else if !request.ciaddr.is_unspecified() {
            SocketAddrV4::new(request.ciaddr, CLIENT_PORT)
        } else {
            broadcast()
        };
        Verdict::Answer { message: Box::new(message), to, lease: None, note }
    }
}

fn broadcast() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT)
}
