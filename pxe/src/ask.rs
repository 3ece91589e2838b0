//! One request to a server, ours as a rule, plain or by TLS, within bounds.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::tls::{self, Fingerprint};

/// From the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer, in bytes: some 800 for each of 4,096 machines, or 600 for each of 10,000 acts, and room to spare.
const LONGEST: usize = 64 << 20;

/// A server, and what lets a caller in.
pub(crate) struct Server {
    pub(crate) url: Url,
    pub(crate) token: Option<String>,
    /// Of its certificate, which is how it is known under TLS.
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Server {
    /// What it answers: status and text.
    pub(crate) async fn call(
        &self,
        method: Method,
        name: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(StatusCode, String)> {
        let url = self.url.join(name).context("--server")?;
        let asked = || format!("asking {url} (is ezio-pxe running? --server names another address)");
        let request = self.request(method, &url, body).with_context(asked)?;
        let answer = tokio::time::timeout(TIMEOUT, self.send(&url, request)).await;
        answer
            .map_err(|_| anyhow::anyhow!("no answer within {} s", TIMEOUT.as_secs()))
            .flatten()
            .with_context(asked)
    }

    fn request(&self, method: Method, url: &Url, body: Option<&serde_json::Value>) -> Result<Request<Body>> {
        let mut request = request(method, url);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        request.body(body).context("the request")
    }

    async fn send(&self, url: &Url, request: Request<Body>) -> Result<(StatusCode, String)> {
        let tls = self.fingerprint.clone().map(tls::connector).transpose()?;
        ensure!(
            url.scheme() != "https" || tls.is_some(),
            "--fingerprint is missing: the server prints that of its certificate at its start"
        );
        let answer = send(url, request, tls.as_ref()).await?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), LONGEST).await.context("reading the answer")?;
        Ok((status, String::from_utf8(body.into()).context("the answer is no text")?))
    }
}

/// The beginning of a request for this address.
pub(crate) fn request(method: Method, url: &Url) -> Builder {
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    Request::builder().method(method).uri(target).header(header::HOST, host)
}

/// Sends it, by `tls` where the address wants that, and waits for the head of the answer. The bound is the caller's.
pub(crate) async fn send(
    url: &Url,
    request: Request<Body>,
    tls: Option<&TlsConnector>,
) -> Result<Response<Incoming>> {
    let (host, port) = (url.host_str().context("it names no host")?, url.port_or_known_default());
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port.context("it names no port")?)).await.context("connecting")?;
    match (url.scheme(), tls) {
        ("http", _) => exchange(stream, request).await,
        ("https", Some(tls)) => {
            let name = ServerName::try_from(host.to_owned()).context("its name")?;
            let stream = tls.connect(name, stream).await;
            exchange(stream.context("TLS (has it another certificate than was expected?)")?, request).await
        }
        (scheme, _) => bail!("{scheme:?} is no way to talk to it: say http:// or https://"),
    }
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("beginning HTTP")?;
    // It ends with the answer; what goes wrong there, the answer says.
    tokio::spawn(connection);
    sender.send_request(request).await.context("sending the request")
}
