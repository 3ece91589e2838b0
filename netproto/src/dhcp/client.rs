//! A DHCP client as a pure state machine (RFC 2131 section 4.4). It is given packets and the time, and says
//! what to send and when to be called again; the caller owns the socket, the clock and the deadline.
//!
//! Replies are asked for as broadcasts, so that an ordinary UDP socket bound to the interface takes them
//! before it has an address. The client identifier is the MAC, so that firmware, iPXE and this client share
//! one lease.

use std::net::Ipv4Addr;
use std::time::Duration;

use ezio_contract::Mac;

use super::message::{Kind, Message, Operation};
use super::option;

/// Wait before the second attempt; later ones double it.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(8);
/// Requests without an answer before the offer is given up and discovery starts again.
const REQUEST_ATTEMPTS: u32 = 4;
/// How long to listen on for a proxy's offer when the lease's own server names no boot server.
const PROXY_GRACE: Duration = Duration::from_millis(1500);
const RENEW_RETRY: Duration = Duration::from_secs(60);
const DEFAULT_LEASE: Duration = Duration::from_secs(3600);
/// Shorter leases would keep the client busy with nothing else.
const SHORTEST_LEASE: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// MAC address of the card.
    pub mac: Mac,
    /// SMBIOS UUID as raw bytes.
    pub machine_uuid: Option<[u8; 16]>,
    /// Vendor class; a proxy answers those it knows ("PXEClient:…", "ezio").
    pub vendor_class: String,
    /// Wait a little for a proxy's word on the boot server when the lease names none.
    pub want_boot_server: bool,
}

/// Where a packet goes, always to [`super::message::SERVER_PORT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To 255.255.255.255 from 0.0.0.0.
    Broadcast,
    /// To the server that gave the lease, from the leased address.
    Server(Ipv4Addr),
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send {
        /// The packet.
        packet: Vec<u8>,
        /// Where to.
        to: Destination,
    },
    /// There is a (new) lease: configure the address.
    Bound(Lease),
    /// The lease has run out: take the address off; discovery starts again by itself.
    Lost,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Address of this machine.
    pub address: Ipv4Addr,
    /// Length of the network prefix in bits.
    pub prefix: u8,
    /// Default router.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Domain.
    pub domain: Option<String>,
    /// Host name the server has for us.
    pub host_name: Option<String>,
    /// The server that gave the lease.
    pub server: Ipv4Addr,
    /// How long it holds from the moment it was bound.
    pub time: Duration,
    /// Boot server, from the lease or from a proxy's offer.
    pub boot_server: Option<Ipv4Addr>,
    /// Boot file, from the same message.
    pub boot_file: Option<String>,
}

#[derive(Debug, Clone)]
enum State {
    Selecting { attempt: u32 },
    Collecting { offer: Box<Message> },
    Requesting { offer: Box<Message>, attempt: u32 },
    Bound { renew: Duration, rebind: Duration, expiry: Duration },
}

/// The client.
#[derive(Debug)]
pub struct Client {
    identity: Identity,
    xid: u32,
    began: Duration,
    wake: Duration,
    state: State,
    lease: Option<Lease>,
    proxy: Option<(Ipv4Addr, Option<String>)>,
}

impl Client {
    /// Starts discovery at `now` (any monotonic time). `xid` is random.
    #[must_use]
    pub fn new(identity: Identity, xid: u32, now: Duration) -> Self {
        let state = State::Selecting { attempt: 0 };
        Self { identity, xid, began: now, wake: now, state, lease: None, proxy: None }
    }

    /// When [`Client::poll`] wants to be called, at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Duration {
        self.wake
    }

    /// The lease, while there is one.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// To be called when the time of [`Client::wake_at`] has come.
    pub fn poll(&mut self, now: Duration) -> Option<Output> {
        if now < self.wake {
            return None;
        }
        match self.state.clone() {
            State::Selecting { attempt } => {
                self.state = State::Selecting { attempt: attempt.saturating_add(1) };
                self.wake = now + backoff(attempt);
                Some(self.broadcast(self.message(Kind::Discover, now)))
            }
            State::Collecting { offer } => Some(self.request(offer, 0, now)),
            State::Requesting { attempt, .. } if attempt >= REQUEST_ATTEMPTS => {
                self.restart(now);
                self.poll(now)
            }
            State::Requesting { offer, attempt } => Some(self.request(offer, attempt, now)),
            State::Bound { renew, rebind, expiry } => self.keep(now, renew, rebind, expiry),
        }
    }

    /// To be called with every packet that arrives; what is not for this client is passed over.
    pub fn receive(&mut self, packet: &[u8], now: Duration) -> Option<Output> {
        let message = Message::decode(packet).ok()?;
        let ours = message.operation == Operation::Reply
            && message.xid == self.xid
            && message.mac == self.identity.mac;
        if !ours {
            return None;
        }
        match (message.kind, self.state.clone()) {
            (Kind::Offer, state) => self.offered(message, state, now),
            (Kind::Ack, State::Requesting { offer, .. }) => self.acknowledged(&message, &offer, now),
            (Kind::Ack, State::Bound { .. }) if self.wake_is_renewal(&message) => {
                self.acknowledged(&message, &message, now)
            }
            (Kind::Nak, State::Requesting { .. }) => {
                self.restart(now);
                None
            }
            (Kind::Nak, State::Bound { .. }) => {
                self.restart(now);
                Some(Output::Lost)
            }
            _ => None,
        }
    }

    fn wake_is_renewal(&self, message: &Message) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.address == message.yiaddr)
    }

    fn offered(&mut self, offer: Message, state: State, now: Duration) -> Option<Output> {
        if offer.yiaddr.is_unspecified() {
            // A proxy's offer: no address, but a boot server.
            if let Some(server) = offer.boot_server() {
                self.proxy = Some((server, offer.boot_file()));
            }
            return match state {
                State::Collecting { offer } => Some(self.request(offer, 0, now)),
                _ => None,
            };
        }
        if !matches!(state, State::Selecting { .. }) || offer.options.address(option::SERVER_ID).is_none() {
            return None;
        }
        let knows_boot_server = offer.boot_server().is_some() || self.proxy.is_some();
        if self.identity.want_boot_server && !knows_boot_server {
            self.state = State::Collecting { offer: Box::new(offer) };
            self.wake = now + PROXY_GRACE;
            return None;
        }
        Some(self.request(Box::new(offer), 0, now))
    }

    fn request(&mut self, offer: Box<Message>, attempt: u32, now: Duration) -> Output {
        let mut message = self.message(Kind::Request, now);
        message.options.set_addresses(option::REQUESTED_ADDRESS, &[offer.yiaddr]);
        let server = offer.options.address(option::SERVER_ID);
        message.options.set_addresses(option::SERVER_ID, server.as_slice());
        self.state = State::Requesting { offer, attempt: attempt + 1 };
        self.wake = now + backoff(attempt);
        self.broadcast(message)
    }

    fn acknowledged(&mut self, ack: &Message, offer: &Message, now: Duration) -> Option<Output> {
        let server = ack.options.address(option::SERVER_ID)?;
        if ack.yiaddr.is_unspecified() || Some(server) != offer.options.address(option::SERVER_ID) {
            return None;
        }
        let seconds = |code| ack.options.u32(code).map(|s| Duration::from_secs(u64::from(s)));
        let time = seconds(option::LEASE_TIME).unwrap_or(DEFAULT_LEASE).max(SHORTEST_LEASE);
        // A T1 or T2 that makes no sense is replaced by the RFC's default.
        let renew = seconds(option::RENEWAL_TIME).filter(|t| *t < time).unwrap_or(time / 2);
        let rebind = seconds(option::REBINDING_TIME).filter(|t| *t < time).unwrap_or(time / 8 * 7).max(renew);
        self.state = State::Bound { renew: now + renew, rebind: now + rebind, expiry: now + time };
        self.wake = now + renew;
        let lease = self.lease_of(ack, offer, server, time);
        self.lease = Some(lease.clone());
        Some(Output::Bound(lease))
    }

    fn lease_of(&self, ack: &Message, offer: &Message, server: Ipv4Addr, time: Duration) -> Lease {
        let mask = ack.options.address(option::SUBNET_MASK).unwrap_or(Ipv4Addr::new(255, 255, 255, 0));
        let named = [ack, offer].into_iter().find_map(|m| Some((m.boot_server()?, m.boot_file())));
        let (boot_server, boot_file) = self.proxy.clone().or(named).unzip();
        Lease {
            address: ack.yiaddr,
            prefix: mask.to_bits().leading_ones() as u8,
            router: ack.options.address(option::ROUTER),
            dns: ack.options.addresses(option::DNS),
            domain: ack.options.text(option::DOMAIN_NAME),
            host_name: ack.options.text(option::HOST_NAME),
            server,
            time,
            boot_server,
            boot_file: boot_file.flatten(),
        }
    }

    /// Renewing, rebinding, or giving the lease up.
    fn keep(&mut self, now: Duration, renew: Duration, rebind: Duration, expiry: Duration) -> Option<Output> {
        let lease = self.lease.clone()?;
        if now >= expiry {
            self.restart(now);
            return Some(Output::Lost);
        }
        let mut message = self.message(Kind::Request, now);
        message.ciaddr = lease.address;
        message.broadcast = false;
        self.state = State::Bound { renew, rebind, expiry };
        let packet = message.encode();
        if now < rebind {
            self.wake = (now + RENEW_RETRY).min(rebind);
            return Some(Output::Send { packet, to: Destination::Server(lease.server) });
        }
        self.wake = (now + RENEW_RETRY).min(expiry);
        Some(Output::Send { packet, to: Destination::Broadcast })
    }

    fn restart(&mut self, now: Duration) {
        self.xid = self.xid.wrapping_add(1);
        self.state = State::Selecting { attempt: 0 };
        self.lease = None;
        self.wake = now;
    }

    fn broadcast(&self, message: Message) -> Output {
        Output::Send { packet: message.encode(), to: Destination::Broadcast }
    }

    fn message(&self, kind: Kind, now: Duration) -> Message {
        let identity = &self.identity;
        let mut message = Message::request(kind, self.xid, identity.mac);
        message.broadcast = true;
        message.secs = now.saturating_sub(self.began).as_secs().min(u64::from(u16::MAX)) as u16;
        let options = &mut message.options;
        options.set(option::CLIENT_ID, [&[1], identity.mac.octets().as_slice()].concat());
        options.set(option::MAX_MESSAGE_SIZE, 1472u16.to_be_bytes());
        if !identity.vendor_class.is_empty() {
            options.set(option::VENDOR_CLASS, identity.vendor_class.as_bytes());
        }
        if let Some(uuid) = &identity.machine_uuid {
            options.set(option::MACHINE_ID, [&[0], uuid.as_slice()].concat());
        }
        let wanted = [
            option::SUBNET_MASK,
            option::ROUTER,
            option::DNS,
            option::HOST_NAME,
            option::DOMAIN_NAME,
            option::LEASE_TIME,
            option::RENEWAL_TIME,
            option::REBINDING_TIME,
            option::TFTP_SERVER,
            option::BOOT_FILE,
        ];
        options.set(option::PARAMETER_LIST, wanted);
        message
    }
}

fn backoff(attempt: u32) -> Duration {
    (FIRST_RETRY * 2u32.saturating_pow(attempt.min(8))).min(LONGEST_RETRY)
}
