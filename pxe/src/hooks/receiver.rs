//! Who is told: an address, and how it knows that we say it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::body::Body;
use axum::http::{Method, header};
use ezio_image::checksums::sha256_hex;
use ring::hmac;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::{ask, tls};

/// From the connection to the head of the answer: who has more to do says yes first.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The signature, as GitHub's hooks have it, so that what checks those checks ours.
const SIGNATURE: &str = "x-hub-signature-256";

/// Where somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(Url);

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let url: Url = text.parse().with_context(|| format!("{text:?} is no URL"))?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "{text:?} is no address of a web server: it begins with http:// or https://"
        );
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "{text:?} has a user or a password, which would not be sent: --hook-secret signs what is sent"
        );
        Ok(Self(url))
    }
}

impl Address {
    /// What it is known by in the database: its SHA-256, for its path is a secret with some services.
    pub(super) fn key(&self) -> String {
        sha256_hex(self.0.as_str().as_bytes())
    }
}

/// For the log: without the path, which is a secret with some services.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..url::Position::AfterPort])
    }
}

/// What messages are signed with.
#[derive(Debug, Clone)]
pub(crate) struct Secret(hmac::Key);

impl Secret {
    /// The first line of a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        match text.lines().next().map(str::trim) {
            Some(secret) if !secret.is_empty() => Ok(Self::of(secret)),
            _ => bail!("the secret of hooks: the first line of {} is empty", path.display()),
        }
    }

    fn of(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    fn sign(&self, message: &str) -> String {
        let tag = hmac::sign(&self.0, message.as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    }
}

/// One of those who are told.
pub(super) struct Receiver {
    address: Address,
    secret: Option<Secret>,
    /// With https.
    tls: Option<TlsConnector>,
}

impl Receiver {
    pub(super) fn new(address: Address, secret: Option<Secret>) -> Result<Self> {
        let by_tls = address.0.scheme() == "https";
        let tls = by_tls.then(|| tls::by_authorities(Path::new(tls::AUTHORITIES))).transpose();
        Ok(Self { tls: tls.with_context(|| format!("--hook {address}"))?, address, secret })
    }

    /// Tells it once. It has to say that all is well within bounded time.
    pub(super) async fn post(&self, message: &str) -> Result<()> {
        let agent = concat!("ezio-pxe/", env!("CARGO_PKG_VERSION"));
        let mut request = ask::request(Method::POST, &self.address.0)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, agent);
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE, secret.sign(message));
        }
        let request = request.body(Body::from(message.to_owned())).context("the request")?;
        let answer =
            tokio::time::timeout(TIMEOUT, ask::send(&self.address.0, request, self.tls.as_ref())).await;
        let answer = answer.with_context(|| format!("no answer within {} s", TIMEOUT.as_secs()))??;
        ensure!(answer.status().is_success(), "it answers {}", answer.status());
        Ok(())
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_signed_as_rfc_4231_says() {
        let signed = Secret::of("Jefe").sign("what do ya want for nothing?");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn an_address_is_a_web_server_and_its_path_is_not_told() {
        let address = |text: &str| text.parse::<Address>().map_err(|e| e.to_string());
        assert_eq!(address("https://h.example:8443/secret?x").unwrap().to_string(), "https://h.example:8443");
        for (wrong, why) in
            [("h.example", "no URL"), ("ftp://h/", "http://"), ("http://a:b@h/", "--hook-secret")]
        {
            assert!(address(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }
}
