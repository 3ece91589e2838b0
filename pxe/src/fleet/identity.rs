//! Which record a machine's word belongs to. SMBIOS says it first; a MAC address is only a hint, since cards and
//! docks move between machines.

use ezio_image::report::MachineId;

use super::machine::Machine;
use crate::boot::normal_mac;

/// Longest text that is kept from outside, in bytes.
pub(super) const MAX_TEXT: usize = 200;
const MAX_MACS: usize = 8;

/// Text from outside: bounded, on one line, nothing that a terminal would obey.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut clean = String::new();
    for c in text.trim().chars() {
        if clean.len() + c.len_utf8() > max {
            break;
        }
        clean.push(if c.is_control() { ' ' } else { c });
    }
    clean
}

/// An identity in normal form: what says nothing is left out.
pub(super) fn normal(id: &MachineId) -> MachineId {
    let text =
        |value: &Option<String>| value.as_deref().map(|v| clean(v, MAX_TEXT)).filter(|v| !v.is_empty());
    let mut macs: Vec<String> = Vec::new();
    for mac in id.macs.iter().filter_map(|mac| normal_mac(mac)) {
        if macs.len() < MAX_MACS && !macs.contains(&mac) && mac != "00:00:00:00:00:00" {
            macs.push(mac);
        }
    }
    MachineId {
        uuid: id.uuid.as_deref().and_then(normal_uuid),
        serial: text(&id.serial).filter(|s| !says_nothing(s)),
        product: text(&id.product),
        macs,
    }
}

/// A UUID in lower case; `None` for those that boards without one have.
fn normal_uuid(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let valid = digits.len() == 32 && text.len() == 36 && digits.iter().all(u8::is_ascii_hexdigit);
    let constant = digits.iter().all(|d| Some(d) == digits.first());
    let placeholder = text == "03000200-0400-0500-0006-000700080009";
    (valid && !constant && !placeholder).then_some(text)
}

/// Serial numbers that board makers leave in their tables.
fn says_nothing(serial: &str) -> bool {
    let lower = serial.to_ascii_lowercase();
    let known =
        ["to be filled by o.e.m.", "default string", "system serial number", "not specified", "none", "n/a"];
    known.contains(&lower.as_str()) || lower.bytes().all(|b| matches!(b, b'0' | b' ' | b'-' | b'.'))
}

fn differ(a: &Option<String>, b: &Option<String>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}

fn same(a: &Option<String>, b: &Option<String>) -> bool {
    a.is_some() && a == b
}

/// The record that `id` belongs to, if there is one.
pub(super) fn find(machines: &[Machine], id: &MachineId) -> Option<usize> {
    let known = |m: &Machine| m.identity.clone();
    // Some makers give one UUID to a whole series: then the serial numbers differ.
    let by_uuid =
        machines.iter().position(|m| same(&known(m).uuid, &id.uuid) && !differ(&known(m).serial, &id.serial));
    let by_serial = || {
        machines.iter().position(|m| same(&known(m).serial, &id.serial) && !differ(&known(m).uuid, &id.uuid))
    };
    let by_mac = || {
        machines.iter().position(|m| {
            shares_mac(m, id)
                && !differ(&m.identity.uuid, &id.uuid)
                && !differ(&m.identity.serial, &id.serial)
        })
    };
    by_uuid.or_else(by_serial).or_else(by_mac)
}

pub(super) fn shares_mac(machine: &Machine, id: &MachineId) -> bool {
    machine.identity.macs.iter().any(|mac| id.macs.contains(mac))
}

/// Adds what `id` says to a record; newest MACs first.
pub(super) fn learn(machine: &mut Machine, id: &MachineId) {
    let identity = &mut machine.identity;
    identity.uuid = id.uuid.clone().or(identity.uuid.take());
    identity.serial = id.serial.clone().or(identity.serial.take());
    identity.product = id.product.clone().or(identity.product.take());
    // A word that knows only one card does not shuffle those that init listed in order.
    let known = id.macs.iter().all(|mac| identity.macs.contains(mac));
    if !known || id.macs.len() > 1 {
        let mut macs = id.macs.clone();
        macs.extend(identity.macs.iter().filter(|mac| !id.macs.contains(mac)).cloned());
        macs.truncate(MAX_MACS);
        identity.macs = macs;
    }
}

/// The name of a record, apart from those that are `taken`.
pub(super) fn name(id: &MachineId, taken: impl Fn(&str) -> bool) -> String {
    let candidates = [
        id.uuid.clone(),
        id.serial.clone(),
        id.uuid.as_ref().zip(id.serial.as_ref()).map(|(u, s)| format!("{u}/{s}")),
        id.macs.first().cloned(),
    ];
    let free = candidates.into_iter().flatten().find(|name| !taken(name));
    free.unwrap_or_else(|| format!("unnamed-{}", id.macs.join(",")))
}

/// Does an operator who writes `name` mean this machine?
pub(super) fn answers_to(machine: &Machine, name: &str) -> bool {
    let name = name.trim();
    let identity = &machine.identity;
    machine.id.eq_ignore_ascii_case(name)
        || identity.uuid.as_deref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(name))
        || identity.serial.as_deref() == Some(name)
        || normal_mac(name).is_some_and(|mac| identity.macs.contains(&mac))
}
