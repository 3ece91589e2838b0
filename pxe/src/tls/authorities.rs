//! How servers elsewhere are known: by those who sign certificates, as this system trusts them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::provider;

/// Where Debian has them all (package ca-certificates).
pub(crate) const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Connects to whose certificate is signed by one of those in this file.
pub(crate) fn by_authorities(file: &Path) -> Result<TlsConnector> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.with_context(|| {
        format!("whom to trust with certificates stands in {} (apt install ca-certificates)", file.display())
    })?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates);
    ensure!(taken > 0, "{} has no certificate (apt install ca-certificates)", file.display());
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .context("choosing versions of TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(std::sync::Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use tokio::io::duplex;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    #[tokio::test]
    async fn whose_certificate_they_signed_is_connected_to_and_nobody_else() {
        let made = rcgen::generate_simple_self_signed(["hooks.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth();
        let acceptor: TlsAcceptor =
            Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).unwrap()).into();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authorities.pem");
        std::fs::write(&file, made.cert.pem()).unwrap();
        let connector = by_authorities(&file).unwrap();
        let connects = async |name: &'static str| {
            let (ours, theirs) = duplex(1 << 16);
            let name = ServerName::try_from(name).unwrap();
            tokio::join!(connector.connect(name, ours), acceptor.accept(theirs)).0.is_ok()
        };
        assert!(connects("hooks.example").await);
        assert!(!connects("other.example").await);
        std::fs::write(&file, "").unwrap();
        assert!(format!("{:#}", by_authorities(&file).err().unwrap()).contains("ca-certificates"));
    }
}
