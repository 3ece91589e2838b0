//! The three ways a PC starts.

use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// UEFI without Secure Boot.
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// UEFI with Secure Boot enforced and Microsoft's keys enrolled, as machines are sold.
const OVMF_CODE_SECURE: &str = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd";
const OVMF_VARS_SECURE: &str = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd";

/// Firmware of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Firmware {
    /// SeaBIOS with an iPXE option ROM on the card.
    Bios,
    /// OVMF with its own PXE stack.
    Uefi,
    /// The same with Secure Boot enforced.
    SecureBoot,
}

impl Firmware {
    /// All of them, in the order in which a mixed room takes them in turn.
    pub const ALL: [Self; 3] = [Self::Bios, Self::Uefi, Self::SecureBoot];

    /// As [`crate::vm::machine`] and the golden system's marker name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::SecureBoot => "secureboot",
        }
    }

    /// QEMU's arguments for it. The machine's own copy of the firmware's variables goes to `folder`.
    pub fn qemu_arguments(self, folder: &Path) -> Result<Vec<String>> {
        let (code, vars, machine) = match self {
            Self::Bios => return Ok(vec!["-machine".into(), "q35".into()]),
            Self::Uefi => (OVMF_CODE, OVMF_VARS, "q35"),
            Self::SecureBoot => (OVMF_CODE_SECURE, OVMF_VARS_SECURE, "q35,smm=on"),
        };
        let own_vars = copy_vars(vars, folder)?;
        let mut arguments = vec!["-machine".to_owned(), machine.to_owned()];
        if self == Self::SecureBoot {
            arguments.extend(["-global".into(), "driver=cfi.pflash01,property=secure,value=on".into()]);
        }
        arguments.extend([
            "-drive".into(),
            format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"),
            "-drive".into(),
            format!("if=pflash,format=raw,unit=1,file={}", own_vars.display()),
        ]);
        Ok(arguments)
    }

    /// Option ROM of the network card: BIOS boots from QEMU's iPXE ROM; UEFI gets none, so that the firmware's own
    /// PXE stack runs as it does on real machines.
    #[must_use]
    pub fn card_rom(self) -> Option<&'static str> {
        match self {
            Self::Bios => None,
            Self::Uefi | Self::SecureBoot => Some(""),
        }
    }
}

fn copy_vars(vars: &str, folder: &Path) -> Result<PathBuf> {
    if !Path::new(vars).exists() {
        bail!("{vars} is missing: install the package ovmf (make setup)");
    }
    let own = folder.join("efi-variables.fd");
    std::fs::copy(vars, &own).with_context(|| format!("copying {vars} to {}", own.display()))?;
    Ok(own)
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Firmware {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|firmware| firmware.name() == text)
            .with_context(|| format!("{text:?} is no firmware: bios, uefi or secureboot"))
    }
}
