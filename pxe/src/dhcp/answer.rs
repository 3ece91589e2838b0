//! What a machine is told: pure decisions over messages.

use std::net::{Ipv4Addr, SocketAddrV4};

use ezio_contract::dhcp::INIT_VENDOR_CLASS;
use ezio_contract::urls;
use ezio_netproto::dhcp::message::{CLIENT_PORT, SERVER_PORT};
use ezio_netproto::dhcp::{Kind, Message, Operation};

use super::full::Full;
use super::pool::Lease;
use super::program::{As, Programs};
use crate::boot::Boot;

/// Who answers.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub(super) address: Ipv4Addr,
    pub(super) programs: Programs,
}

/// Where a packet came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// 67.
    Server,
    /// 4011.
    BootServer,
}

/// What comes of a packet.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
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
pub(super) struct Responder {
    me: Me,
    /// With addresses of our own, we are the network's DHCP server; without, a proxy.
    full: Option<Full>,
}

impl Responder {
    pub(super) fn new(me: Me, full: Option<Full>) -> Self {
        Self { me, full }
    }

    /// What comes of `request`; `boot` is where the machine is to boot from, `now` in seconds since 1970.
    pub(super) fn answer(
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
        match (port, &mut self.full) {
            (Port::BootServer, _) => self.me.boot_server(request, source, boot),
            (Port::Server, None) => self.me.proxy_offer(request, boot),
            (Port::Server, Some(full)) => full.answer(&self.me, request, boot, now),
        }
    }
}

impl Me {
    /// ProxyDHCP: an offer without an address, beside that of the network's own server.
    fn proxy_offer(&self, request: &Message, boot: Boot) -> Verdict {
        if request.kind != Kind::Discover {
            // The request is for the server whose address was taken; UEFI turns to port 4011.
            return Verdict::Ignore(None);
        }
        let mut offer = Message::reply(Kind::Offer, request, self.address);
        offer.siaddr = self.address;
        let note = if request.vendor_class() == INIT_VENDOR_CLASS {
            offer.file = urls::CONF.to_owned();
            format!("init on {}: boot server", request.mac)
        } else {
            match self.programs.choose(request, boot) {
                Ok(program) => {
                    program.put(&mut offer, As::Proxy);
                    program.describe(request)
                }
                Err(why) => return Verdict::Ignore(why),
            }
        };
        Verdict::Answer { message: Box::new(offer), to: client_of(request), lease: None, note }
    }

    /// Port 4011: UEFI, and a BIOS that does not take the file from the offer, ask here with their address.
    fn boot_server(&self, request: &Message, source: SocketAddrV4, boot: Boot) -> Verdict {
        if !matches!(request.kind, Kind::Request | Kind::Inform) {
            return Verdict::Ignore(None);
        }
        let program = match self.programs.choose(request, boot) {
            Ok(program) => program,
            Err(why) => return Verdict::Ignore(why),
        };
        let mut ack = Message::reply(Kind::Ack, request, self.address);
        ack.siaddr = self.address;
        ack.ciaddr = request.ciaddr;
        program.put(&mut ack, As::Proxy);
        let note = program.describe(request);
        // The client says where it listens: with its address, or as one that has none yet.
        let to = if source.ip().is_unspecified() { broadcast() } else { source };
        Verdict::Answer { message: Box::new(ack), to, lease: None, note }
    }
}

/// Where a reply goes: to the relay that passed the request on, or to the client. One without an address could be sent a
/// unicast frame only through a raw socket; all of them take broadcasts, as RFC 2131 lets servers do.
pub(super) fn client_of(request: &Message) -> SocketAddrV4 {
    if !request.giaddr.is_unspecified() {
        SocketAddrV4::new(request.giaddr, SERVER_PORT)
    } else if !request.ciaddr.is_unspecified() {
        SocketAddrV4::new(request.ciaddr, CLIENT_PORT)
    } else {
        broadcast()
    }
}

pub(super) fn broadcast() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT)
}
