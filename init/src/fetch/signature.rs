//! Orders that are signed: with a public key inside the initrd, only an ezio.conf with a valid
//! minisign signature beside it (`ezio.conf.minisig`) makes this machine erase a disk.

use std::path::Path;

use anyhow::{Context, bail};
use ezio_contract::urls;
use minisign_verify::Signature;

use super::location::Location;
use super::{Fetcher, Patience};

/// Who may sign orders.
#[derive(Debug)]
pub(crate) struct PublicKey(minisign_verify::PublicKey);

impl PublicKey {
    /// The key of this initrd, if it has one.
    pub(crate) fn of_initrd(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        // The key is the last line; the first may be a comment.
        let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        match minisign_verify::PublicKey::from_base64(line.trim()) {
            Ok(key) => Ok(Some(Self(key))),
            Err(error) => bail!("{}: no minisign public key: {error}", path.display()),
        }
    }

    /// Fetches the signature of `location` and checks it. What the initrd itself holds needs none.
    pub(crate) async fn check(
        &self,
        location: &Location,
        bytes: &[u8],
        fetcher: &Fetcher,
    ) -> anyhow::Result<()> {
        let place = match location {
            Location::Local(_) => return Ok(()),
            Location::Http(url) | Location::Tftp(url) => {
                location.on_same_server(&format!("{}{}", url.path(), urls::SIGNATURE))
            }
        };
        let signature = fetcher.get_patiently(&place, Patience::DEFAULT, |_, _| {}).await;
        let signature = signature.context("this initrd takes signed orders only")?;
        self.verify(bytes, &signature)
            .with_context(|| format!("{location} is not signed with the key of this initrd"))
    }

    pub(crate) fn verify(&self, bytes: &[u8], signature: &[u8]) -> anyhow::Result<()> {
        let signature = Signature::decode(&String::from_utf8_lossy(signature))?;
        Ok(self.0.verify(bytes, &signature, false)?)
    }
}
