//! What of a larger target is filled.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::is_safe_name;

/// Value of `grow`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Grow {
    /// Partitions and file systems keep their sizes.
    #[default]
    None,
    /// The last partition with a system or data on it.
    Last,
    /// The partition with this name in the image.
    Partition(String),
}

impl FromStr for Grow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "last" => Ok(Self::Last),
            name if is_safe_name(name) => Ok(Self::Partition(name.to_owned())),
            _ => Err(format!(
                "{text:?} cannot be grown: write \"none\", \"last\", or the name of a partition in the image, such as \
                 \"sda2\""
            )),
        }
    }
}

impl fmt::Display for Grow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Last => "last",
            Self::Partition(name) => name,
        })
    }
}

impl TryFrom<String> for Grow {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Grow> for String {
    fn from(grow: Grow) -> Self {
        grow.to_string()
    }
}
