//! Addresses of network cards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// MAC address of a network card. Read in each form that programs write it in, written in lower case with colons.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schema(value_type = String, example = "52:54:00:12:34:56"))]
pub struct Mac([u8; 6]);

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a MAC address: write 52:54:00:12:34:56")]
pub struct NoMac(String);

/// Ethernet among the hardware types of ARP (IANA), as pxelinux writes it before an address.
const ETHERNET: &str = "01";

impl Mac {
    /// The address of these bytes.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// The bytes, in the order in which they are written.
    #[must_use]
    pub fn octets(&self) -> [u8; 6] {
        self.0
    }

    /// Can it be the address of one card? All zeros stand for none, and an odd first byte for several cards.
    pub(crate) fn names_a_card(&self) -> bool {
        self.0 != [0; 6] && self.0[0] & 1 == 0
    }

    /// Value of the kernel parameter `BOOTIF`: pxelinux's form, `01-52-54-00-12-34-56`.
    #[must_use]
    pub fn bootif(&self) -> String {
        format!("{ETHERNET}-{}", self.to_string().replace(':', "-"))
    }
}

/// `52:54:00:12:34:56`, with hyphens too, in lower and upper case, and with the hardware type before it
/// (`01-52-54-00-12-34-56`).
impl FromStr for Mac {
    type Err = NoMac;

    fn from_str(text: &str) -> Result<Self, NoMac> {
        let parts: Vec<&str> = text.trim().split([':', '-']).collect();
        let octets = match parts.as_slice() {
            [ETHERNET, octets @ ..] if octets.len() == 6 => octets,
            octets => octets,
        };
        let octets: Option<Vec<u8>> = octets.iter().map(|part| octet(part)).collect();
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets.map(Self).ok_or_else(|| NoMac(text.to_owned()))
    }
}

/// A byte of an address: two hexadecimal digits.
#[must_use]
pub fn octet(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

impl TryFrom<String> for Mac {
    type Error = NoMac;

    fn try_from(text: String) -> Result<Self, NoMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_address_in_every_form() {
        for text in [
            "52:54:00:ab:cd:0f",
            "52-54-00-AB-CD-0F",
            "01-52-54-00-ab-cd-0f",
            "01-52:54:00:AB:cd:0f",
            " 52:54:00:ab:cd:0f\n",
        ] {
            let mac: Mac = text.parse().unwrap();
            assert_eq!(mac.octets(), [0x52, 0x54, 0, 0xab, 0xcd, 0x0f], "{text}");
            assert_eq!(mac.to_string(), "52:54:00:ab:cd:0f");
            assert_eq!(mac.bootif(), "01-52-54-00-ab-cd-0f");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "01-",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:0g",
            "52:54:00:ab:cd:+f",
            "52:54:00:ab:cd:0f:00",
            "20-52-54-00-ab-cd-0f",
            "525400abcd0f",
            "..:..:..:..:..:..",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(NoMac(text.into())));
        }
    }

    #[test]
    fn some_addresses_are_no_card_s() {
        let names_a_card = |text: &str| text.parse::<Mac>().unwrap().names_a_card();
        assert!(names_a_card("52:54:00:12:34:56") && names_a_card("00:00:00:00:00:01"));
        for text in ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"] {
            assert!(!names_a_card(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(octets: [u8; 6]) {
            let mac = Mac::new(octets);
            prop_assert_eq!(mac.to_string().parse(), Ok(mac));
            prop_assert_eq!(mac.bootif().parse(), Ok(mac));
            prop_assert_eq!(serde_json::from_str::<Mac>(&serde_json::to_string(&mac).unwrap()).unwrap(), mac);
        }

        #[test]
        fn garbage_never_panics(text in ".{0,30}") {
            let _ = text.parse::<Mac>();
        }
    }
}
