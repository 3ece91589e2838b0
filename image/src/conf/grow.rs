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
    /// A partition that is a physical volume of LVM, and with it a logical volume of its group.
    Volume {
        /// Its name in the image; none: the last one, as above.
        partition: Option<String>,
        /// The logical volume.
        volume: String,
    },
}

impl Grow {
    /// The logical volume that is to grow.
    #[must_use]
    pub fn volume(&self) -> Option<&str> {
        match self {
            Self::Volume { volume, .. } => Some(volume),
            Self::None | Self::Last | Self::Partition(_) => None,
        }
    }

    /// The partition that is to grow, by its name; none: the last one, or nothing is to grow.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        match self {
            Self::Partition(name) => Some(name),
            Self::Volume { partition, .. } => partition.as_deref(),
            Self::None | Self::Last => None,
        }
    }
}

/// May a logical volume have this name?
fn is_volume_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+_.-".contains(&b))
}

impl FromStr for Grow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "last" => Ok(Self::Last),
            name if is_safe_name(name) => Ok(Self::Partition(name.to_owned())),
            _ => match text.split_once('/') {
                Some((partition, volume)) if is_safe_name(partition) && is_volume_name(volume) => {
                    let partition = Some(partition).filter(|name| *name != "last").map(str::to_owned);
                    Ok(Self::Volume { partition, volume: volume.to_owned() })
                }
                _ => Err(format!(
                    "{text:?} cannot be grown: write \"none\", \"last\", or the name of a partition in the image, such as \
                     \"sda2\"; of LVM, with a logical volume behind it: \"sda2/root\""
                )),
            },
        }
    }
}

impl fmt::Display for Grow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Last => "last",
            Self::Partition(name) => name,
            Self::Volume { partition, volume } => {
                return write!(f, "{}/{volume}", partition.as_deref().unwrap_or("last"));
            }
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
