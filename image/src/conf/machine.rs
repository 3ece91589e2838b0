//! Which machines an entry is for.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::list::one_or_many;
use super::pattern::Pattern;
use crate::report::MachineId;

/// A MAC address, or the beginning of one and a star; lower case with colons.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacPattern(String);

impl TryFrom<String> for MacPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.trim().to_ascii_lowercase().replace('-', ":");
        let parts: Vec<&str> = plain.split(':').collect();
        let octet = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
        let good = match parts.split_last() {
            Some((&"*", head)) => (1..6).contains(&head.len()) && head.iter().all(octet),
            Some(_) => parts.len() == 6 && parts.iter().all(octet),
            None => false,
        };
        if good {
            Ok(Self(plain))
        } else {
            Err(format!(
                "{text:?} is not a MAC address: write 52:54:00:12:34:56, or 52:54:00:* for all that begin so"
            ))
        }
    }
}

impl From<MacPattern> for String {
    fn from(mac: MacPattern) -> Self {
        mac.0
    }
}

impl MacPattern {
    /// Does this address match?
    #[must_use]
    pub fn matches(&self, mac: &str) -> bool {
        let mac = mac.trim().to_ascii_lowercase().replace('-', ":");
        match self.0.strip_suffix('*') {
            Some(head) => mac.starts_with(head),
            None => mac == self.0,
        }
    }

    fn is_literal(&self) -> bool {
        !self.0.ends_with('*')
    }
}

/// An SMBIOS UUID, lower case with hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SystemUuid(String);

impl TryFrom<String> for SystemUuid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match uuid::Uuid::try_parse(text.trim()) {
            Ok(uuid) => Ok(Self(uuid.hyphenated().to_string())),
            Err(_) => Err(format!("{text:?} is not a UUID: write 4c4c4544-0042-3510-8052-b4c04f4d3032")),
        }
    }
}

impl From<SystemUuid> for String {
    fn from(uuid: SystemUuid) -> Self {
        uuid.0
    }
}

impl SystemUuid {
    fn matches(&self, uuid: &str) -> bool {
        self.0.eq_ignore_ascii_case(uuid.trim())
    }
}

/// A named set of machines: one that any of the lists names belongs to it. It may be empty: its
/// members are then those that were started with `ezio.group=NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// Name.
    pub name: String,
    /// MAC addresses; `52:54:00:*` is a whole vendor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<MacPattern>,
    /// SMBIOS UUIDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uuids: Vec<SystemUuid>,
    /// SMBIOS serial numbers, with `*` and `?`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<Pattern>,
    /// SMBIOS product names, with `*` and `?`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<Pattern>,
}

impl Group {
    /// Does one of the lists name this machine?
    #[must_use]
    pub fn contains(&self, machine: &MachineId) -> bool {
        machine.macs.iter().any(|mac| self.macs.iter().any(|m| m.matches(mac)))
            || machine.uuid.iter().any(|uuid| self.uuids.iter().any(|u| u.matches(uuid)))
            || machine.serial.iter().any(|serial| self.serials.iter().any(|s| s.matches(serial)))
            || machine.product.iter().any(|product| self.products.iter().any(|p| p.matches(product)))
    }

    /// A member that this group names in the same words as `other`, so that no machine could be
    /// told which of them is meant.
    pub(super) fn shared_member(&self, other: &Self) -> Option<String> {
        let mine: HashSet<String> = self.literal_members().collect();
        other.literal_members().find(|member| mine.contains(member))
    }

    fn literal_members(&self) -> impl Iterator<Item = String> + '_ {
        let macs = self.macs.iter().filter(|m| m.is_literal()).map(|m| format!("MAC {}", m.0));
        let uuids = self.uuids.iter().map(|u| format!("UUID {}", u.0));
        let name = |kind: &'static str| move |p: &Pattern| format!("{kind} {}", p.as_str().to_lowercase());
        let serials = self.serials.iter().map(name("serial"));
        let products = self.products.iter().map(name("product"));
        macs.chain(uuids).chain(serials).chain(products)
    }
}

/// Conditions of a `[[machine]]`: all that are given must hold; of a list, one must.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Match {
    /// MAC addresses; of any card of the machine.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub mac: Vec<MacPattern>,
    /// SMBIOS UUIDs.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub uuid: Vec<SystemUuid>,
    /// SMBIOS serial numbers, with `*` and `?`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub serial: Vec<Pattern>,
    /// SMBIOS product names, with `*` and `?`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub product: Vec<Pattern>,
    /// Groups.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<String>,
}

impl Match {
    /// Is no condition given?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Do all conditions hold for this machine, which belongs to `group`?
    #[must_use]
    pub fn holds(&self, machine: &MachineId, group: Option<&str>) -> bool {
        let holds = |empty: bool, any: bool| empty || any;
        holds(self.mac.is_empty(), machine.macs.iter().any(|mac| self.mac.iter().any(|m| m.matches(mac))))
            && holds(
                self.uuid.is_empty(),
                machine.uuid.iter().any(|u| self.uuid.iter().any(|w| w.matches(u))),
            )
            && holds(
                self.serial.is_empty(),
                machine.serial.iter().any(|s| self.serial.iter().any(|w| w.matches(s))),
            )
            && holds(
                self.product.is_empty(),
                machine.product.iter().any(|p| self.product.iter().any(|w| w.matches(p))),
            )
            && holds(self.group.is_empty(), group.is_some_and(|g| self.group.iter().any(|w| w == g)))
    }
}

/// Conditions and where they stand in the file, for errors.
pub(super) type PlacedMatch = Spanned<Match>;
