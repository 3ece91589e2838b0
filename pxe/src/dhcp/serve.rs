//! The sockets of DHCP: ports 67 and 4011, on one interface only.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use anyhow::{Context, Result};
use ezio_image::report::MachineId;
use ezio_netproto::dhcp::Message;
use ezio_netproto::dhcp::message::{BOOT_SERVER_PORT, SERVER_PORT, format_mac};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::answer::{Port, Responder, Verdict};
use crate::fleet::{Entry, LEASES, Store};
use crate::server::App;

/// Bound sockets.
pub(crate) struct Sockets {
    server: UdpSocket,
    boot_server: UdpSocket,
}

impl Sockets {
    /// Binds both ports to an interface, so that no other network ever hears of us.
    pub(crate) fn bind(interface: &str) -> Result<Self> {
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

/// Answers until dropped.
pub(crate) async fn run(
    sockets: Sockets,
    mut responder: Responder,
    app: Arc<App>,
    store: Option<Store>,
) -> Result<()> {
    let keeper = Keeper::start(store);
    let (mut buffer, mut boot_buffer) = (vec![0; 4096], vec![0; 4096]);
    loop {
        let (port, received) = tokio::select! {
            received = sockets.server.recv_from(&mut buffer) => (Port::Server, received),
            received = sockets.boot_server.recv_from(&mut boot_buffer) => (Port::BootServer, received),
        };
        let (length, source) = match received {
            Ok((length, SocketAddr::V4(source))) => (length, source),
            Ok(_) => continue,
            // An earlier answer met a closed port.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(e) => return Err(e).context("receiving DHCP"),
        };
        let (socket, bytes) = match port {
            Port::Server => (&sockets.server, &buffer[..length]),
            Port::BootServer => (&sockets.boot_server, &boot_buffer[..length]),
        };
        match Message::decode(bytes) {
            Ok(request) => handle(&request, port, source, socket, &mut responder, &app, &keeper).await,
            Err(e) => app.throttle.warn("dhcp", || format!("{source}: {e}")),
        }
    }
}

async fn handle(
    request: &Message,
    port: Port,
    source: SocketAddrV4,
    socket: &UdpSocket,
    responder: &mut Responder,
    app: &App,
    keeper: &Keeper,
) {
    let id = MachineId { macs: vec![format_mac(&request.mac)], ..MachineId::default() };
    let boot = app.fleet.boot_of(&id);
    match responder.answer(request, port, source, boot, crate::fleet::now() as u64) {
        Verdict::Answer { message, to, lease, note } => {
            if let Some(lease) = lease {
                keeper.keep(Entry::put(LEASES, &lease.mac, &lease));
            }
            app.throttle.info("dhcp answers", || note);
            if let Err(e) = socket.send_to(&message.encode(), to).await {
                app.throttle.warn("dhcp", || format!("answering {to}: {e}"));
            }
        }
        Verdict::Released(lease) => keeper.keep(Ok(Entry::remove(LEASES, &lease.mac))),
        Verdict::Ignore(Some(why)) => app.throttle.info("dhcp answers", || format!("no answer: {why}")),
        Verdict::Ignore(None) => {}
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
