//! Fetches small files (ezio.conf, manifests, torrents), with bounds on size, time and attempts.

pub(crate) mod location;
pub(crate) mod signature;
pub(crate) mod superblock;
pub(crate) mod torrent;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ezio_frames::unpack_all;
use ezio_netproto::tftp::client::{Limits, TftpError};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use self::location::Location;

/// Largest file taken: a torrent of 4 TB in 1 MiB pieces has 80 MB of hashes.
const MAX_LENGTH: u64 = 128 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);
const TFTP_PORT: u16 = 69;
/// How a server may pack what it sends: of a torrent an eighth is left.
const ZSTD: &str = "zstd";

/// How long to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// No new attempt begins after this.
    pub(crate) total: Duration,
}

impl Patience {
    /// One attempt.
    pub(crate) const NONE: Self = Self { total: Duration::ZERO };
    /// A server that is starting, a switch that is still learning.
    pub(crate) const DEFAULT: Self = Self { total: Duration::from_secs(90) };
}

/// Why a file could not be had.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("{0}: no such file on the server")]
    NotFound(Location),
    #[error("{location}: the server answers {status}")]
    Status { location: Location, status: reqwest::StatusCode },
    #[error("{0}: more than {1} bytes")]
    TooLarge(Location, u64),
    #[error("{0}: the answer stopped short: silence for {1:?}")]
    Silence(Location, Duration),
    #[error("{location}: what the server packed cannot be unpacked")]
    Packed { location: Location, source: io::Error },
    #[error("fetching {location}: {reason}")]
    Http { location: Location, reason: String },
    #[error(transparent)]
    Tftp(#[from] TftpError),
    #[error("finding the address of {host}")]
    Name { host: String, source: io::Error },
    #[error("reading {location}")]
    Local { location: Location, source: io::Error },
}

impl FetchError {
    /// Would the same request end the same way?
    fn is_final(&self) -> bool {
        match self {
            Self::NotFound(_) | Self::TooLarge(..) | Self::Local { .. } => true,
            Self::Status { status, .. } => status.is_client_error(),
            Self::Tftp(TftpError::Refused { .. } | TftpError::TooLarge { .. }) => true,
            Self::Tftp(_)
            | Self::Silence(..)
            | Self::Packed { .. }
            | Self::Http { .. }
            | Self::Name { .. } => false,
        }
    }
}

/// Fetches files.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    http: reqwest::Client,
}

impl Fetcher {
    /// A fetcher that asks servers directly, never through a proxy.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { http })
    }

    /// One attempt.
    pub(crate) async fn get(&self, location: &Location) -> Result<Vec<u8>, FetchError> {
        self.get_at_most(location, MAX_LENGTH).await
    }

    /// One attempt to get a file of no more than `limit` bytes.
    pub(crate) async fn get_at_most(&self, location: &Location, limit: u64) -> Result<Vec<u8>, FetchError> {
        match location {
            Location::Http(url) => self.get_http(location, url, limit).await,
            Location::Tftp(url) => get_tftp(url, limit).await,
            Location::Local(path) => {
                let failed = |source| FetchError::Local { location: location.clone(), source };
                let length = tokio::fs::metadata(path).await.map_err(failed)?.len();
                if length > limit {
                    return Err(FetchError::TooLarge(location.clone(), limit));
                }
                tokio::fs::read(path).await.map_err(failed)
            }
        }
    }

    /// Attempts until one succeeds, patience ends, or the answer is final. `tell` hears of each failure
    /// that is followed by another attempt.
    pub(crate) async fn get_patiently(
        &self,
        location: &Location,
        patience: Patience,
        mut tell: impl FnMut(&FetchError, Duration),
    ) -> Result<Vec<u8>, FetchError> {
        let end = Instant::now() + patience.total;
        let mut backoff = FIRST_BACKOFF;
        loop {
            let error = match self.get(location).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if error.is_final() || Instant::now() + backoff > end {
                return Err(error);
            }
            tell(&error, backoff);
            sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn get_http(&self, location: &Location, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        let failed = |error: reqwest::Error| FetchError::Http {
            location: location.clone(),
            reason: innermost(&error),
        };
        let silence = |_| FetchError::Silence(location.clone(), READ_TIMEOUT);
        let sent =
            timeout(READ_TIMEOUT, self.http.get(url.clone()).header(ACCEPT_ENCODING, ZSTD).send()).await;
        let mut response = sent.map_err(silence)?.map_err(failed)?;
        let status = response.status();
        if status == reqwest::StatusCode::NOT_FOUND {
            return Err(FetchError::NotFound(location.clone()));
        }
        if !status.is_success() {
            return Err(FetchError::Status { location: location.clone(), status });
        }
        let packed = response.headers().get(CONTENT_ENCODING).is_some_and(|by| by == ZSTD);
        let mut body = Vec::new();
        while let Some(chunk) =
            timeout(READ_TIMEOUT, response.chunk()).await.map_err(silence)?.map_err(failed)?
        {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(FetchError::TooLarge(location.clone(), limit));
            }
            body.extend_from_slice(&chunk);
        }
        if !packed {
            return Ok(body);
        }
        let unpacked = unpack_all(&body, limit);
        let unpacked =
            unpacked.map_err(|source| FetchError::Packed { location: location.clone(), source })?;
        unpacked.ok_or_else(|| FetchError::TooLarge(location.clone(), limit))
    }
}

/// The layers of an HTTP client each say that something failed; only the innermost says what.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

async fn get_tftp(url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
    let host = url.host_str().unwrap_or_default();
    let server = resolve(host, url.port().unwrap_or(TFTP_PORT)).await?;
    let limits = Limits { max_len: limit, ..Limits::default() };
    Ok(ezio_netproto::tftp::client::get(server, url.path(), &limits).await?)
}

/// First address of a host.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<SocketAddr, FetchError> {
    let failed = |source| FetchError::Name { host: host.to_owned(), source };
    let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await.map_err(failed)?.next();
    found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each connection with the next of these, then closes it.
    async fn server(answers: Vec<&'static [u8]>) -> (Location, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location = format!("http://{}/ezio.conf", listener.local_addr().unwrap()).parse().unwrap();
        let task = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.unwrap();
                stream.write_all(answer).await.unwrap();
            }
        });
        (location, task)
    }

    const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nezio";
    const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\nezio";
    const NONE: &[u8] = b"HTTP/1.1 404 None\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_busy_server_and_a_cut_answer_are_asked_again() {
        let (location, _task) = server(vec![BUSY, SHORT, GOOD]).await;
        let mut told = Vec::new();
        let fetched = Fetcher::new()
            .unwrap()
            .get_patiently(&location, Patience { total: Duration::from_secs(20) }, |e, _| {
                told.push(e.to_string())
            })
            .await
            .unwrap();
        assert_eq!(fetched, b"ezio");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("503"), "{told:?}");
    }

    /// What the server packs counts by what is in it; what is cut off is asked for again.
    #[tokio::test]
    async fn what_comes_packed_is_unpacked_within_the_limit() {
        let frame = ezio_frames::Packer::new(1).unwrap().pack(&[7; 100_000]).unwrap();
        let answer = |frame: &[u8]| {
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nConnection: close\r\nContent-Length";
            let head = format!("{head}: {}\r\n\r\n", frame.len());
            &*[head.as_bytes(), frame].concat().leak()
        };
        let (short, whole) = (answer(&frame[..frame.len() - 9]), answer(&frame));
        let (location, _task) = server(vec![short, whole, whole]).await;
        let fetcher = Fetcher::new().unwrap();
        let error = fetcher.get(&location).await.unwrap_err();
        assert!(matches!(error, FetchError::Packed { .. }) && !error.is_final(), "{error}");
        assert_eq!(fetcher.get_at_most(&location, 100_000).await.unwrap(), [7; 100_000]);
        let error = fetcher.get_at_most(&location, 99_999).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge(..)), "{error}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_asked_for_again() {
        let (location, task) = server(vec![NONE]).await;
        let error =
            Fetcher::new().unwrap().get_patiently(&location, Patience::DEFAULT, |_, _| {}).await.unwrap_err();
        assert!(matches!(error, FetchError::NotFound(_)), "{error}");
        task.await.unwrap();
        let local = Location::Local("/nonexistent/ezio.conf".into());
        assert!(Fetcher::new().unwrap().get(&local).await.unwrap_err().is_final());
    }

    #[tokio::test]
    async fn a_dead_server_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location: Location = format!("http://{}/x", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let began = Instant::now();
        let patience = Patience { total: Duration::from_millis(1600) };
        let error = Fetcher::new().unwrap().get_patiently(&location, patience, |_, _| {}).await.unwrap_err();
        assert!(matches!(error, FetchError::Http { .. }));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let chain = format!("{:#}", anyhow::Error::from(error));
        assert_eq!(chain.matches("http://").count(), 1, "the address once: {chain}");
    }
}
