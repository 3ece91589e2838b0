//! Options of a peer's socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};

/// Data not acknowledged for so long: the peer is dead.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// The kernel's queue holds what goes out in so long: enough to never run dry, and little enough that what
/// the scheduler takes for sent has nearly left.
const QUEUE: f64 = 0.008;
const SMALLEST: usize = 4 << 10;
const LARGEST: usize = 512 << 10;

/// Payload of a packet on Ethernet, about.
const PACKET: usize = 1448;

/// Congestion control that backs off when a switch's queue is full, by preference.
const CONGESTION: [&[u8]; 2] = [b"cubic", b"reno"];

/// A socket to listen at `address` or to dial it.
///
/// Where the system's congestion control takes no notice of losses (BBR), many senders to one receiver lose a tenth of what
/// they send at the last switch. The first of ours that the system lets us have is better; none is no error. It must be chosen
/// now: a connection that began with BBR is paced for good, by a timer for every two packets. Accepted ones inherit it.
pub(crate) fn open(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let options = SockRef::from(&socket);
    let _ = CONGESTION.iter().any(|name| options.set_tcp_congestion(name).is_ok());
    Ok(socket)
}

/// Sets what all peers' connections have in common.
pub(super) fn configure(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(2))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_notsent_lowat(SMALLEST as u32)
}

/// Whether the kernel has sent what it took, but for the little that keeps the link busy; [`io::ErrorKind::WouldBlock`] until
/// it has: then wait for the stream to be writable.
///
/// That a write went through says less: the socket of an idle connection takes a whole piece at once. With a hundred
/// connections as much as the link carries in seconds would wait there, all of it moving on at a hundredth of the rate.
pub(super) fn drained(stream: &TcpStream) -> io::Result<()> {
    stream.try_io(Interest::WRITABLE, || {
        let mut ends = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut ends, PollTimeout::ZERO)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    })
}

sockopt_impl!(
    /// Bytes that must have come before a socket counts as readable (socket(7)).
    ReceiveLowWater, SetOnly, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize
);

/// Has the rest of a block that is arriving wake us once: on a slow link it comes in several packets, and none but the last
/// completes anything.
pub(super) struct LowWater {
    bytes: usize,
}

impl LowWater {
    pub(super) fn new() -> Self {
        Self { bytes: 1 }
    }

    /// Nothing can be done before `bytes` more have come. A closed connection and an error are told at once all the same.
    pub(super) fn wait_for(&mut self, stream: &TcpStream, bytes: usize) {
        let bytes = if bytes > PACKET { bytes } else { 1 };
        if bytes != self.bytes && setsockopt(stream, ReceiveLowWater, &bytes).is_ok() {
            self.bytes = bytes;
        }
    }
}

/// What a connection carries while the kernel has something of ours to send.
#[derive(Default)]
pub(super) struct Carries {
    bytes: u64,
    busy: Duration,
    since: Option<Instant>,
}

impl Carries {
    /// So many bytes say how fast a connection is; and after so many the earlier ones count half.
    const ENOUGH: u64 = 1 << 20;
    const MEMORY: u64 = 8 << 20;

    /// The kernel took `bytes`.
    pub(super) fn took(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.bytes > Self::MEMORY {
            (self.bytes, self.busy) = (self.bytes / 2, self.busy / 2);
        }
    }

    /// It has not sent all yet.
    pub(super) fn is_busy(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// It has nothing left.
    pub(super) fn is_free(&mut self) {
        self.busy += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    /// How long `bytes` take; for ever, as long as that is not known.
    pub(super) fn time_for(&self, bytes: u32) -> Duration {
        if self.bytes < Self::ENOUGH {
            return Duration::MAX;
        }
        self.busy.mul_f64(f64::from(bytes) / self.bytes as f64)
    }
}

/// Keeps what the kernel holds unsent in proportion to the rate.
pub(super) struct SendQueue {
    size: usize,
    since: Instant,
    bytes: usize,
    full: bool,
}

impl SendQueue {
    pub(super) fn new() -> Self {
        Self { size: SMALLEST, since: Instant::now(), bytes: 0, full: false }
    }

    /// Payload bytes to be given to the kernel at once: what it may hold, and `least`, which is two blocks: that halves the
    /// system calls of a slow link.
    pub(super) fn size(&self, least: usize) -> usize {
        self.size.max(least)
    }

    /// The kernel took `bytes`; `full` says that it holds as much as it may.
    pub(super) fn sent(&mut self, stream: &TcpStream, bytes: usize, full: bool) {
        self.bytes += bytes;
        self.full |= full;
        let elapsed = self.since.elapsed();
        if elapsed < Duration::from_millis(40) {
            return;
        }
        let rate = self.bytes as f64 / elapsed.as_secs_f64();
        let size = ((rate * QUEUE) as usize).clamp(SMALLEST, LARGEST);
        // The link carries what it has carried, and more only where the queue was the bound.
        if size > self.size * 2 || self.full && size < self.size / 2 {
            self.size = size;
            // Not taken, the queue stays as it was.
            let _ = SockRef::from(stream).set_tcp_notsent_lowat(size as u32);
        }
        self.since = Instant::now();
        self.bytes = 0;
        self.full = false;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream as Sender};

    use super::*;

    fn is_readable(stream: &TcpStream, wait: PollTimeout) -> bool {
        poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], wait).unwrap() > 0
    }

    async fn connection() -> (Sender, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().unwrap().0, receiver)
    }

    #[tokio::test]
    async fn packets_that_complete_no_block_wake_nobody() {
        let (mut sender, receiver) = connection().await;
        let mut low_water = LowWater::new();
        sender.write_all(&[0; 3000]).unwrap();
        assert!(is_readable(&receiver, PollTimeout::from(5000u16)));
        low_water.wait_for(&receiver, 5000);
        assert!(!is_readable(&receiver, PollTimeout::ZERO));
        sender.write_all(&[0; 2000]).unwrap();
        assert!(is_readable(&receiver, PollTimeout::from(5000u16)));
    }

    #[tokio::test]
    async fn a_message_between_blocks_and_the_end_wake_at_once() {
        let (mut sender, receiver) = connection().await;
        let mut low_water = LowWater::new();
        low_water.wait_for(&receiver, 5000);
        low_water.wait_for(&receiver, 0);
        sender.write_all(&[0; 5]).unwrap();
        assert!(is_readable(&receiver, PollTimeout::from(5000u16)));
        low_water.wait_for(&receiver, 5000);
        drop(sender);
        assert!(is_readable(&receiver, PollTimeout::from(5000u16)));
    }
}
