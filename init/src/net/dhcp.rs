//! The DHCP client's socket and clock; what to say and when is netproto's.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use ezio_contract::dhcp::INIT_VENDOR_CLASS;
use ezio_netproto::dhcp::client::{Client, Destination, Identity, Lease, Output};
use ezio_netproto::dhcp::message::{CLIENT_PORT, MAX_LEN, SERVER_PORT};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, sleep_until};

use super::links::Card;

const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// A card with a lease, and the client that keeps it.
pub(crate) struct Bound {
    pub(crate) card: Card,
    pub(crate) lease: Lease,
    client: Client,
    socket: UdpSocket,
    began: Instant,
}

/// Asks until there is a lease; the caller bounds the time.
pub(crate) async fn ask(card: Card, want_boot_server: bool) -> anyhow::Result<Bound> {
    let socket = open(&card).with_context(|| format!("opening a DHCP socket on {}", card.name))?;
    let identity = Identity {
        mac: card.mac,
        machine_uuid: None,
        vendor_class: INIT_VENDOR_CLASS.into(),
        want_boot_server,
    };
    let mut client = Client::new(identity, rand::random(), Duration::ZERO);
    let began = Instant::now();
    let lease = loop {
        if let Some(lease) = step(&mut client, &socket, began).await? {
            break lease;
        }
    };
    Ok(Bound { card, lease, client, socket, began })
}

impl Bound {
    /// Waits for the next change: a renewed or new lease, or none any more.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Lease>> {
        loop {
            let had = self.client.lease().is_some();
            let bound = step(&mut self.client, &self.socket, self.began).await?;
            if bound.is_some() || (had && self.client.lease().is_none()) {
                return Ok(bound);
            }
        }
    }
}

/// Waits for a packet or the client's time, and does what the client says.
async fn step(client: &mut Client, socket: &UdpSocket, began: Instant) -> anyhow::Result<Option<Lease>> {
    let mut packet = [0; MAX_LEN];
    let output = tokio::select! {
        () = sleep_until(began + client.wake_at()) => client.poll(began.elapsed()),
        received = socket.recv_from(&mut packet) => {
            match received {
                Ok((length, _)) => client.receive(&packet[..length], began.elapsed()),
                Err(error) => {
                    // The link went down: it may come up again. Should the error stay, it is not asked for in a loop.
                    tracing::debug!("receiving from the DHCP server: {error}");
                    sleep(ERROR_PAUSE).await;
                    None
                }
            }
        }
    };
    match output {
        Some(Output::Send { packet, to }) => {
            let host = match to {
                Destination::Broadcast => Ipv4Addr::BROADCAST,
                Destination::Server(server) => server,
            };
            // A link that is just going up or down refuses packets; the client sends again.
            if let Err(error) = socket.send_to(&packet, (host, SERVER_PORT)).await {
                tracing::debug!("sending to the DHCP server: {error}");
            }
            Ok(None)
        }
        Some(Output::Bound(lease)) => Ok(Some(lease)),
        Some(Output::Lost) | None => Ok(None),
    }
}

/// Bound to the card: it hears broadcasts there before the card has an address.
fn open(card: &Card) -> anyhow::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(card.name.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
    Ok(UdpSocket::from_std(socket.into())?)
}
