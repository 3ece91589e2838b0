//! Orders for some machines that lie over an `ezio.conf`: what somebody wants of them now, without a change to the file.

use ezio_contract::MachineId;

use super::machine::{MacPattern, Match};
use super::{Conf, EndAction, ImageRef, Machine, NoOrders, Pattern, Settings};

/// What a machine gets instead of what the file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// Who.
    pub machine: MachineId,
    /// Another image; all else stays as the file says.
    pub image: Option<ImageRef>,
    /// Another end of a good run.
    pub end: Option<EndAction>,
    /// Who says so, for people.
    pub by: String,
}

impl Conf {
    /// The same conf with this before all `[[machine]]`s that it has: the first that matches is taken.
    ///
    /// # Errors
    /// The file tells nothing of the machine, or names an image for each of several disks, so that another image has no place.
    pub fn with(mut self, overs: &[Over]) -> Result<Self, String> {
        let mut first: Vec<Machine> = Vec::new();
        for over in overs {
            let settings = self.under(over)?;
            let conditions = conditions(&over.machine)?;
            let same = |other: &&mut Machine| {
                other.by.as_ref() == Some(&over.by)
                    && other.settings == settings
                    && !conditions.mac.is_empty()
                    && !other.conditions.mac.is_empty()
            };
            match first.iter_mut().find(same) {
                Some(other) => other.conditions.mac.extend(conditions.mac),
                None => first.push(Machine { conditions, by: Some(over.by.clone()), settings }),
            }
        }
        // What would never be used any more is a mistake to whoever reads it.
        self.machines.retain(|machine| first.iter().all(|over| over.conditions != machine.conditions));
        self.machines.splice(0..0, first);
        Ok(self)
    }

    /// Is this machine in the group? None: there is no such group.
    #[must_use]
    pub fn is_in_group(&self, machine: &MachineId, name: &str) -> Option<bool> {
        let group = self.groups.iter().find(|group| group.name == name)?;
        Some(group.contains(machine))
    }

    fn under(&self, over: &Over) -> Result<Settings, String> {
        let group = self.group_of(&over.machine, None).map_err(|e: NoOrders| e.to_string())?;
        let found = self.machines.iter().find(|m| m.conditions.holds(&over.machine, group));
        let mut settings = found.map_or_else(|| self.default.clone(), |m| m.settings.or(&self.default));
        settings.end = over.end.or(settings.end);
        let Some(image) = &over.image else { return Ok(settings) };
        match settings.disk.as_deref_mut() {
            None | Some([]) => {}
            Some([disk]) => disk.image = None,
            Some(disks) => {
                return Err(format!(
                    "ezio.conf has rules for {} disks of this machine: which of them another image is for is not clear",
                    disks.len()
                ));
            }
        }
        settings.image = Some(image.clone());
        Ok(settings)
    }
}

/// What this machine is known by: its cards, else a number of its board.
fn conditions(machine: &MachineId) -> Result<Match, String> {
    let mac: Vec<MacPattern> = machine.macs().iter().copied().map(MacPattern::Card).collect();
    let mut conditions = Match { mac, ..Match::default() };
    if conditions.mac.is_empty() {
        conditions.uuid = machine.uuid().into_iter().collect();
        conditions.serial = match (machine.uuid(), machine.serial()) {
            (None, Some(serial)) => vec![Pattern::literal(serial)?],
            _ => Vec::new(),
        };
    }
    match conditions.is_empty() {
        true => Err("nothing is known that tells this machine from others".to_owned()),
        false => Ok(conditions),
    }
}

#[cfg(test)]
mod tests {
    use ezio_contract::FirmwareIdentity;

    use super::*;

    fn machine(mac: &str) -> MachineId {
        FirmwareIdentity { macs: vec![mac.to_owned()], ..FirmwareIdentity::default() }.into()
    }

    fn image(name: &str) -> Option<ImageRef> {
        Some(ImageRef::Name(name.to_owned()))
    }

    #[test]
    fn an_order_changes_what_it_names_and_nothing_else() {
        let text = "image = \"a\"\nend = \"hold\"\n[[machine]]\nmatch.mac = \"52:54:00:00:00:02\"\n\
                    disk.min-size = \"10G\"\nend = \"reboot\"\n";
        let conf = Conf::parse(text).unwrap();
        let by = "the order of anna";
        let over =
            |mac: &str, name, end| Over { machine: machine(mac), image: image(name), end, by: by.into() };
        let overs = [
            over("52:54:00:00:00:01", "b", Some(EndAction::PowerOff)),
            over("52:54:00:00:00:02", "b", None),
            over("52:54:00:00:00:03", "b", Some(EndAction::PowerOff)),
        ];
        let with = conf.clone().with(&overs).unwrap();
        // A machine reads it as text.
        let read = Conf::parse(&with.to_toml()).unwrap();
        let orders = |conf: &Conf, mac| conf.orders_for(&machine(mac), None).unwrap();
        for mac in ["52:54:00:00:00:01", "52:54:00:00:00:03"] {
            let got = orders(&read, mac);
            assert_eq!((got.writes[0].image.to_string(), got.end), ("b".to_owned(), EndAction::PowerOff));
            assert_eq!(got.chosen_by, by);
        }
        let second = orders(&read, "52:54:00:00:00:02");
        assert_eq!((second.writes[0].image.to_string(), second.end), ("b".to_owned(), EndAction::Reboot));
        assert_eq!(second.writes[0].disk, orders(&conf, "52:54:00:00:00:02").writes[0].disk);
        assert_eq!(orders(&read, "52:54:00:00:00:09"), orders(&conf, "52:54:00:00:00:09"));
    }

    #[test]
    fn an_image_has_no_place_where_each_disk_has_its_own() {
        let text = "[[disk]]\nimage = \"a\"\nbus = \"nvme\"\n[[disk]]\nimage = \"b\"\nbus = \"ata\"\n";
        let over =
            |image| Over { machine: machine("52:54:00:00:00:01"), image, end: None, by: "test".into() };
        let conf = Conf::parse(text).unwrap();
        assert!(conf.clone().with(&[over(image("c"))]).unwrap_err().contains("rules for 2 disks"));
        assert!(conf.with(&[over(None)]).is_ok());
    }
}
