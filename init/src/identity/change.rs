//! The changes that are made to the files of a clone.

use std::fmt;

use ezio_contract::identity::WindowsFiles;

use super::drivers::{DriversOf, Fetch};
use super::{linux, references, ssh_keys, windows};
use crate::target::tree::Tree;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Hostname(String),
    /// The new id.
    MachineId(String),
    SshHostKeys,
    RandomSeed,
    WindowsFiles(WindowsFiles),
    /// Ids of partitions that are others now.
    References(Vec<(String, String)>),
}

impl Change {
    /// Makes it; says what was done, if anything was to be done.
    /// `fetch` gets a file of a driver.
    pub(super) fn apply(&self, tree: &Tree, fetch: &Fetch<'_>) -> anyhow::Result<Option<String>> {
        match self {
            Self::Hostname(name) => linux::hostname(tree, name),
            Self::MachineId(id) => linux::machine_id(tree, id),
            Self::SshHostKeys => ssh_keys::renew(tree),
            Self::RandomSeed => linux::random_seed(tree),
            Self::WindowsFiles(files) => windows::put(tree, files, fetch),
            Self::References(ids) => references::follow(tree, ids),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname(name) => write!(f, "host name {name}"),
            Self::MachineId(_) => f.write_str("new machine-id"),
            Self::SshHostKeys => f.write_str("new SSH host keys"),
            Self::RandomSeed => f.write_str("new random seed"),
            Self::WindowsFiles(files) => {
                let join = if files.join.is_some() { " and the file of its domain join" } else { "" };
                write!(f, "answer file for Setup (unattend.xml){join}{}", DriversOf(files))
            }
            Self::References(_) => f.write_str("new ids in fstab, crypttab and loader"),
        }
    }
}
