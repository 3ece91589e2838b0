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
use rustls::pki_types::CertificateDer;
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
    /// What is wrong with the names of the one that was made, and what to do.
    pub(crate) outdated: Option<String>,
}

impl Tls {
    /// Takes the given certificate, or the one in the folder of state, which is made if it is not there. `names` are addresses
    /// and names of this server.
    pub(crate) fn open(given: Option<&Given>, state: Option<&Path>, names: Vec<String>) -> Result<Self> {
        let (chain, key) = match given {
            Some(given) => certificate::read(&given.certificate, &given.key)?,
            None => certificate::kept(state, names.clone())?,
        };
        let own = chain.first().context("the certificate's file has none")?;
        let fingerprint = Fingerprint::of(own);
        let outdated = match (given, state) {
            (None, Some(state)) => outdated(own, &names, state)?,
            _ => None,
        };
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("choosing versions of TLS")?;
        let mut config = config
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("the certificate with its key")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), fingerprint, outdated })
    }
}

/// What there is to say where the server has other names than at the start that made the certificate.
fn outdated(own: &CertificateDer, names: &[String], state: &Path) -> Result<Option<String>> {
    let (mut named, mut lacks) = (Vec::new(), Vec::new());
    for name in names {
        let list = if certificate::is_for(own, name)? { &mut named } else { &mut lacks };
        list.push(name.as_str());
    }
    let said = || {
        format!(
            "it is for {}, and not for {}, as this server is called now: who trusts it by name is refused there. A new one is made at the \
             next start without {}; it has another fingerprint, which is to be told to who knows this one",
            named.join(", "),
            lacks.join(", "),
            certificate::place(state).display()
        )
    };
    Ok((!lacks.is_empty()).then(said))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
