//! Certificates in files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

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

/// The one that was made at an earlier start, else a new one, which is kept where there is a folder.
pub(super) fn kept(state: Option<&Path>, names: Vec<String>) -> Result<Identity> {
    let files = state.map(|state| (state.join(CERTIFICATE), state.join(KEY)));
    if let Some((certificate, key)) = &files
        && certificate.exists()
    {
        return read(certificate, key);
    }
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    if let Some((certificate, key)) = &files {
        // The certificate comes last: where it is, its key is there too.
        write(key, &made.signing_key.serialize_pem())?;
        write(certificate, &made.cert.pem())?;
    }
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let key = key.map_err(|e| anyhow::anyhow!("the key that was made: {e}"))?;
    Ok((vec![made.cert.der().clone()], key))
}

/// Writes a file that nobody else reads, whole or not at all.
fn write(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_its_key_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let names = || vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let (first, _) = kept(Some(folder.path()), names()).unwrap();
        let (second, _) = kept(Some(folder.path()), names()).unwrap();
        assert_eq!(first, second);
        let mode = fs::metadata(folder.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(folder.path().join(KEY)).unwrap();
        let error = format!("{:#}", kept(Some(folder.path()), names()).unwrap_err());
        assert!(error.contains("tls-key.pem"), "{error}");
        assert_ne!(kept(None, names()).unwrap().0, first);
    }
}
