//! Fetches a file by TFTP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::options::Options;
use super::packet::{ErrorCode, Packet};
use super::receive::{Failure, Receiver, Step};

/// Bounds of one transfer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes to take.
    pub max_len: u64,
    /// Silence after which a packet is sent again; doubled each time in a row, up to 8 times.
    pub retry_after: Duration,
    /// Silences in a row after which the server is given up.
    pub attempts: u32,
    /// Longest time for all of it.
    pub deadline: Duration,
    /// What to ask for; a server may grant less.
    pub options: Options,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_len: 64 << 20,
            retry_after: Duration::from_millis(500),
            attempts: 6,
            deadline: Duration::from_secs(120),
            options: Options::default(),
        }
    }
}

/// Why a transfer failed.
#[derive(Debug, Error)]
pub enum TftpError {
    /// The server said no.
    #[error("tftp://{server}/{path}: the server refused ({code:?}): {message}")]
    Refused {
        /// Server asked.
        server: SocketAddr,
        /// Path asked for.
        path: String,
        /// Its code.
        code: ErrorCode,
        /// Its text.
        message: String,
    },
    /// The server cannot do with the options of the request.
    #[error("tftp://{server}/{path}: options: {text}")]
    Options {
        /// Server asked.
        server: SocketAddr,
        /// Path asked for.
        path: String,
        /// What it said, or what is wrong with what it said.
        text: String,
    },
    /// Nothing came.
    #[error("tftp://{server}/{path}: no answer after {waited_s:.1} s and {received} bytes")]
    Silent {
        /// Server asked.
        server: SocketAddr,
        /// Path asked for.
        path: String,
        /// Bytes received before.
        received: usize,
        /// Seconds since the request.
        waited_s: f64,
    },
    /// Larger than the caller takes.
    #[error("tftp://{server}/{path}: {length} bytes or more, but at most {max_len} are taken")]
    TooLarge {
        /// Server asked.
        server: SocketAddr,
        /// Path asked for.
        path: String,
        /// Bytes announced or received.
        length: u64,
        /// Bound.
        max_len: u64,
    },
    /// The server broke the protocol.
    #[error("tftp://{server}/{path}: {text}")]
    Protocol {
        /// Server asked.
        server: SocketAddr,
        /// Path asked for.
        path: String,
        /// What is wrong.
        text: String,
    },
    /// The socket failed.
    #[error("tftp://{server}/{path}")]
    Socket {
        /// Server asked.
        server: SocketAddr,
        /// Path asked for.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Fetches `path` from `server` (usually port [`super::PORT`]) into memory. A server that cannot do with options is asked
/// again without. Dropping the future ends it.
///
/// # Errors
/// The server refuses, is silent, breaks the protocol, or the file is larger than allowed.
pub async fn get(server: SocketAddr, path: &str, limits: &Limits) -> Result<Vec<u8>, TftpError> {
    let path = path.trim_start_matches('/');
    let began = Instant::now();
    match fetch(server, path, limits, Some(limits.options), began).await {
        Err(TftpError::Options { .. }) => fetch(server, path, limits, None, began).await,
        ended => ended,
    }
}

async fn fetch(
    server: SocketAddr,
    path: &str,
    limits: &Limits,
    options: Option<Options>,
    began: Instant,
) -> Result<Vec<u8>, TftpError> {
    let path = path.to_owned();
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let failed = |source| TftpError::Socket { server, path: path.clone(), source };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    let wire = options.map_or_else(Vec::new, |options| options.to_wire());
    let mut transfer = Transfer {
        request: Packet::Read { path: path.clone(), mode: "octet".into(), options: wire }.encode(),
        receiver: Receiver::new(options.unwrap_or(Options::NONE), limits.max_len),
        with_options: options.is_some(),
        began,
        peer: None,
        socket,
        server,
        path,
        limits,
    };
    transfer.run().await?;
    Ok(transfer.receiver.into_data())
}

struct Transfer<'a> {
    socket: UdpSocket,
    server: SocketAddr,
    /// The server answers each transfer from a port of its own.
    peer: Option<SocketAddr>,
    path: String,
    request: Vec<u8>,
    with_options: bool,
    receiver: Receiver,
    began: Instant,
    limits: &'a Limits,
}

impl Transfer<'_> {
    async fn run(&mut self) -> Result<(), TftpError> {
        let mut silences = 0;
        self.send(&self.request.clone(), self.server).await?;
        let mut buffer = vec![0; 65536];
        loop {
            let wait = self.limits.retry_after * 2u32.pow(silences.min(3));
            let until = (Instant::now() + wait).min(self.began + self.limits.deadline);
            match self.next_step(until, &mut buffer).await? {
                None => {
                    silences += 1;
                    if silences >= self.limits.attempts || self.began.elapsed() >= self.limits.deadline {
                        return Err(self.silent());
                    }
                    let again = self.receiver.timeout().unwrap_or_else(|| self.request.clone());
                    self.send(&again, self.peer.unwrap_or(self.server)).await?;
                }
                Some(step) => {
                    silences = 0;
                    if self.take(step).await? {
                        return Ok(());
                    }
                }
            }
            if self.began.elapsed() >= self.limits.deadline {
                return Err(self.silent());
            }
        }
    }

    /// Sends what a step asks for; true when the file is complete.
    async fn take(&mut self, step: Step) -> Result<bool, TftpError> {
        let peer = self.peer.unwrap_or(self.server);
        match step {
            Step::Wait => Ok(false),
            Step::Send(packet) => self.send(&packet, peer).await.map(|()| false),
            // The last acknowledgement may be lost: the server then times out alone, the file is whole.
            Step::Finish(packet) => self.send(&packet, peer).await.map(|()| true),
            Step::Abort(failure, packet) => {
                if let Some(packet) = packet {
                    self.send(&packet, peer).await?;
                }
                Err(self.failed(failure))
            }
        }
    }

    /// The step that the server's next packet leads to; `None` when it stays silent until `until`.
    async fn next_step(&mut self, until: Instant, buffer: &mut [u8]) -> Result<Option<Step>, TftpError> {
        loop {
            let (length, from) = match timeout_at(until, self.socket.recv_from(buffer)).await {
                Err(_) => return Ok(None),
                Ok(received) => received.map_err(|source| self.socket_error(source))?,
            };
            let known = self.peer.unwrap_or(SocketAddr::new(self.server.ip(), from.port()));
            let packet = Packet::decode(&buffer[..length]);
            match packet {
                Ok(packet) if from == known => {
                    self.peer = Some(from);
                    return Ok(Some(self.receiver.packet(&packet)));
                }
                Ok(_) => self.stray(from).await?,
                // Garbage is passed over: the server sends again what it meant.
                Err(_) => {}
            }
        }
    }

    /// A packet of another transfer (RFC 1350 section 4): a duplicate of our request made the server start
    /// two. It is told to end that one.
    async fn stray(&self, from: SocketAddr) -> Result<(), TftpError> {
        if from.ip() != self.server.ip() {
            return Ok(());
        }
        let message = "unknown transfer".to_owned();
        self.send(&Packet::Error { code: ErrorCode::UnknownTransfer, message }.encode(), from).await
    }

    async fn send(&self, packet: &[u8], to: SocketAddr) -> Result<(), TftpError> {
        match self.socket.send_to(packet, to).await {
            // An earlier packet met a closed port: what this one meets is still open, and bounded by retries.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            sent => sent.map(|_| ()).map_err(|source| self.socket_error(source)),
        }
    }

    fn socket_error(&self, source: io::Error) -> TftpError {
        TftpError::Socket { server: self.server, path: self.path.clone(), source }
    }

    fn silent(&self) -> TftpError {
        TftpError::Silent {
            server: self.server,
            path: self.path.clone(),
            received: self.receiver.received(),
            waited_s: self.began.elapsed().as_secs_f64(),
        }
    }

    fn failed(&self, failure: Failure) -> TftpError {
        let (server, path) = (self.server, self.path.clone());
        // Servers that know of no options are to pass them over (RFC 2347). Some refuse the request instead, and not all
        // of those by the code that is meant for it.
        let about_options = [ErrorCode::OptionRefused, ErrorCode::IllegalOperation, ErrorCode::Undefined];
        match failure {
            Failure::Refused(code, message)
                if self.with_options && self.receiver.received() == 0 && about_options.contains(&code) =>
            {
                TftpError::Options { server, path, text: format!("{code:?}: {message}") }
            }
            Failure::Options(text) => TftpError::Options { server, path, text },
            Failure::Refused(code, message) => TftpError::Refused { server, path, code, message },
            Failure::TooLarge(length) => {
                TftpError::TooLarge { server, path, length, max_len: self.limits.max_len }
            }
            Failure::Protocol(text) => TftpError::Protocol { server, path, text },
        }
    }
}
