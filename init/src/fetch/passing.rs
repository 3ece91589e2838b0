//! A torrent that a whole room asks for at once is passed on from machine to machine (`ezio_contract::passing`): this machine's
//! part of it, getting and giving. It gives from the moment that it has the file, whatever it does then.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ezio_contract::passing::{Elsewhere, SIZES};
use ezio_image::checksums::sha256_hex;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use super::resolve;

/// Hexadecimal digits of a SHA-256.
const HASH: usize = 64;
/// A machine of the same network answers within milliseconds; one that was switched off does not.
const CONNECT_BOUND: Duration = Duration::from_millis(500);
/// Beyond what the file itself takes: the machines before this one ask, too.
const SHORTEST: Duration = Duration::from_secs(1);
/// Bytes a second of a file that goes through a hundred machines over the slowest links, of 1 Mbit/s: each passes it to two, six
/// behind one another, which takes 14 times as long as once.
const SLOWEST: u64 = 125_000 / 14;
/// Longer than this nobody waits before the server is asked.
const LONGEST: Duration = Duration::from_secs(10);
/// The server names a machine for 10 s, and whoever was sent to it waits for 10 s at most.
const KEPT: Duration = Duration::from_secs(30);
/// Machines at once: the server sends two; others may come by mistake.
const AT_ONCE: usize = 8;

/// Why another machine did not give a file.
#[derive(Debug, Error)]
pub(super) enum PassingError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not within {0:?}")]
    Timeout(Duration),
    #[error("what the server says of it makes no sense")]
    Answer,
    #[error("its hash is another one")]
    Hash,
}

/// A file that this machine has promised to pass on. Dropped without it, it sends everybody back to the server.
pub(super) struct Promise {
    /// Where.
    pub(super) at: SocketAddr,
    file: watch::Sender<Option<Arc<Held>>>,
}

struct Held {
    sha256: String,
    bytes: Vec<u8>,
}

impl Promise {
    /// Listens on this machine's address on the way to the server of `file`; none where that cannot be.
    pub(super) async fn make(file: &Url) -> Option<Self> {
        let server = resolve(file.host_str()?, file.port_or_known_default()?).await.ok()?;
        let listener = TcpListener::bind((own_address(server).await.ok()?, 0)).await.ok()?;
        let at = listener.local_addr().ok()?;
        let (file, promised) = watch::channel(None);
        tokio::spawn(async move {
            tokio::select! {
                () = broken(promised.clone()) => {}
                _ = timeout(KEPT, give(listener, promised)) => {}
            }
        });
        Some(Self { at, file })
    }

    /// These are its bytes, as they travel.
    pub(super) fn keep(self, bytes: Vec<u8>) {
        if SIZES.contains(&(bytes.len() as u64)) {
            self.file.send_replace(Some(Arc::new(Held { sha256: sha256_hex(&bytes), bytes })));
        }
    }
}

/// Nothing is sent for that.
async fn own_address(server: SocketAddr) -> io::Result<IpAddr> {
    let any = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}

async fn broken(mut promised: watch::Receiver<Option<Arc<Held>>>) {
    if promised.wait_for(Option::is_some).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Takes connections; whoever is too much is sent back to the server.
async fn give(listener: TcpListener, promised: watch::Receiver<Option<Arc<Held>>>) {
    let mut machines = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while machines.try_join_next().is_some() {}
        if machines.len() < AT_ONCE {
            machines.spawn(timeout(LONGEST, answer(stream, promised.clone())));
        }
    }
}

async fn answer(mut stream: TcpStream, mut promised: watch::Receiver<Option<Arc<Held>>>) -> io::Result<()> {
    let mut wanted = [0; HASH];
    stream.read_exact(&mut wanted).await?;
    let held = promised.wait_for(Option::is_some).await.ok().and_then(|held| held.clone());
    match held.filter(|held| held.sha256.as_bytes() == wanted) {
        Some(held) => stream.write_all(&held.bytes).await,
        None => Ok(()),
    }
}

/// Gets a file from who has it, as the server's `answer` says.
pub(super) async fn get(answer: &[u8]) -> Result<Vec<u8>, PassingError> {
    let from: Elsewhere = serde_json::from_slice(answer).map_err(|_| PassingError::Answer)?;
    if !SIZES.contains(&from.length) || from.sha256.len() != HASH {
        return Err(PassingError::Answer);
    }
    let connecting = timeout(CONNECT_BOUND, TcpStream::connect(from.at)).await;
    let mut stream = connecting.map_err(|_| PassingError::Timeout(CONNECT_BOUND))??;
    let mut bytes = vec![0; from.length as usize];
    let bound = bound(from.length);
    let exchange = async {
        stream.write_all(from.sha256.as_bytes()).await?;
        stream.read_exact(&mut bytes).await
    };
    timeout(bound, exchange).await.map_err(|_| PassingError::Timeout(bound))??;
    if sha256_hex(&bytes) == from.sha256 { Ok(bytes) } else { Err(PassingError::Hash) }
}

/// Longer than this nobody waits for a file of so many bytes.
fn bound(length: u64) -> Duration {
    (SHORTEST + Duration::from_secs(length / SLOWEST)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        (0..40_000u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect()
    }

    fn of(promise: &Promise, bytes: &[u8]) -> Elsewhere {
        Elsewhere { at: promise.at, sha256: sha256_hex(bytes), length: bytes.len() as u64 }
    }

    async fn promise() -> Promise {
        Promise::make(&"http://127.0.0.1:9/a.torrent".parse().unwrap()).await.unwrap()
    }

    async fn get(from: &Elsewhere) -> Result<Vec<u8>, PassingError> {
        super::get(&serde_json::to_vec(from).unwrap()).await
    }

    #[tokio::test]
    async fn whoever_asks_before_the_file_is_there_gets_it_as_it_comes() {
        let (promise, bytes) = (promise().await, file());
        let from = of(&promise, &bytes);
        let early = tokio::spawn({
            let from = from.clone();
            async move { get(&from).await }
        });
        tokio::task::yield_now().await;
        promise.keep(bytes.clone());
        assert!(early.await.unwrap().unwrap() == bytes);
        assert!(get(&from).await.unwrap() == bytes, "and later, as often as somebody asks");
    }

    #[tokio::test]
    async fn a_broken_promise_another_file_and_a_lie_end_at_once() {
        let bytes = file();
        let broken = promise().await;
        let from = of(&broken, &bytes);
        drop(broken);
        assert!(matches!(get(&from).await, Err(PassingError::Io(_))));
        let other = promise().await;
        let (theirs, ours) = (of(&other, &bytes[1..]), of(&other, &bytes));
        other.keep(bytes[1..].to_vec());
        assert!(matches!(get(&ours).await, Err(PassingError::Io(_))));
        assert!(get(&theirs).await.unwrap() == bytes[1..]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(
            async move { listener.accept().await.unwrap().0.write_all(&[0; 40_000]).await.unwrap() },
        );
        assert!(matches!(get(&Elsewhere { at, ..ours.clone() }).await, Err(PassingError::Hash)));
        for senseless in [Elsewhere { length: 1 << 40, ..ours.clone() }, Elsewhere { length: 0, ..ours }] {
            assert!(matches!(get(&senseless).await, Err(PassingError::Answer)));
        }
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_in_proportion() {
        assert_eq!([31_000, 4 << 20].map(|length| bound(length).as_secs()), [4, 10]);
        // It takes connections, and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, sha256) = (silent.local_addr().unwrap(), "0".repeat(HASH));
        let error = get(&Elsewhere { at, sha256, length: *SIZES.start() }).await.unwrap_err();
        assert!(matches!(error, PassingError::Timeout(time) if time.as_secs() == 2), "{error}");
    }
}
