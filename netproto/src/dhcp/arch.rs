//! What a machine's firmware is, as DHCP tells it (option 93; IANA "Processor Architecture Types").

use std::fmt;

/// Architecture of a network boot client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Architecture(pub u16);

impl Architecture {
    /// x86 with a BIOS.
    pub const BIOS: Self = Self(0);
    /// x86 UEFI, 32 bits.
    pub const UEFI_IA32: Self = Self(6);
    /// x64 UEFI. Real firmware sends this one.
    pub const UEFI_X64: Self = Self(7);
    /// "EBC" in the RFC; the registry gave it to x64 by mistake once, and some firmware sends it.
    pub const UEFI_EBC: Self = Self(9);
    /// ARM UEFI, 64 bits.
    pub const UEFI_ARM64: Self = Self(11);
    /// x86 UEFI of 32 bits booting over HTTP.
    pub const HTTP_IA32: Self = Self(15);
    /// x64 UEFI booting over HTTP.
    pub const HTTP_X64: Self = Self(16);
    /// ARM UEFI of 64 bits booting over HTTP.
    pub const HTTP_ARM64: Self = Self(19);

    /// From a vendor class: `PXEClient:Arch:00007:UNDI:003016`.
    #[must_use]
    pub fn from_vendor_class(class: &str) -> Option<Self> {
        let number = class.split_once(":Arch:")?.1.split(':').next()?;
        number.parse().ok().map(Self)
    }

    /// Does it boot over HTTP? (The registry has more of them, for processors that are not served here.)
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self.0, 15..=20)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "x86 BIOS",
            6 => "IA32 UEFI",
            7 | 9 => "x64 UEFI",
            10 => "ARM32 UEFI",
            11 => "ARM64 UEFI",
            15 => "IA32 UEFI HTTP",
            16 => "x64 UEFI HTTP",
            19 => "ARM64 UEFI HTTP",
            _ => return write!(f, "architecture {}", self.0),
        };
        f.write_str(name)
    }
}
