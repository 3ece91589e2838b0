//! TLS of the page and the API: by a certificate that was given, or by one that is made at the first start and kept.

mod authorities;
mod certificate;
mod pinned;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

pub(crate) use authorities::{AUTHORITIES, by_authorities};
pub(crate) use pinned::connector;

/// Files of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What a certificate is known by: SHA-256 of its DER, as browsers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    fn of(der: &[u8]) -> Self {
        let bytes: Vec<String> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
        Self(bytes.join(":"))
    }
}

impl Fingerprint {
    /// As somebody writes it.
    pub(crate) fn said(text: &str) -> Self {
        Self(text.trim().to_uppercase())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a server needs of it.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) fingerprint: Fingerprint,
}

impl Tls {
    /// Takes the given certificate, or the one in the folder of state, which is made if it is not there. `names` are addresses
    /// and names of this server.
    pub(crate) fn open(given: Option<&Given>, state: Option<&Path>, names: Vec<String>) -> Result<Self> {
        let (chain, key) = match given {
            Some(given) => certificate::read(&given.certificate, &given.key)?,
            None => certificate::kept(state, names)?,
        };
        let fingerprint = Fingerprint::of(chain.first().context("the certificate's file has none")?);
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("choosing versions of TLS")?;
        let mut config = config
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("the certificate with its key")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), fingerprint })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
