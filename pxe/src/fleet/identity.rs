//! Which record a machine's word belongs to. SMBIOS says it first; a MAC address is only a hint, since cards and
//! docks move between machines.

use ezio_contract::{Mac, MachineId};

use super::machine::Machine;

/// The record that `id` belongs to, if there is one.
pub(super) fn find(machines: &[Machine], id: &MachineId) -> Option<usize> {
    let find = |same: &dyn Fn(&MachineId) -> bool| {
        machines.iter().position(|m| same(&m.identity) && !m.identity.differs(id))
    };
    // Some makers give one UUID to a whole series: then the serial numbers differ.
    let by_uuid = find(&|known| known.uuid().is_some() && known.uuid() == id.uuid());
    let by_serial = || find(&|known| known.serial().is_some() && known.serial() == id.serial());
    let by_mac = || find(&|known| known.shares_a_card(id));
    by_uuid.or_else(by_serial).or_else(by_mac)
}

/// The name of a record, apart from those that are `taken`.
pub(super) fn name(id: &MachineId, taken: impl Fn(&str) -> bool) -> String {
    let uuid = || id.uuid().map(|uuid| uuid.to_string());
    let candidates = [
        uuid(),
        id.serial().map(str::to_owned),
        uuid().zip(id.serial()).map(|(uuid, serial)| format!("{uuid}/{serial}")),
        id.macs().first().map(Mac::to_string),
    ];
    let free = candidates.into_iter().flatten().find(|name| !taken(name));
    free.unwrap_or_else(|| {
        let macs: Vec<String> = id.macs().iter().map(Mac::to_string).collect();
        format!("unnamed-{}", macs.join(","))
    })
}

/// Does an operator who writes `name` mean this machine?
pub(super) fn answers_to(machine: &Machine, name: &str) -> bool {
    let name = name.trim();
    let identity = &machine.identity;
    machine.id.eq_ignore_ascii_case(name)
        || name.parse().is_ok_and(|uuid| identity.uuid() == Some(uuid))
        || identity.serial() == Some(name)
        || name.parse().is_ok_and(|mac| identity.macs().contains(&mac))
}
