//! How commands on the server itself reach it: by a file in its folder of state, which nobody reads but root and the user that the
//! server runs as. Whoever can read the folder has the database anyway.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::tls::Fingerprint;
use crate::whole::{self, Rights};

const FILE: &str = "local.json";

/// What the file says. Each start of the server writes it anew.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Local {
    /// Where it serves people.
    pub(crate) url: String,
    /// What makes a command an administrator, until the server ends.
    pub(crate) token: String,
    /// Of its certificate, where it serves by TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Local {
    /// Replaces the file of the start before.
    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        let path = state.join(FILE);
        let text = serde_json::to_vec(self).context("what lets commands in")?;
        whole::write(&path, &text, &Rights::Private).with_context(|| format!("writing {}", path.display()))
    }

    pub(crate) fn read(state: &Path) -> Result<Self> {
        let path = state.join(FILE);
        let text = fs::read(&path).with_context(|| {
            format!(
                "reading {}, which lets commands on the server in (say this as root, or as the user that ezio-pxe runs as; --state names \
                 another directory; from elsewhere, give --server and --token)",
                path.display()
            )
        })?;
        serde_json::from_slice(&text).with_context(|| format!("in {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_its_owner_reads_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for token in ["a", "b"] {
            let local = Local { url: "http://127.0.0.1:1".into(), token: token.into(), fingerprint: None };
            local.write(folder.path()).unwrap();
            assert_eq!(Local::read(folder.path()).unwrap().token, token);
        }
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let missing = Local::read(&folder.path().join("none")).unwrap_err();
        assert!(format!("{missing:#}").contains("--state"));
    }
}
