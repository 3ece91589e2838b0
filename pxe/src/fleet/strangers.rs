//! Bounds on records of machines that were never deployed here. Anyone on the network can make some up, and has few addresses.

use std::collections::HashMap;

use super::machine::Machine;

/// Records that are kept. Reports come from anyone on the network, so that there must be an end.
pub(super) const MAX_MACHINES: usize = 4096;
/// Records of strangers from one address: more than a classroom behind a router that hides its addresses.
const MAX_PER_ADDRESS: usize = 64;

impl Machine {
    /// Nobody has approved it or wants anything of it, and nothing was deployed to it.
    fn is_stranger(&self) -> bool {
        self.deployments == 0 && !self.admitted && !self.held && self.numbers.is_empty()
    }
}

/// Which record has to go before one more of this address is made, if any has to. An error where all are known machines.
pub(super) fn to_replace(machines: &[Machine], address: &str) -> Result<Option<usize>, ()> {
    let strangers = || (0..).zip(machines).filter(|(_, machine)| machine.is_stranger());
    let own = strangers().filter(|(_, machine)| machine.address.as_deref() == Some(address)).count();
    let from = if own >= MAX_PER_ADDRESS {
        Some(address)
    } else if machines.len() < MAX_MACHINES {
        return Ok(None);
    } else {
        let mut counts: HashMap<Option<&str>, usize> = HashMap::new();
        strangers().for_each(|(_, machine)| *counts.entry(machine.address.as_deref()).or_default() += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).and_then(|(address, _)| address)
    };
    let of_address = strangers().filter(|(_, machine)| machine.address.as_deref() == from);
    of_address.min_by(|a, b| a.1.last_heard.total_cmp(&b.1.last_heard)).map(|(at, _)| Some(at)).ok_or(())
}
