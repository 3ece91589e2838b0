//! The plain chain: each machine writes what arrives and passes it on. Nothing else, so it is the
//! floor of what TCP can do on these links, as long as nobody in it is slow or dead.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Port that every relay listens on.
pub const PORT: u16 = 9000;
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

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

/// Receives on [`PORT`], writes to `target`, passes on to `next`. Says `ready` and `complete`.
///
/// # Errors
/// Any read, write or connection fails.
pub fn relay(target: &Path, next: Option<SocketAddr>) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).context("listen")?;
    let mut onward = next.map(connect).transpose()?;
    say("ready")?;
    let (mut from, _) = listener.accept().context("accept")?;
    let what = || format!("write {}", target.display());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(false).open(target).with_context(what)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = from.read(&mut buffer).context("receive")?;
        if length == 0 {
            break;
        }
        if let Some(onward) = &mut onward {
            onward.write_all(&buffer[..length]).context("pass on")?;
        }
        file.write_all(&buffer[..length]).with_context(what)?;
    }
    drop(onward);
    file.sync_all().with_context(|| format!("sync {}", target.display()))?;
    say("complete")
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
