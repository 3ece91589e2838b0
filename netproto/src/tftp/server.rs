//! Serves files by TFTP: one socket for requests, and one a transfer, all at the address that was bound.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::options::Negotiated;
use super::packet::{ErrorCode, Packet};
use super::send::{Sender, Step};
use crate::places::Places;

/// Transfers at a time; more are told to come back, unless others have more of them.
const MAX_TRANSFERS: usize = 512;
const RETRY_AFTER: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(4);
/// Silences in a row after which a client is given up: about 25 s.
const ATTEMPTS: u32 = 9;
/// Longest time for one transfer: 24 MiB at 32 KiB/s.
const DEADLINE: Duration = Duration::from_secs(900);

/// A file as a handler gives it: bytes that are cheap to share.
pub type File = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// What a transfer came to, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it has arrived.
    Sent {
        /// Bytes.
        bytes: u64,
    },
    /// There is no such file.
    NotFound,
    /// The client asked for something that is not done (writing, a strange mode).
    Refused(String),
    /// The client ended it; UEFI firmware does so after asking for the size.
    Cancelled(String),
    /// The client fell silent.
    Silent {
        /// Bytes it has for sure.
        bytes: u64,
    },
    /// Not TFTP.
    Garbage(String),
    /// The socket failed.
    Failed(String),
}

/// What a server asks its owner.
pub trait Handler: Send + Sync + 'static {
    /// The file at `path` as the client wrote it (see [`super::name::meanings`]), for this client. Must not block.
    fn open(&self, path: &str, client: SocketAddr) -> Option<File>;
    /// A transfer has ended; `path` is empty where none was read.
    fn ended(&self, path: &str, client: SocketAddr, outcome: Outcome);
}

/// A bound server.
#[derive(Debug)]
pub struct Server {
    socket: UdpSocket,
    address: SocketAddr,
    places: Arc<Places>,
}

impl Server {
    /// Binds to `address`, which is also where transfers answer from. With an unspecified IP, the kernel's
    /// route chooses that address.
    ///
    /// # Errors
    /// The address is in use, not ours, or the port is privileged.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, places: Places::new(MAX_TRANSFERS) })
    }

    /// Address bound to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bound on transfers.
    #[must_use]
    pub fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }

    /// Serves until dropped; transfers under way end with it.
    ///
    /// # Errors
    /// The socket fails for good.
    pub async fn run(self, handler: Arc<dyn Handler>) -> io::Result<()> {
        let mut transfers = tokio::task::JoinSet::new();
        let mut buffer = vec![0; 2048];
        loop {
            while transfers.try_join_next().is_some() {}
            let (length, client) = match self.socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // An answer met a closed port: no fault of this socket.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(e) => return Err(e),
            };
            match read_request(&buffer[..length]) {
                Ok((path, options)) => {
                    let Some(place) = self.places.take(client.ip()) else {
                        self.refuse(client, ErrorCode::Undefined, "too many transfers, try again").await;
                        handler.ended(&path, client, Outcome::Refused("too many transfers".into()));
                        continue;
                    };
                    let (handler, local) = (Arc::clone(&handler), SocketAddr::new(self.address.ip(), 0));
                    transfers.spawn(async move {
                        let outcome = tokio::select! {
                            outcome = transfer(&*handler, local, client, &path, &options) => outcome,
                            () = place.lost() => Outcome::Failed("gave way: its address has most transfers".into()),
                        };
                        handler.ended(&path, client, outcome);
                    });
                }
                Err((code, outcome)) => {
                    if let Some(code) = code {
                        self.refuse(client, code, "only reading in octet mode is done here").await;
                    }
                    handler.ended("", client, outcome);
                }
            }
        }
    }

    async fn refuse(&self, client: SocketAddr, code: ErrorCode, message: &str) {
        // The client asks again when this is lost.
        let _ = self.socket.send_to(&error(code, message), client).await;
    }
}

type Request = (String, Vec<(String, String)>);

fn read_request(bytes: &[u8]) -> Result<Request, (Option<ErrorCode>, Outcome)> {
    match Packet::decode(bytes) {
        // Netascii differs from octet in line ends only; those who ask for it mean text files, which have none
        // of the bytes that would need a change on their side.
        Ok(Packet::Read { path, mode, options }) if mode == "octet" || mode == "netascii" => {
            Ok((path, options))
        }
        Ok(Packet::Read { mode, .. }) => {
            Err((Some(ErrorCode::IllegalOperation), Outcome::Refused(format!("mode {mode:?}"))))
        }
        Ok(Packet::Write { path }) => {
            Err((Some(ErrorCode::AccessViolation), Outcome::Refused(format!("writing {path:?}"))))
        }
        // No answer to an error or a stray packet: two servers could answer each other for ever.
        Ok(_) => Err((None, Outcome::Garbage("not a request".into()))),
        Err(e) => Err((None, Outcome::Garbage(e.to_string()))),
    }
}

fn error(code: ErrorCode, message: &str) -> Vec<u8> {
    Packet::Error { code, message: message.to_owned() }.encode()
}

async fn transfer(
    handler: &dyn Handler,
    local: SocketAddr,
    client: SocketAddr,
    path: &str,
    options: &[(String, String)],
) -> Outcome {
    let socket = match connect(local, client).await {
        Ok(socket) => socket,
        Err(e) => return Outcome::Failed(e.to_string()),
    };
    let Some(file) = handler.open(path, client) else {
        let _ = socket.send(&error(ErrorCode::NotFound, "file not found")).await;
        return Outcome::NotFound;
    };
    let data: &[u8] = (*file).as_ref();
    let (agreed, answer) = Negotiated::grant(options, data.len() as u64);
    send(&socket, Sender::new(data, agreed, answer), agreed).await
}

/// A socket of its own a transfer, connected: packets of others do not reach it.
async fn connect(local: SocketAddr, client: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local).await?;
    socket.connect(client).await?;
    Ok(socket)
}

async fn send(socket: &UdpSocket, mut sender: Sender<&[u8]>, agreed: Negotiated) -> Outcome {
    let began = Instant::now();
    let mut silences = 0;
    let mut buffer = vec![0; 2048];
    loop {
        for packet in sender.window() {
            if let Err(e) = socket.send(&packet).await {
                return gone(&e, &sender);
            }
        }
        let wait = agreed.timeout.unwrap_or(RETRY_AFTER * 2u32.pow(silences)).min(LONGEST_RETRY);
        let until = (Instant::now() + wait).min(began + DEADLINE);
        match next_step(socket, &mut sender, until, &mut buffer).await {
            Ok(None) => {
                silences += 1;
                if silences >= ATTEMPTS || began.elapsed() >= DEADLINE {
                    return Outcome::Silent { bytes: sender.acknowledged_bytes() };
                }
                sender.timeout();
            }
            Ok(Some(Step::SendWindow | Step::Wait)) => silences = 0,
            Ok(Some(Step::Finished)) => return Outcome::Sent { bytes: sender.acknowledged_bytes() },
            Ok(Some(Step::Cancelled(code, text))) => return Outcome::Cancelled(format!("{code:?}: {text}")),
            Err(e) => return gone(&e, &sender),
        }
    }
}

fn gone(error: &io::Error, sender: &Sender<&[u8]>) -> Outcome {
    match error.kind() {
        // The client has closed its port: as good as silent.
        io::ErrorKind::ConnectionRefused => Outcome::Silent { bytes: sender.acknowledged_bytes() },
        _ => Outcome::Failed(error.to_string()),
    }
}

/// What the client's next packet leads to; `None` when it says nothing that moves the transfer until `until`.
async fn next_step(
    socket: &UdpSocket,
    sender: &mut Sender<&[u8]>,
    until: Instant,
    buffer: &mut [u8],
) -> io::Result<Option<Step>> {
    loop {
        let Ok(received) = timeout_at(until, socket.recv(buffer)).await else { return Ok(None) };
        let length = received?;
        let step = Packet::decode(&buffer[..length]).map_or(Step::Wait, |packet| sender.packet(&packet));
        if step != Step::Wait {
            return Ok(Some(step));
        }
    }
}
