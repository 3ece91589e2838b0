//! The plain chain: each machine writes what arrives and passes it on. Nothing else, so it is the
//! floor of what TCP can do on these links, as long as nobody in it is slow or dead. With hashing,
//! on a thread beside, it is the ceiling of what any program that verifies can do.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use sha1::{Digest as _, Sha1};

/// Port that every relay listens on.
pub const PORT: u16 = 9000;
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Bytes received at once, at most.
const PART: usize = 256 << 10;
/// Buffers on their way to be hashed.
const BUFFERS: usize = 8;

/// Connects to a program that may still be starting.
///
/// # Errors
/// It does not listen within half a minute.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_LIMIT;
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("connect to {address}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn say(event: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{{\"event\":\"{event}\"}}").and_then(|()| out.flush()).context("write an event")
}

/// Receives on [`PORT`], writes to `target`, passes on to `next`, hashes what came if asked to. Says `ready` and
/// `complete`.
///
/// # Errors
/// Any read, write or connection fails.
pub fn relay(target: &Path, next: Option<SocketAddr>, hash: bool) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).context("listen")?;
    let mut onward = next.map(connect).transpose()?;
    let hasher = hash.then(Hasher::start).transpose()?;
    say("ready")?;
    let (mut from, _) = listener.accept().context("accept")?;
    let what = || format!("write {}", target.display());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(false).open(target).with_context(what)?;
    let mut buffer = vec![0; PART];
    loop {
        let length = from.read(&mut buffer).context("receive")?;
        if length == 0 {
            break;
        }
        if let Some(onward) = &mut onward {
            onward.write_all(&buffer[..length]).context("pass on")?;
        }
        file.write_all(&buffer[..length]).with_context(what)?;
        if let Some(hasher) = &hasher {
            buffer = hasher.hash(buffer, length)?;
        }
    }
    drop(onward);
    hasher.map(Hasher::finish).transpose()?;
    file.sync_all().with_context(|| format!("sync {}", target.display()))?;
    say("complete")
}

/// A thread that hashes buffers and gives them back.
struct Hasher {
    full: SyncSender<(Vec<u8>, usize)>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<[u8; 20]>,
}

impl Hasher {
    fn start() -> Result<Self> {
        let (full, jobs) = sync_channel::<(Vec<u8>, usize)>(BUFFERS);
        let (give, empty) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            give.send(vec![0; PART]).context("make buffers")?;
        }
        let run = move || {
            let mut sha1 = Sha1::new();
            for (buffer, length) in jobs {
                sha1.update(&buffer[..length]);
                // Nobody takes it any more once all has come.
                let _ = give.send(buffer);
            }
            sha1.finalize().into()
        };
        let thread = std::thread::Builder::new().name("hash".into()).spawn(run).context("start a thread")?;
        Ok(Self { full, empty, thread })
    }

    /// Takes a full buffer for an empty one.
    fn hash(&self, buffer: Vec<u8>, length: usize) -> Result<Vec<u8>> {
        self.full.send((buffer, length)).context("hash")?;
        self.empty.recv().context("hash")
    }

    fn finish(self) -> Result<[u8; 20]> {
        drop((self.full, self.empty));
        self.thread.join().map_err(|_| anyhow!("the hashing thread failed"))
    }
}

/// Sends a file to the first relay.
///
/// # Errors
/// Any read, write or connection fails.
pub fn send(image: &Path, to: SocketAddr) -> Result<()> {
    let mut file = File::open(image).with_context(|| format!("open {}", image.display()))?;
    let mut stream = connect(to)?;
    std::io::copy(&mut file, &mut stream).with_context(|| format!("send to {to}"))?;
    Ok(())
}
