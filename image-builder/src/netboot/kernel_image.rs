//! What a kernel image says of itself.

use anyhow::{Context, Result, bail};
use ezio_contract::Arch;

/// Behind this stands the version in every kernel's data, as /proc/version begins.
const BANNER: &[u8] = b"Linux version ";

/// The architecture of a kernel image.
pub(crate) fn arch(image: &[u8]) -> Result<Arch> {
    if image.get(0x202..0x206) == Some(b"HdrS") {
        Ok(Arch::Amd64)
    } else if image.get(0x38..0x3c) == Some(b"ARM\x64") {
        Ok(Arch::Arm64)
    } else {
        bail!("it is no Linux kernel for x86 (bzImage) or ARM64 (Image)")
    }
}

/// The version of a kernel image: `uname -r`.
pub(crate) fn version(image: &[u8]) -> Result<&str> {
    let text = match arch(image)? {
        Arch::Amd64 => x86_version(image),
        Arch::Arm64 => arm64_version(image),
    };
    let word = text.and_then(|text| text.split(|&byte| byte == b' ' || byte == 0).next());
    let version = word.and_then(|word| std::str::from_utf8(word).ok());
    version
        .filter(|version| !version.is_empty())
        .context("it is a Linux kernel that does not say its version")
}

/// The setup header (Documentation/arch/x86/boot.rst) holds, at 0x20e, where the version stands, less 0x200.
fn x86_version(image: &[u8]) -> Option<&[u8]> {
    let pointer = u16::from_le_bytes(image.get(0x20e..0x210)?.try_into().ok()?);
    image.get(usize::from(pointer) + 0x200..)
}

/// The header of ARM64 (Documentation/arch/arm64/booting.rst) has no version; the image is not compressed.
fn arm64_version(image: &[u8]) -> Option<&[u8]> {
    let mut places = image.windows(BANNER.len()).enumerate().filter(|(_, window)| *window == BANNER);
    // The same words stand in formats ("Linux version %s"), where no digit follows.
    let after = |(at, _): (usize, &[u8])| image.get(at + BANNER.len()..);
    places.find_map(|place| after(place).filter(|text| text.first().is_some_and(u8::is_ascii_digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_a_kernel_for_x86() {
        let mut image = vec![0u8; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
        image[0x300..0x320].copy_from_slice(b"6.1.0-56-amd64 (debian-kernel@li");
        assert_eq!(version(&image).unwrap(), "6.1.0-56-amd64");
        image[0x202] = b'X';
        assert!(version(&image).is_err());
        assert!(version(b"short").is_err());
    }

    #[test]
    fn reads_the_version_of_a_kernel_for_arm64() {
        let mut image = vec![0u8; 0x40];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image.extend(b"Linux version %s (%s)\0Linux version 6.12.118+deb13-arm64 (debian-kernel@li");
        assert_eq!(version(&image).unwrap(), "6.12.118+deb13-arm64");
    }
}
