//! Which record a machine's word belongs to.
//!
//! Nothing that a machine says of itself is sure. Makers give one UUID to a whole series, and docks and cards move between
//! machines. So two things have to agree: UUID, serial number, a card. A UUID alone, or a serial number alone, with other
//! cards is another machine. UUID and serial number together with other cards are the same machine with a new card, unless
//! the one that is known is under way at this moment: then they are two.

use ezio_contract::{Mac, MachineId};

use super::machine::Machine;

/// The record that `id` belongs to, if there is one. `under_way` says of a record whether its machine is up now, or on its
/// way into init.
pub(super) fn find(
    machines: &[Machine],
    id: &MachineId,
    under_way: impl Fn(&Machine) -> bool,
) -> Option<usize> {
    let has_card = |m: &Machine| {
        let elsewhere = m.life.state.runs() && under_way(m) && !m.runs_with_a_card_of(id);
        m.identity.shares_a_card(id) && !m.identity.differs(id) && !elsewhere
    };
    let by_number_and_card = machines.iter().position(|m| agreements(&m.identity, id) > 0 && has_card(m));
    let by_card = || machines.iter().position(has_card);
    by_number_and_card.or_else(|| by_numbers(machines, id, &under_way)).or_else(by_card)
}

/// The record of the same UUID and serial number, although it has none of these cards; where no cards are known, one of
/// the two is enough.
fn by_numbers(machines: &[Machine], id: &MachineId, under_way: impl Fn(&Machine) -> bool) -> Option<usize> {
    let no_cards = |m: &Machine| m.identity.macs().is_empty() || id.macs().is_empty();
    let mut fitting = machines.iter().enumerate().filter(|(_, m)| {
        let needed = if no_cards(m) { 1 } else { 2 };
        !m.identity.differs(id) && agreements(&m.identity, id) >= needed
    });
    let (at, machine) = fitting.next()?;
    // With several of them, neither number tells one machine from another.
    let is_the_one = fitting.next().is_none() && !under_way(machine);
    (is_the_one || no_cards(machine)).then_some(at)
}

/// How many of UUID and serial number the two have in common.
fn agreements(a: &MachineId, b: &MachineId) -> usize {
    let uuid = a.uuid().is_some() && a.uuid() == b.uuid();
    let serial = a.serial().is_some() && a.serial() == b.serial();
    usize::from(uuid) + usize::from(serial)
}

/// Is what is left of `other` the same machine, when `owner` has taken all its cards?
pub(super) fn is_rest_of(other: &MachineId, owner: &MachineId) -> bool {
    let nameless = other.uuid().is_none() && other.serial().is_none();
    other.macs().is_empty() && !other.differs(owner) && (nameless || agreements(other, owner) > 0)
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
        || machine.hostname.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        || name.parse().is_ok_and(|mac| identity.macs().contains(&mac))
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
