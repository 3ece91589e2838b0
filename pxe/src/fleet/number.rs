//! Numbers of machines, for host names that count; and who may hear what is one machine's own.

use std::collections::BTreeSet;

use thiserror::Error;

use super::machine::Machine;

/// Whoever asks is no run that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "only a machine that is being deployed hears what is its own, by its run and from the address that it reports from"
)]
pub(crate) struct Denied;

/// May whoever says this hear what is `machine`'s own? Its run is under way, by the random name that only the machine
/// knows, and it comes from where its reports come from.
pub(super) fn may_know(machine: &Machine, run: &str, address: &str) -> bool {
    machine.life.state.runs()
        && !run.is_empty()
        && machine.run == run
        && machine.address.as_deref() == Some(address)
}

/// The number that the machine at `at` has or gets for `purpose`: the first, from 1, that no other has.
pub(super) fn of(machines: &[Machine], at: usize, purpose: &str) -> u32 {
    let number_of = |machine: &Machine| machine.numbers.get(purpose).copied();
    let others: BTreeSet<u32> = machines
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != at)
        .filter_map(|(_, m)| number_of(m))
        .collect();
    let known = machines.get(at).and_then(number_of).filter(|number| !others.contains(number));
    known.or_else(|| (1..=u32::MAX).find(|number| !others.contains(number))).unwrap_or(u32::MAX)
}
