//! Processor architectures that machines are started and images are made for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Architecture of a machine, a kernel or an image, by Debian's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86 with 64 bits.
    Amd64,
    /// ARM with 64 bits.
    Arm64,
}

/// A name that is no architecture's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no architecture of ours (amd64, arm64)")]
pub struct UnknownArch(String);

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Debian's name.
    #[must_use]
    pub fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The kernel's name, as `uname -m` prints it; also the first part of a compiler's target.
    #[must_use]
    pub fn kernel(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// What UEFI calls it at the end of a program's name (`BOOTX64.EFI`), in lower case.
    #[must_use]
    pub fn efi(self) -> &'static str {
        match self {
            Self::Amd64 => "x64",
            Self::Arm64 => "aa64",
        }
    }

    /// The architecture that this program was built for, if it is one of these.
    #[must_use]
    pub fn of_this_program() -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.kernel() == std::env::consts::ARCH)
    }
}

/// Reads Debian's name.
impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Self, UnknownArch> {
        let named = Self::ALL.into_iter().find(|arch| arch.debian() == text);
        named.ok_or_else(|| UnknownArch(text.to_owned()))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.debian())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse(), Ok(arch));
            assert_eq!(serde_json::to_value(arch).unwrap(), arch.debian());
        }
        assert_eq!("x86_64".parse::<Arch>(), Err(UnknownArch("x86_64".into())));
    }
}
