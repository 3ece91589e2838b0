//! Certificates in files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;

use crate::whole::{self, Rights};

/// In the folder of state.
const CERTIFICATE: &str = "tls-certificate.pem";
const KEY: &str = "tls-key.pem";

/// A certificate with those that sign it, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads PEM.
pub(super) fn read(certificate: &Path, key: &Path) -> Result<Identity> {
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.with_context(|| format!("the certificate in {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("the key in {}", key.display()))?;
    Ok((chain, key))
}

/// Where the one that was made is kept.
pub(super) fn place(state: &Path) -> PathBuf {
    state.join(CERTIFICATE)
}

/// Is it for this name or address?
pub(super) fn is_for(certificate: &CertificateDer, name: &str) -> Result<bool> {
    let name = ServerName::try_from(name).with_context(|| format!("{name:?} is no name"))?;
    let parsed = ParsedCertificate::try_from(certificate).context("the certificate")?;
    Ok(verify_server_name(&parsed, &name).is_ok())
}

/// The one that was made at an earlier start, else a new one, which is kept where there is a folder. It is not made anew when the server
/// gets other names: people and commands know it by its fingerprint.
pub(super) fn kept(state: Option<&Path>, names: Vec<String>) -> Result<Identity> {
    let files = state.map(|state| (place(state), state.join(KEY)));
    if let Some((certificate, key)) = &files
        && certificate.exists()
    {
        return read(certificate, key);
    }
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    if let Some((certificate, key)) = &files {
        // The certificate comes last: where it is, its key is there too.
        for (path, text) in [(key, made.signing_key.serialize_pem()), (certificate, made.cert.pem())] {
            whole::write(path, text.as_bytes(), &Rights::Private)
                .with_context(|| format!("writing {}", path.display()))?;
        }
    }
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let key = key.map_err(|e| anyhow::anyhow!("the key that was made: {e}"))?;
    Ok((vec![made.cert.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_made_once_and_its_key_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let names = || vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let (first, _) = kept(Some(folder.path()), names()).unwrap();
        let (second, _) = kept(Some(folder.path()), names()).unwrap();
        assert_eq!(first, second);
        let is_for = |name| is_for(&first[0], name).unwrap();
        assert!(is_for("127.0.0.1") && is_for("localhost") && !is_for("10.0.0.1") && !is_for("lab.example"));
        let mode = fs::metadata(folder.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(folder.path().join(KEY)).unwrap();
        let error = format!("{:#}", kept(Some(folder.path()), names()).unwrap_err());
        assert!(error.contains("tls-key.pem"), "{error}");
        assert_ne!(kept(None, names()).unwrap().0, first);
    }
}
