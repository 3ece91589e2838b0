//! DHCP at work: its sockets, ports 67 and 4011 on one interface only, and its leases on their way to the database.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ezio_netproto::dhcp::message::{BOOT_SERVER_PORT, SERVER_PORT};
use ezio_netproto::dhcp::{Message, option};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::answer::{Me, Port, Responder, Verdict};
use super::full::Full;
use super::mode::Dhcp;
use super::program::Programs;
use super::subnet::subnets;
use crate::address::Addresses;
use crate::catalogue::Catalogue;
use crate::clock::now;
use crate::fleet::Fleet;
use crate::store::{Entry, LEASES, Store};
use crate::throttle::Throttle;

/// Bound sockets.
struct Sockets {
    server: UdpSocket,
    boot_server: UdpSocket,
}

impl Sockets {
    /// Binds both ports to an interface, so that no other network ever hears of us.
    fn bind(interface: &str) -> Result<Self> {
        let bind = |port: u16| {
            bind_one(interface, port).with_context(|| format!("DHCP on UDP port {port} of {interface}"))
        };
        Ok(Self { server: bind(SERVER_PORT)?, boot_server: bind(BOOT_SERVER_PORT)? })
    }
}

fn bind_one(interface: &str, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Another DHCP server on another interface of this machine does no harm.
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    // Broadcasts reach sockets of the unspecified address only.
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    UdpSocket::from_std(socket.into())
}

/// Ready to answer.
pub(crate) struct Service {
    sockets: Sockets,
    responder: Responder,
}

impl Service {
    /// Takes the ports; nothing where DHCP is off.
    pub(crate) fn bind(
        dhcp: &Dhcp,
        addresses: &Addresses,
        base: &str,
        catalogue: &Catalogue,
        store: Option<&Store>,
    ) -> Result<Option<Self>> {
        let (interface, pool) = match dhcp {
            Dhcp::Off => return Ok(None),
            Dhcp::Proxy { interface } => (interface, None),
            Dhcp::Full { interface, pool } => (interface, Some(pool.clone())),
        };
        let IpAddr::V4(address) = addresses.advertised else {
            bail!("--listen: DHCP for IPv4 needs an IPv4 address");
        };
        let hint = "it needs root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW, and no other DHCP server on this \
                    interface; --dhcp off does without";
        let sockets = Sockets::bind(interface).with_context(|| hint.to_owned())?;
        let programs = Programs::new(base, catalogue);
        let me = Me { address, programs };
        let full = match pool {
            None => None,
            Some(pool) => {
                let subnets = subnets(&pool, address, addresses.mask)?;
                for subnet in &subnets {
                    tracing::info!("dhcp: handing out {} in {subnet}", subnet.range);
                }
                let known = store.map(|store| store.load(LEASES)).transpose().context("leases")?;
                Some(Full::new(address, subnets, &pool, known.unwrap_or_default()))
            }
        };
        Ok(Some(Self { sockets, responder: Responder::new(me, full) }))
    }

    /// Answers until dropped.
    pub(crate) async fn run(
        mut self,
        fleet: Arc<Fleet>,
        throttle: Arc<Throttle>,
        store: Option<Store>,
    ) -> Result<()> {
        let keeper = Keeper::start(store);
        let (mut buffer, mut boot_buffer) = (vec![0; 4096], vec![0; 4096]);
        loop {
            let (port, received) = tokio::select! {
                received = self.sockets.server.recv_from(&mut buffer) => (Port::Server, received),
                received = self.sockets.boot_server.recv_from(&mut boot_buffer) => (Port::BootServer, received),
            };
            let (length, source) = match received {
                Ok((length, SocketAddr::V4(source))) => (length, source),
                Ok(_) => continue,
                // An earlier answer met a closed port.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(e) => return Err(e).context("receiving DHCP"),
            };
            let bytes = match port {
                Port::Server => &buffer[..length],
                Port::BootServer => &boot_buffer[..length],
            };
            match Message::decode(bytes) {
                Ok(request) => self.handle(&request, port, source, &fleet, &throttle, &keeper).await,
                Err(e) => throttle.warn("dhcp", || format!("{source}: {e}")),
            }
        }
    }

    async fn handle(
        &mut self,
        request: &Message,
        port: Port,
        source: SocketAddrV4,
        fleet: &Fleet,
        throttle: &Throttle,
        keeper: &Keeper,
    ) {
        if let Some(name) = request.options.text(option::HOST_NAME) {
            fleet.hear_hostname(request.mac, &name);
        }
        let boot = fleet.boot_of(request.mac);
        match self.responder.answer(request, port, source, boot, now() as u64) {
            Verdict::Answer { message, to, lease, note } => {
                if let Some(lease) = lease {
                    keeper.keep(Entry::put(LEASES, &lease.mac.to_string(), &lease));
                }
                throttle.info("dhcp answers", || note);
                let socket = match port {
                    Port::Server => &self.sockets.server,
                    Port::BootServer => &self.sockets.boot_server,
                };
                if let Err(e) = socket.send_to(&message.encode(), to).await {
                    let hint = match e.kind() {
                        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                            " (this server needs a route to the networks behind relays: `ip route add NETWORK via ROUTER`)"
                        }
                        _ => "",
                    };
                    throttle.warn("dhcp", || format!("answering {to}: {e}{hint}"));
                }
            }
            Verdict::Released(lease) => keeper.keep(Ok(Entry::remove(LEASES, &lease.mac.to_string()))),
            Verdict::Ignore(Some(why)) => throttle.info("dhcp answers", || format!("no answer: {why}")),
            Verdict::Ignore(None) => {}
        }
    }
}

/// Writes leases to the database behind the answers' back: a durable write takes longer than an answer may. What comes
/// while one is under way is written in one go. A lease that could not be kept is still good until a restart.
struct Keeper {
    entries: Option<mpsc::Sender<Entry>>,
}

impl Keeper {
    fn start(store: Option<Store>) -> Self {
        const WAITING: usize = 1024;
        let Some(store) = store else { return Self { entries: None } };
        let (entries, mut waiting) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, WAITING).await > 0 {
                if let Err(e) = store.save(std::mem::take(&mut batch)).await {
                    tracing::error!("dhcp: keeping leases: {e:#}");
                }
            }
        });
        Self { entries: Some(entries) }
    }

    fn keep(&self, entry: Result<Entry>) {
        let Some(entries) = &self.entries else { return };
        // With a full queue somebody floods us with requests, and repeats itself.
        match entry {
            Ok(entry) => drop(entries.try_send(entry)),
            Err(e) => tracing::error!("dhcp: keeping a lease: {e:#}"),
        }
    }
}
