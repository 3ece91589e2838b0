//! Machines that only ask: packets as firmware and boot programs send them, and what a DHCP server answers.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ezio_contract::Mac;
use ezio_netproto::dhcp::message::{CLIENT_PORT, SERVER_PORT};
use ezio_netproto::dhcp::{Kind, Message, Operation, option};
use socket2::{Domain, Protocol, Socket, Type};

/// A server that is starting has answered in this time.
const DEADLINE: Duration = Duration::from_secs(30);
/// After which a client asks again.
const RETRY: Duration = Duration::from_millis(500);
/// Longest message that is read, in bytes: an Ethernet frame's payload is shorter.
const MAX_LEN: usize = 2048;

/// What a machine is, as it tells DHCP.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Number, for its MAC address.
    pub number: u8,
    /// Vendor class, before the architecture: "PXEClient", "HTTPClient"; empty for an ordinary machine.
    pub class: &'static str,
    /// Architecture, with a vendor class.
    pub architecture: u16,
    /// User class; empty for none.
    pub user_class: &'static str,
}

impl Client {
    /// Its DISCOVER. It asks for replies by broadcast, for it has no address.
    #[must_use]
    pub fn discover(&self) -> Message {
        let mac = Mac::new([0x52, 0x54, 0, 0xd0, 0, self.number]);
        let mut message = Message::request(Kind::Discover, 0xd0d0_0000 | u32::from(self.number), mac);
        message.broadcast = true;
        let Self { class, architecture, user_class, .. } = self;
        let wanted = [
            option::SUBNET_MASK,
            option::ROUTER,
            option::VENDOR_CLASS,
            option::TFTP_SERVER,
            option::BOOT_FILE,
        ];
        message.options.set(option::PARAMETER_LIST, wanted);
        if !class.is_empty() {
            message.options.set(
                option::VENDOR_CLASS,
                format!("{class}:Arch:{architecture:05}:UNDI:003016").into_bytes(),
            );
            message.options.set(option::ARCHITECTURE, architecture.to_be_bytes());
            message.options.set(option::NETWORK_INTERFACE, [1, 3, 16]);
            message.options.set(option::MACHINE_ID, [&[0; 16], [self.number].as_slice()].concat());
        }
        if !user_class.is_empty() {
            message.options.set(option::USER_CLASS, user_class.as_bytes());
        }
        message
    }
}

/// The place of such machines in a network.
#[derive(Debug)]
pub struct Seat(UdpSocket);

impl Seat {
    /// At an interface of this network namespace.
    pub fn at(interface: &str) -> Result<Self> {
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_broadcast(true)?;
            socket.bind_device(Some(interface.as_bytes()))?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
            std::io::Result::Ok(UdpSocket::from(socket))
        };
        open().map(Self).with_context(|| format!("port {CLIENT_PORT} of {interface}"))
    }

    /// The first reply to `request` that is as `wanted`, which is asked for again and again.
    pub fn ask(&self, request: &Message, wanted: impl Fn(&Message) -> bool) -> Result<Message> {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            self.send(request)?;
            if let Some(reply) = self.hear(request, RETRY, &wanted)? {
                return Ok(reply);
            }
        }
        bail!("nobody answered {} in {} s as wanted", request.mac, DEADLINE.as_secs())
    }

    /// Sends a request to all.
    pub fn send(&self, request: &Message) -> Result<()> {
        let all = (Ipv4Addr::BROADCAST, SERVER_PORT);
        self.0.send_to(&request.encode(), all).context("sending a request").map(|_| ())
    }

    /// A reply to `request` that is as `wanted`, if one comes in time.
    pub fn hear(
        &self,
        request: &Message,
        time: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Option<Message>> {
        let until = Instant::now() + time;
        let mut buffer = [0; MAX_LEN];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.0.set_read_timeout(Some(left)).context("setting a time-out")?;
            let length = match self.0.recv(&mut buffer) {
                Ok(length) => length,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(e) => return Err(e).context("waiting for a reply"),
            };
            let message = buffer.get(..length).and_then(|bytes| Message::decode(bytes).ok());
            let to_us =
                |m: &Message| m.operation == Operation::Reply && (m.xid, m.mac) == (request.xid, request.mac);
            if let Some(reply) = message.filter(to_us).filter(&wanted) {
                return Ok(Some(reply));
            }
        }
    }
}
