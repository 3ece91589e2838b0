//! Which machines an entry is for.

use std::collections::HashSet;
use std::fmt;

use ezio_contract::mac::octet;
use ezio_contract::{Mac, MachineId, SystemUuid};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::list::one_or_many;
use super::pattern::Pattern;

/// A MAC address, or the beginning of one and a star.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MacPattern {
    /// One card.
    Card(Mac),
    /// All whose address begins with these bytes, one to five.
    Beginning(Vec<u8>),
}

impl TryFrom<String> for MacPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let beginning = text.trim().strip_suffix('*').and_then(|head| head.strip_suffix([':', '-']));
        let pattern = match beginning {
            Some(head) => {
                let octets: Option<Vec<u8>> = head.split([':', '-']).map(octet).collect();
                octets.filter(|octets| octets.len() < 6).map(Self::Beginning)
            }
            None => text.parse().ok().map(Self::Card),
        };
        pattern.ok_or_else(|| {
            format!(
                "{text:?} is not a MAC address: write 52:54:00:12:34:56, or 52:54:00:* for all that begin so"
            )
        })
    }
}

impl From<MacPattern> for String {
    fn from(pattern: MacPattern) -> Self {
        match pattern {
            MacPattern::Card(mac) => mac.to_string(),
            MacPattern::Beginning(octets) => {
                octets.iter().map(|octet| format!("{octet:02x}:")).collect::<Self>() + "*"
            }
        }
    }
}

impl MacPattern {
    /// Does this address match?
    #[must_use]
    pub fn matches(&self, mac: Mac) -> bool {
        match self {
            Self::Card(card) => *card == mac,
            Self::Beginning(octets) => mac.octets().starts_with(octets),
        }
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
        names_mac(&self.macs, machine)
            || names_uuid(&self.uuids, machine)
            || names_text(&self.serials, machine.serial())
            || names_text(&self.products, machine.product())
    }

    /// A member that this group names in the same words as `other`, so that no machine could be
    /// told which of them is meant.
    pub(super) fn shared_member(&self, other: &Self) -> Option<String> {
        let mine: HashSet<String> = self.literal_members().collect();
        other.literal_members().find(|member| mine.contains(member))
    }

    fn literal_members(&self) -> impl Iterator<Item = String> + '_ {
        let macs = self.macs.iter().filter_map(|mac| match mac {
            MacPattern::Card(mac) => Some(format!("MAC {mac}")),
            MacPattern::Beginning(_) => None,
        });
        let uuids = self.uuids.iter().map(|uuid| format!("UUID {uuid}"));
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
        (self.mac.is_empty() || names_mac(&self.mac, machine))
            && (self.uuid.is_empty() || names_uuid(&self.uuid, machine))
            && (self.serial.is_empty() || names_text(&self.serial, machine.serial()))
            && (self.product.is_empty() || names_text(&self.product, machine.product()))
            && (self.group.is_empty() || group.is_some_and(|g| self.group.iter().any(|name| name == g)))
    }
}

/// For people: `MAC 52:54:00:12:34:56`, `product OptiPlex* and group lab`.
impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |patterns: &[Pattern]| patterns.iter().map(|p| p.as_str().to_owned()).collect::<Vec<_>>();
        let all = [
            ("MAC", self.mac.iter().cloned().map(String::from).collect()),
            ("UUID", self.uuid.iter().map(ToString::to_string).collect()),
            ("serial number", texts(&self.serial)),
            ("product", texts(&self.product)),
            ("group", self.group.clone()),
        ];
        let given = all.iter().filter(|(_, values)| !values.is_empty());
        let said: Vec<String> = given.map(|(kind, values)| format!("{kind} {}", shortened(values))).collect();
        f.write_str(&said.join(" and "))
    }
}

/// Lists are as long as a room is large.
fn shortened(values: &[String]) -> String {
    const SAID: usize = 2;
    match values.len().checked_sub(SAID + 1) {
        None => values.join(" or "),
        Some(_) => format!("{} or {} others", values[..SAID].join(", "), values.len() - SAID),
    }
}

fn names_mac(patterns: &[MacPattern], machine: &MachineId) -> bool {
    machine.macs().iter().any(|mac| patterns.iter().any(|pattern| pattern.matches(*mac)))
}

fn names_uuid(uuids: &[SystemUuid], machine: &MachineId) -> bool {
    machine.uuid().is_some_and(|uuid| uuids.contains(&uuid))
}

fn names_text(patterns: &[Pattern], text: Option<&str>) -> bool {
    text.is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
}

/// Conditions and where they stand in the file, for errors.
pub(super) type PlacedMatch = Spanned<Match>;
