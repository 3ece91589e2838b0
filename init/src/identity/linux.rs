//! Host name, machine-id and random seed of a Linux.

use anyhow::{bail, ensure};

use super::hosts_file;
use crate::target::tree::Tree;

const HOSTNAME: &str = "etc/hostname";
const HOSTS: &str = "etc/hosts";
const MACHINE_ID: &str = "etc/machine-id";
/// A copy for D-Bus, on systems where it is no link.
const DBUS_MACHINE_ID: &str = "var/lib/dbus/machine-id";
const RANDOM_SEED: &str = "var/lib/systemd/random-seed";
const FSTAB: &str = "etc/fstab";
/// Bytes of a seed, as systemd writes them: the kernel's pool.
const SEED: usize = 512;

/// Gives the system its name, in `etc/hostname` and at its loopback addresses in `etc/hosts`.
pub(super) fn hostname(tree: &Tree, name: &str) -> anyhow::Result<Option<String>> {
    let old = tree.text(HOSTNAME)?.unwrap_or_default();
    let old = old
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .unwrap_or_default();
    tree.write(HOSTNAME, format!("{name}\n").as_bytes(), 0o644)?;
    if let Some(hosts) = tree.text(HOSTS)? {
        let renamed = hosts_file::renamed(&hosts, old, name);
        if renamed != hosts {
            tree.write(HOSTS, renamed.as_bytes(), 0o644)?;
        }
    }
    Ok(Some(format!("host name {name}")))
}

/// Gives the system a new id. One that has none makes its own at its first start.
pub(super) fn machine_id(tree: &Tree, id: &str) -> anyhow::Result<Option<String>> {
    let is_id = |text: &Option<String>| {
        text.as_ref()
            .is_some_and(|text| text.trim().len() == 32 && text.trim().bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let (own, of_dbus) = (tree.text(MACHINE_ID)?, tree.text(DBUS_MACHINE_ID)?);
    if !is_id(&own) && !is_id(&of_dbus) {
        return Ok(Some("machine-id: it has none, and makes its own at its first start".to_owned()));
    }
    let line = format!("{id}\n");
    if is_id(&own) {
        tree.write(MACHINE_ID, line.as_bytes(), 0o444)?;
    }
    // A link to the other has changed with it.
    if is_id(&of_dbus) && tree.text(DBUS_MACHINE_ID)?.as_deref() != Some(&line) {
        tree.write(DBUS_MACHINE_ID, line.as_bytes(), 0o644)?;
    }
    if own.is_some() && is_elsewhere(tree, "/var")? {
        return Ok(Some(
            "machine-id: new, but for a copy that D-Bus may keep on another file system (/var)".to_owned(),
        ));
    }
    Ok(Some("machine-id: new".to_owned()))
}

/// Replaces what the system would stir into its first random numbers.
pub(super) fn random_seed(tree: &Tree) -> anyhow::Result<Option<String>> {
    let Some(old) = tree.read(RANDOM_SEED)? else {
        if is_elsewhere(tree, "/var")? {
            bail!("{RANDOM_SEED} is on another file system (/var)");
        }
        return Ok(None);
    };
    ensure!(old.len() <= 1 << 16, "{RANDOM_SEED} has {} bytes: it is no seed", old.len());
    let mut seed = vec![0; old.len().max(SEED)];
    rand::fill(&mut seed[..]);
    tree.write(RANDOM_SEED, &seed, 0o600)?;
    Ok(Some("random seed: new".to_owned()))
}

/// Does the system mount another file system, or another subvolume, at this folder?
fn is_elsewhere(tree: &Tree, folder: &str) -> anyhow::Result<bool> {
    let fstab = tree.text(FSTAB)?.unwrap_or_default();
    Ok(fstab
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(folder) && !line.trim_start().starts_with('#')))
}
