//! Secrets that this server makes. It keeps no more of them than their hash: whoever reads the database gets in with none.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// 256 random bits, as hexadecimal digits. No hash that is made slow is needed: nobody guesses so many.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// What is kept of a secret: its SHA-256. Two of these may be compared in any way, for the time that it takes tells
/// nothing of what was hashed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct SecretHash(String);

impl Secret {
    pub(crate) fn new() -> Self {
        Self(hex(&rand::random::<[u8; 32]>()))
    }

    /// What somebody says a secret is.
    pub(crate) fn said(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash(hex(&Sha256::digest(self.0.as_bytes())))
    }

    /// For whom it is made, once.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_again_by_its_hash_and_no_two_are_the_same() {
        let secret = Secret::new();
        assert_eq!(secret.reveal().len(), 64);
        assert_eq!(Secret::said(secret.reveal()).hash(), secret.hash());
        assert_ne!(Secret::new().hash(), secret.hash());
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Secret::said("abc").hash(), SecretHash(abc.to_owned()));
    }
}
