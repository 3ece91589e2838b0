//! Who a machine is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::Mac;
use crate::placeholder::{is_placeholder_text, is_placeholder_uuid};
use crate::text::one_line;

/// Longest serial number or product name that is kept, in bytes. SMBIOS sets no limit; real ones have up to some 40.
const MAX_TEXT: usize = 200;
/// Cards of a machine that are kept: four cards with four ports each, twice.
const MAX_MACS: usize = 32;

/// SMBIOS system UUID of one machine: never one that whole series of boards share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schema(value_type = String))]
pub struct SystemUuid(Uuid);

/// Why a text names no machine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoSystemUuid {
    /// It is no UUID.
    #[error("{0:?} is not a UUID: write 4c4c4544-0042-3510-8052-b4c04f4d3032")]
    Malformed(String),
    /// Many machines have it.
    #[error("{0} stands in boards whose maker set no UUID: it names no machine, use its MAC address")]
    Placeholder(Uuid),
}

impl FromStr for SystemUuid {
    type Err = NoSystemUuid;

    fn from_str(text: &str) -> Result<Self, NoSystemUuid> {
        let uuid = Uuid::try_parse(text.trim()).map_err(|_| NoSystemUuid::Malformed(text.to_owned()))?;
        if is_placeholder_uuid(&uuid) { Err(NoSystemUuid::Placeholder(uuid)) } else { Ok(Self(uuid)) }
    }
}

impl TryFrom<String> for SystemUuid {
    type Error = NoSystemUuid;

    fn try_from(text: String) -> Result<Self, NoSystemUuid> {
        text.parse()
    }
}

impl From<SystemUuid> for String {
    fn from(uuid: SystemUuid) -> Self {
        uuid.to_string()
    }
}

/// Lower case with hyphens.
impl fmt::Display for SystemUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SystemUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What firmware says of its machine, as it says it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FirmwareIdentity {
    /// SMBIOS system UUID.
    pub uuid: Option<String>,
    /// SMBIOS system serial number.
    pub serial: Option<String>,
    /// SMBIOS product name.
    pub product: Option<String>,
    /// MAC addresses; the card that booted first.
    pub macs: Vec<String>,
}

/// Who a machine is: SMBIOS first, MAC addresses as a hint, since cards and docks move between machines. What says
/// nothing is not in it: whoever reads firmware or a report gets it from a [`FirmwareIdentity`], where placeholders are
/// left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(from = "FirmwareIdentity")]
pub struct MachineId {
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<SystemUuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    macs: Vec<Mac>,
}

impl From<FirmwareIdentity> for MachineId {
    fn from(said: FirmwareIdentity) -> Self {
        let text = |text: Option<String>| {
            text.filter(|text| !is_placeholder_text(text)).map(|text| one_line(&text, MAX_TEXT))
        };
        let mut macs = Vec::new();
        for mac in said.macs.iter().filter_map(|mac| mac.parse().ok()).filter(Mac::names_a_card) {
            if macs.len() < MAX_MACS && !macs.contains(&mac) {
                macs.push(mac);
            }
        }
        Self {
            uuid: said.uuid.and_then(|uuid| uuid.parse().ok()),
            serial: text(said.serial),
            product: text(said.product),
            macs,
        }
    }
}

impl MachineId {
    /// All that is known is one of its cards.
    #[must_use]
    pub fn of_card(mac: Mac) -> Self {
        Self { macs: Some(mac).filter(Mac::names_a_card).into_iter().collect(), ..Self::default() }
    }

    /// SMBIOS system UUID.
    #[must_use]
    pub fn uuid(&self) -> Option<SystemUuid> {
        self.uuid
    }

    /// SMBIOS system serial number.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// SMBIOS product name.
    #[must_use]
    pub fn product(&self) -> Option<&str> {
        self.product.as_deref()
    }

    /// MAC addresses, the card that booted first.
    #[must_use]
    pub fn macs(&self) -> &[Mac] {
        &self.macs
    }

    /// Does nothing in it tell this machine from another?
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.uuid.is_none() && self.serial.is_none() && self.macs.is_empty()
    }

    /// Does a UUID or a serial number say that the two are different machines?
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        fn differ<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_some() && b.is_some() && a != b
        }
        differ(&self.uuid, &other.uuid) || differ(&self.serial, &other.serial)
    }

    /// Has one a card that the other has too?
    #[must_use]
    pub fn shares_a_card(&self, other: &Self) -> bool {
        self.macs.iter().any(|mac| other.macs.contains(mac))
    }

    /// Adds what was heard later; its cards come first.
    pub fn learn(&mut self, later: &Self) {
        self.uuid = later.uuid.or(self.uuid);
        self.serial = later.serial.clone().or(self.serial.take());
        self.product = later.product.clone().or(self.product.take());
        // Who knows only one of the cards does not shuffle those that init listed in order.
        let known = later.macs.iter().all(|mac| self.macs.contains(mac));
        if !known || later.macs.len() > 1 {
            let mut macs = later.macs.clone();
            macs.extend(self.macs.iter().filter(|mac| !later.macs.contains(mac)));
            macs.truncate(MAX_MACS);
            self.macs = macs;
        }
    }

    /// Takes away the cards that `owner` has.
    pub fn lose_cards_to(&mut self, owner: &Self) {
        self.macs.retain(|mac| !owner.macs.contains(mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: serde_json::Value) -> MachineId {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_firmware_says_is_read_in_one_form() {
        let read = id(serde_json::json!({
            "uuid": " 4C4C4544-0042-3510-8052-B4C04F4D3032\n",
            "serial": " B5BMM02 ",
            "product": "OptiPlex\u{7}7060",
            "macs": ["52-54-00-AB-CD-01", "52:54:00:ab:cd:01", "01-52-54-00-ab-cd-02", "junk", "00:00:00:00:00:00"],
        }));
        let expected = serde_json::json!({
            "uuid": "4c4c4544-0042-3510-8052-b4c04f4d3032",
            "serial": "B5BMM02",
            "product": "OptiPlex 7060",
            "macs": ["52:54:00:ab:cd:01", "52:54:00:ab:cd:02"],
        });
        assert_eq!(serde_json::to_value(&read).unwrap(), expected);
        assert_eq!(id(expected), read);
    }

    #[test]
    fn placeholders_are_nobody() {
        let forgotten = id(serde_json::json!({
            "uuid": "03000200-0400-0500-0006-000700080009",
            "serial": "To be filled by O.E.M.",
            "macs": ["ff:ff:ff:ff:ff:ff"],
        }));
        assert!(forgotten.is_nobody());
        assert_eq!(forgotten, MachineId::default());
        assert!(id(serde_json::json!({ "product": "OptiPlex" })).is_nobody(), "many have that product");
        let error = "00000000-0000-0000-0000-000000000000".parse::<SystemUuid>().unwrap_err();
        assert!(matches!(error, NoSystemUuid::Placeholder(_)));
    }

    #[test]
    fn text_and_cards_are_bounded() {
        let macs: Vec<String> = (0..100).map(|n| format!("52:54:00:00:00:{n:02x}")).collect();
        let long = id(serde_json::json!({ "serial": "aä".repeat(5000), "macs": macs }));
        assert_eq!((long.serial().unwrap().len(), long.macs().len()), (MAX_TEXT - 1, MAX_MACS));
    }

    #[test]
    fn the_cards_keep_init_s_order() {
        let mut machine = id(serde_json::json!({ "macs": ["52:54:00:00:00:01", "52:54:00:00:00:02"] }));
        let listed = machine.macs().to_vec();
        machine.learn(&MachineId::of_card(listed[1]));
        assert_eq!(machine.macs(), listed);
        let dock: Mac = "02:00:00:00:00:99".parse().unwrap();
        machine.learn(&MachineId::of_card(dock));
        assert_eq!(machine.macs(), [dock, listed[0], listed[1]]);
    }
}
