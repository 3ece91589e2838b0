//! What people call a machine: by the host name that its deployment gave it, else by the one that its system says when it asks for an
//! address.

use ezio_contract::{Mac, MachineId};
use ezio_image::identity::hostname::is_hostname;

use super::identity;
use super::machine::Machine;
use super::room::{Change, Room};

impl Machine {
    pub(crate) fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref().or(self.says_hostname.as_deref())
    }
}

impl Room {
    /// Its deployment gives it this host name.
    pub(super) fn give_hostname(&mut self, id: &MachineId, name: &str) -> Change {
        let mut change = Change::default();
        let known = identity::find(self.machines(), id, |_| false);
        let Some(machine) = known.map(|at| &mut self.machines_mut()[at]) else { return change };
        if machine.hostname.as_deref() != Some(name) {
            machine.hostname = Some(name.to_owned());
            change.keep(machine);
        }
        change
    }

    /// The machine with this card says that it is called so. That is not kept for its own sake: anybody can say it, as often as
    /// he likes.
    pub(super) fn hear_hostname(&mut self, card: Mac, name: &str) {
        let of_card = |machine: &&mut Machine| machine.identity.macs().contains(&card);
        if is_hostname(name)
            && let Some(machine) = self.machines_mut().iter_mut().find(of_card)
        {
            machine.says_hostname = Some(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::act::Meant;
    use super::super::room::tests::{MAC, UUID, id, play, room};
    use super::*;

    #[test]
    fn a_machine_is_called_as_its_deployment_says_else_as_it_says_itself() {
        let (mut room, machine) = (room(), id(Some(UUID), &[MAC]));
        let name = |room: &Room| room.machines()[0].hostname().map(str::to_owned);
        play(&mut room, &machine, "first", 9, 0.0);
        room.hear_hostname(MAC.parse().unwrap(), "<b>");
        assert_eq!(name(&room), None);
        room.hear_hostname(MAC.parse().unwrap(), "DESKTOP-4711");
        assert_eq!(name(&room).as_deref(), Some("DESKTOP-4711"));
        let meant = |room: &Room, name: &str| room.meant(&Meant::of(vec![name.to_owned()]), |_| true).0.len();
        assert_eq!(meant(&room, "DESKTOP-4711"), 0, "nobody is meant by what he says himself");
        assert_eq!(room.give_hostname(&machine, "lab-07").save.len(), 1);
        assert!(room.give_hostname(&machine, "lab-07").save.is_empty());
        assert_eq!(name(&room).as_deref(), Some("lab-07"));
        assert_eq!(meant(&room, "LAB-07"), 1);
    }
}
