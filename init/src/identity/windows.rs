//! What an installed Windows finds at its first start after `sysprep /generalize`: its answer file, where Setup looks for
//! it, and the offline domain join that the file names.

use anyhow::Context;
use ezio_contract::identity::{JOIN_FILE, PANTHER, UNATTEND_FILE, WindowsFiles};

use super::drivers::{self, DriversOf, Fetch};
use crate::target::tree::Tree;

/// A folder in `Panther` whose answer file Setup prefers.
const PREFERRED: &str = "Unattend";

/// Puts the files in their places.
pub(super) fn put(tree: &Tree, files: &WindowsFiles, fetch: &Fetch<'_>) -> anyhow::Result<Option<String>> {
    let [windows, panther] = PANTHER;
    let windows = tree.path_in_any_case(&[windows])?.context("there is no folder Windows")?;
    let folder = match tree.path_in_any_case(&PANTHER)? {
        Some(folder) => folder,
        None => {
            let folder = format!("{windows}/{panther}");
            tree.make_folder(&folder)?;
            folder
        }
    };
    // Before the answer file, which names them.
    drivers::put(tree, &files.drivers, fetch).context("drivers")?;
    if let Some(join) = &files.join {
        write(tree, &folder, JOIN_FILE, &utf16(join))?;
    }
    write(tree, &folder, UNATTEND_FILE, files.unattend.as_bytes())?;
    // One that is left there from before would be read in place of ours.
    let [first, second] = PANTHER;
    if let Some(old) = tree.path_in_any_case(&[first, second, PREFERRED, UNATTEND_FILE])? {
        tree.remove(&old)?;
    }
    let join = if files.join.is_some() { ", domain join" } else { "" };
    Ok(Some(format!("{folder}/{UNATTEND_FILE}{join}{}", DriversOf(files))))
}

fn write(tree: &Tree, folder: &str, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let names = tree.names(folder)?;
    let name = names.iter().find(|known| known.eq_ignore_ascii_case(name)).map_or(name, String::as_str);
    tree.write(&format!("{folder}/{name}"), bytes, 0o600)
}

/// As djoin writes its files: UTF-16 with a mark in front, and a zero at the end.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16()).chain(std::iter::once(0));
    units.flat_map(u16::to_le_bytes).collect()
}
