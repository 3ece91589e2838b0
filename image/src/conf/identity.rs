//! The tables `[identity]` and `[windows]`: what makes one clone differ from the next.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::identity::template::{COUNTER, OF_MACHINE, Template};

/// The table `[identity]`. Of what is not said, machine-id, SSH host keys and random seed are renewed where a whole disk
/// is written and a Linux is found on it; what is said must be done, or the run fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Identity {
    /// Host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Template>,
    /// Table (CSV) of machines and their values, beside the conf on the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<PathBuf>,
    /// A new `etc/machine-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<bool>,
    /// New SSH host keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_host_keys: Option<bool>,
    /// A new random seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_seed: Option<bool>,
    /// Ids on the disk that are made anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regenerate: Vec<Regenerate>,
}

/// An id on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regenerate {
    /// The ids of the partition table: of the disk and of each partition.
    DiskGuid,
    /// The ids of the file systems and of swap.
    FsUuid,
}

/// The table `[windows]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Windows {
    /// Template of an answer file, beside the conf on the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattend: Option<PathBuf>,
    /// File of a machine's offline domain join (djoin), beside the conf on the server: a template of a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Template>,
    /// Folder of drivers beside the conf on the server: a folder for each model, named as SMBIOS names the product, and
    /// `common` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drivers: Option<PathBuf>,
}

/// As it is written.
impl fmt::Display for Regenerate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiskGuid => "disk-guid",
            Self::FsUuid => "fs-uuid",
        })
    }
}

impl Identity {
    /// What is wrong with it, in words.
    pub(super) fn contradiction(&self) -> Option<String> {
        if let Some(hosts) = self.hosts.as_ref().filter(|path| !stays_below(path)) {
            return Some(format!("hosts: {hosts:?} leads out of the folder of ezio.conf"));
        }
        let known = |name: &Template| {
            let own = OF_MACHINE.iter().any(|own| name.names(own)) || name.names(COUNTER);
            own || self.hosts.is_some()
        };
        let template = self.hostname.as_ref()?;
        if !known(template) {
            return Some(format!(
                "hostname: every machine would be called {:?}: write {{{{mac}}}}, {{{{serial}}}}, {{{{counter}}}} or, \
                 with hosts = \"FILE.csv\", the name of a column into it",
                template.as_str()
            ));
        }
        None
    }
}

impl Windows {
    /// What is wrong with it, in words.
    pub(super) fn contradiction(&self) -> Option<String> {
        let unattend = self.unattend.as_deref().map(|path| ("unattend", path));
        let join = self.join.as_ref().map(|template| ("join", Path::new(template.as_str())));
        let drivers = self.drivers.as_deref().map(|path| ("drivers", path));
        if let Some((key, path)) =
            unattend.into_iter().chain(join).chain(drivers).find(|(_, path)| !stays_below(path))
        {
            return Some(format!("{key}: {path:?} leads out of the folder of ezio.conf"));
        }
        let named = join.map(|(key, _)| key).or(drivers.map(|(key, _)| key)).filter(|_| unattend.is_none());
        if let Some(key) = named {
            return Some(format!(
                "{key} is named to Windows by the answer file: unattend = \"FILE\" is missing"
            ));
        }
        let join = self.join.as_ref()?;
        join.value_names().next().is_none().then(|| {
            format!(
                "join: every machine would get {:?}: write {{{{hostname}}}} or another value of the machine into it",
                join.as_str()
            )
        })
    }
}

fn stays_below(path: &Path) -> bool {
    !path.as_os_str().is_empty()
        && path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
}
