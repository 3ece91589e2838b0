//! Fetches small files (ezio.conf, manifests, torrents), with bounds on size, time and attempts.

pub(crate) mod location;
mod passing;
pub(crate) mod signature;
pub(crate) mod superblock;
pub(crate) mod torrent;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ezio_contract::passing::PASSES_ON;
use ezio_frames::unpack_all;
use ezio_netproto::tftp::client::{Limits, TftpError};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use reqwest::{Response, StatusCode};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use self::location::Location;
use self::passing::Promise;

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
    Status { location: Location, status: StatusCode },
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
    fn of_http(location: &Location, error: &reqwest::Error) -> Self {
        Self::Http { location: location.clone(), reason: innermost(error) }
    }

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
    /// Torrents may come from other machines, for this one will be there to pass them on.
    passes_on: bool,
}

impl Fetcher {
    /// A fetcher that asks servers directly, never through a proxy.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { http, passes_on: false })
    }

    /// The same, of a machine that will be there for a while.
    pub(crate) fn passing_on(self) -> Self {
        Self { passes_on: true, ..self }
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
        let promise = match self.passes_on && location.is_torrent() {
            true => Promise::make(url).await,
            false => None,
        };
        let (bytes, packed) = self.as_it_travels(location, url, limit, promise.as_ref()).await?;
        if !packed {
            return Ok(bytes);
        }
        let unpacked = unpack_all(&bytes, limit);
        let unpacked =
            unpacked.map_err(|source| FetchError::Packed { location: location.clone(), source })?;
        let unpacked = unpacked.ok_or_else(|| FetchError::TooLarge(location.clone(), limit))?;
        if let Some(promise) = promise {
            promise.keep(bytes);
        }
        Ok(unpacked)
    }

    /// The bytes that come from the server, or from whom it names to one who promises to pass them on; and whether they are
    /// packed.
    async fn as_it_travels(
        &self,
        location: &Location,
        url: &Url,
        limit: u64,
        promise: Option<&Promise>,
    ) -> Result<(Vec<u8>, bool), FetchError> {
        let response = self.ask(location, url, promise).await?;
        let is_elsewhere = response.status() == StatusCode::MULTIPLE_CHOICES;
        let packed = response.headers().get(CONTENT_ENCODING).is_some_and(|by| by == ZSTD);
        let bytes = read(response, location, limit).await?;
        if !is_elsewhere {
            return Ok((bytes, packed));
        }
        match passing::get(&bytes).await {
            Ok(bytes) => Ok((bytes, true)),
            Err(error) => {
                tracing::debug!("{location}: not from another machine: {error}");
                Box::pin(self.as_it_travels(location, url, limit, None)).await
            }
        }
    }

    /// Until an answer begins that is the file, or, to a promise, says who has it.
    async fn ask(
        &self,
        location: &Location,
        url: &Url,
        promise: Option<&Promise>,
    ) -> Result<Response, FetchError> {
        let mut request = self.http.get(url.clone()).header(ACCEPT_ENCODING, ZSTD);
        if let Some(promise) = promise {
            request = request.header(PASSES_ON, promise.at.to_string());
        }
        let sent = timeout(READ_TIMEOUT, request.send()).await;
        let sent = sent.map_err(|_| FetchError::Silence(location.clone(), READ_TIMEOUT))?;
        let response = sent.map_err(|error| FetchError::of_http(location, &error))?;
        match response.status() {
            StatusCode::NOT_FOUND => Err(FetchError::NotFound(location.clone())),
            StatusCode::MULTIPLE_CHOICES if promise.is_some() => Ok(response),
            status if status.is_success() => Ok(response),
            status => Err(FetchError::Status { location: location.clone(), status }),
        }
    }
}

/// All of an answer.
async fn read(mut response: Response, location: &Location, limit: u64) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    loop {
        let chunk = timeout(READ_TIMEOUT, response.chunk()).await;
        let chunk = chunk.map_err(|_| FetchError::Silence(location.clone(), READ_TIMEOUT))?;
        let Some(chunk) = chunk.map_err(|error| FetchError::of_http(location, &error))? else {
            return Ok(body);
        };
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(FetchError::TooLarge(location.clone(), limit));
        }
        body.extend_from_slice(&chunk);
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
    use ezio_contract::passing::Elsewhere;
    use ezio_image::checksums::sha256_hex;
    use sha1::{Digest, Sha1};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each connection with the next of these, then closes it; gives what was asked.
    async fn server(answers: Vec<&'static [u8]>) -> (Location, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location = format!("http://{}/ezio.conf", listener.local_addr().unwrap()).parse().unwrap();
        let task = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
                stream.write_all(answer).await.unwrap();
            }
            requests
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

    fn answer(head: &str, body: &[u8]) -> &'static [u8] {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat().leak()
    }

    fn packed(frame: &[u8]) -> &'static [u8] {
        answer("200 OK\r\nContent-Encoding: zstd", frame)
    }

    /// Where a request says that its sender passes on what it gets.
    fn passes_on(request: &str) -> Option<SocketAddr> {
        let said = |line: &str| line.strip_prefix(PASSES_ON)?.strip_prefix(": ")?.parse().ok();
        request.lines().find_map(said)
    }

    /// What the server packs counts by what is in it; what is cut off is asked for again.
    #[tokio::test]
    async fn what_comes_packed_is_unpacked_within_the_limit() {
        let frame = ezio_frames::Packer::new(1).unwrap().pack(&[7; 100_000]).unwrap();
        let (short, whole) = (packed(&frame[..frame.len() - 9]), packed(&frame));
        let (location, _task) = server(vec![short, whole, whole]).await;
        let fetcher = Fetcher::new().unwrap();
        let error = fetcher.get(&location).await.unwrap_err();
        assert!(matches!(error, FetchError::Packed { .. }) && !error.is_final(), "{error}");
        assert_eq!(fetcher.get_at_most(&location, 100_000).await.unwrap(), [7; 100_000]);
        let error = fetcher.get_at_most(&location, 99_999).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge(..)), "{error}");
    }

    #[tokio::test]
    async fn a_torrent_comes_from_whom_the_server_names_or_else_from_the_server() {
        let torrent: Vec<u8> = (0..2000u32).flat_map(|n| Sha1::digest(n.to_be_bytes())).collect();
        let frame = ezio_frames::Packer::new(1).unwrap().pack(&torrent).unwrap();
        let (sha256, length) = (sha256_hex(&frame), frame.len() as u64);
        let elsewhere = |at, sha256: &str| {
            let elsewhere = Elsewhere { at, sha256: sha256.to_owned(), length };
            answer("300 Multiple Choices", &serde_json::to_vec(&elsewhere).unwrap())
        };
        let get = async |fetcher: Fetcher, answers: Vec<&'static [u8]>| {
            let (conf, requests) = server(answers).await;
            let fetched = fetcher.get(&conf.beside("disk.torrent")).await;
            (fetched, requests.await.unwrap().iter().map(|request| passes_on(request)).collect::<Vec<_>>())
        };
        let machine = || Fetcher::new().unwrap().passing_on();
        // As a server answers that has a small room, or has never heard of this.
        let (fetched, said) = get(machine(), vec![packed(&frame)]).await;
        assert!(fetched.unwrap() == torrent);
        let first = said[0].unwrap();
        // The next: nothing but the name of the first comes from the server.
        let (fetched, said) = get(machine(), vec![elsewhere(first, &sha256)]).await;
        assert!(fetched.unwrap() == torrent && said[0].is_some_and(|second| second != first));
        let (fetched, _) = get(machine(), vec![elsewhere(said[0].unwrap(), &sha256)]).await;
        assert!(fetched.unwrap() == torrent, "from the second, which has it from the first");
        // Who is not there, and who has another file: then it comes from the server, which is asked for nothing else.
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for wrong in [elsewhere(nobody, &sha256), elsewhere(first, &sha256_hex(b"another"))] {
            let (fetched, said) = get(machine(), vec![wrong, packed(&frame)]).await;
            assert!(fetched.unwrap() == torrent && said[0].is_some() && said[1].is_none(), "{said:?}");
        }
        // Whoever does not stay promises nothing, and is sent nowhere.
        let (fetched, said) = get(Fetcher::new().unwrap(), vec![elsewhere(first, &sha256)]).await;
        assert!(matches!(fetched, Err(FetchError::Status { .. })) && said == [None], "{said:?}");
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
