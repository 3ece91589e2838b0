//! SSH host keys: those of the image are removed, and made anew in their place, for Debian and its like make none unless
//! the package is configured again. Ed25519 and ECDSA come anew; RSA and DSA only go, for every client of the last ten
//! years takes one of the others, and to find primes would hold up a slow machine. (Fedora makes RSA's itself.)

use anyhow::{Context, bail};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, EcdsaCurve, LineEnding, PrivateKey};

use crate::target::tree::Tree;

const FOLDER: &str = "etc/ssh";
const CONFIG: &str = "etc/ssh/sshd_config";
const CONFIG_PARTS: &str = "etc/ssh/sshd_config.d";

/// The kind of key that a file of this name holds, if it is the private half of a host key.
fn kind_of(name: &str) -> Option<&str> {
    name.strip_prefix("ssh_host_")?.strip_suffix("_key")
}

fn algorithm(kind: &str) -> Option<Algorithm> {
    match kind {
        "ed25519" => Some(Algorithm::Ed25519),
        "ecdsa" => Some(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }),
        _ => None,
    }
}

/// Removes the host keys of the image and makes new ones; says which.
pub(super) fn renew(tree: &Tree) -> anyhow::Result<Option<String>> {
    let names = tree.names(FOLDER)?;
    let kinds: Vec<&str> = names.iter().filter_map(|name| kind_of(name)).collect();
    if kinds.is_empty() {
        return Ok(None);
    }
    let (mut made, gone): (Vec<&str>, Vec<&str>) = kinds.iter().partition(|kind| algorithm(kind).is_some());
    if made.is_empty() {
        made.push("ed25519");
    }
    ensure_that_sshd_starts(tree, &made)?;
    for kind in &made {
        make(tree, kind).with_context(|| format!("making the {kind} key"))?;
    }
    for kind in &gone {
        for half in ["", ".pub"] {
            tree.remove(&format!("{FOLDER}/ssh_host_{kind}_key{half}"))?;
        }
    }
    // A certificate is for the old key.
    for certificate in
        names.iter().filter(|name| name.starts_with("ssh_host_") && name.ends_with("-cert.pub"))
    {
        tree.remove(&format!("{FOLDER}/{certificate}"))?;
    }
    let gone =
        if gone.is_empty() { String::new() } else { format!("; removed for good: {}", gone.join(", ")) };
    Ok(Some(format!("SSH host keys: new {}{gone}", made.join(", "))))
}

fn make(tree: &Tree, kind: &str) -> anyhow::Result<()> {
    let algorithm = algorithm(kind).context("no such kind of key")?;
    let mut key = PrivateKey::random(&mut OsRng, algorithm)?;
    key.set_comment("root@localhost");
    let path = format!("{FOLDER}/ssh_host_{kind}_key");
    let public = format!("{}\n", key.public_key().to_openssh()?);
    // The public half first: an old private one beside it is refused by sshd, and not used.
    tree.write(&format!("{path}.pub"), public.as_bytes(), 0o644)?;
    tree.write(&path, key.to_openssh(LineEnding::LF)?.as_bytes(), 0o600)
}

/// A configuration that names its keys must name one of those that there will be.
fn ensure_that_sshd_starts(tree: &Tree, made: &[&str]) -> anyhow::Result<()> {
    let mut texts = vec![tree.text(CONFIG)?.unwrap_or_default()];
    for part in tree.names(CONFIG_PARTS)?.iter().filter(|name| name.ends_with(".conf")) {
        texts.push(tree.text(&format!("{CONFIG_PARTS}/{part}"))?.unwrap_or_default());
    }
    let named: Vec<&str> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| {
            let mut words =
                line.split(|c: char| c.is_whitespace() || c == '=').filter(|word| !word.is_empty());
            let is_key = words.next().is_some_and(|word| word.eq_ignore_ascii_case("HostKey"));
            words.next().filter(|_| is_key)
        })
        .collect();
    let will_be = |path: &&str| made.iter().any(|kind| path.ends_with(&format!("/ssh_host_{kind}_key")));
    if named.is_empty() || named.iter().any(will_be) {
        return Ok(());
    }
    bail!(
        "sshd_config names only {}, and new keys are made of the kinds {}: the old ones stay; name one of these, or set \
         ssh-host-keys = false",
        named.join(", "),
        made.join(", ")
    )
}
