//! The ways a machine starts.

use super::material;
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

/// ARM64's UEFI, without Secure Boot.
const AAVMF_CODE: &str = "/usr/share/AAVMF/AAVMF_CODE.fd";
const AAVMF_VARS: &str = "/usr/share/AAVMF/AAVMF_VARS.fd";

/// A usual PC; QEMU's PC with Secure Boot enforced, where only firmware itself, in system management mode, writes its
/// variables; and a machine of ARM64, of a kind that is quick to emulate.
const PC: [&str; 6] = ["-machine", "q35", "-cpu", "max,la57=off", "-vga", "std"];
const SECURE_PC: [&str; 8] = [
    "-machine",
    "q35,smm=on",
    "-cpu",
    "max,la57=off",
    "-vga",
    "std",
    "-global",
    "driver=cfi.pflash01,property=secure,value=on",
];
/// A CPU with an instruction for random numbers: without one, EDK II of 2025 offers no network boot. What makes TCG slow, and what
/// older firmware does not start with, is off.
const ARM64: [&str; 4] = ["-machine", "virt", "-cpu", "max,lpa2=off,pauth-impdef=on,sve=off"];
/// OVMF tries PXE before HTTP unless it is told to do without.
const NO_PXE: [&str; 4] = [
    "-fw_cfg",
    "name=opt/org.tianocore/IPv4PXESupport,string=no",
    "-fw_cfg",
    "name=opt/org.tianocore/IPv6PXESupport,string=no",
];

/// Firmware of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Firmware {
    /// SeaBIOS with an iPXE option ROM on the card.
    Bios,
    /// OVMF with its own PXE stack.
    Uefi,
    /// The same with Secure Boot enforced.
    SecureBoot,
    /// The same, but of Microsoft's authorities it trusts those of 2023 alone, as machines sold from 2026 on.
    SecureBoot2023,
    /// Secure Boot, and HTTP Boot instead of PXE.
    HttpBoot,
    /// UEFI of ARM64.
    Arm64,
}

impl Firmware {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Bios, Self::Uefi, Self::SecureBoot, Self::SecureBoot2023, Self::HttpBoot, Self::Arm64];
    /// Those that a mixed room takes in turn.
    pub const MIXED: [Self; 3] = [Self::Bios, Self::Uefi, Self::SecureBoot];

    /// As [`crate::vm::machine`] names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::SecureBoot => "secureboot",
            Self::SecureBoot2023 => "secureboot2023",
            Self::HttpBoot => "httpboot",
            Self::Arm64 => "arm64",
        }
    }

    /// As the golden system's marker names it.
    #[must_use]
    pub fn seen_by_the_system(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi | Self::Arm64 => "uefi",
            Self::SecureBoot | Self::SecureBoot2023 | Self::HttpBoot => "secureboot",
        }
    }

    /// QEMU's program for it.
    #[must_use]
    pub fn qemu(self) -> &'static str {
        if self == Self::Arm64 { "qemu-system-aarch64" } else { "qemu-system-x86_64" }
    }

    /// QEMU's arguments for it. The machine's own copy of the firmware's variables is in `folder`.
    pub fn qemu_arguments(self, folder: &Path) -> Result<Vec<String>> {
        let (code, vars) = match self {
            Self::Bios => return Ok(PC.map(str::to_owned).to_vec()),
            Self::Uefi => (OVMF_CODE, PathBuf::from(OVMF_VARS)),
            Self::SecureBoot | Self::HttpBoot => (OVMF_CODE_SECURE, OVMF_VARS_SECURE.into()),
            Self::SecureBoot2023 => (OVMF_CODE_SECURE, material::variables_2023()?),
            Self::Arm64 => (AAVMF_CODE, AAVMF_VARS.into()),
        };
        let arguments = match self {
            Self::Bios | Self::Uefi => PC.to_vec(),
            Self::SecureBoot | Self::SecureBoot2023 => SECURE_PC.to_vec(),
            Self::HttpBoot => [&SECURE_PC[..], &NO_PXE].concat(),
            Self::Arm64 => ARM64.to_vec(),
        };
        let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        arguments.extend([
            "-drive".into(),
            format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"),
            "-drive".into(),
            format!("if=pflash,format=raw,unit=1,file={}", copy_vars(&vars, folder)?.display()),
        ]);
        Ok(arguments)
    }

    /// Option ROM of the network card: BIOS boots from QEMU's iPXE ROM; UEFI gets none, so that the firmware's own
    /// network stack runs as it does on real machines.
    #[must_use]
    pub fn card_rom(self) -> Option<&'static str> {
        if self == Self::Bios { None } else { Some("") }
    }
}

fn copy_vars(vars: &Path, folder: &Path) -> Result<PathBuf> {
    if !vars.exists() {
        bail!("{} is missing: install the package ovmf, or qemu-efi-aarch64 (make setup)", vars.display());
    }
    let own = folder.join("efi-variables.fd");
    // A machine that was on before remembers.
    if !own.exists() {
        std::fs::copy(vars, &own)
            .with_context(|| format!("copying {} to {}", vars.display(), own.display()))?;
    }
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
            .with_context(|| format!("{text:?} is no firmware: {}", Self::ALL.map(Self::name).join(", ")))
    }
}
