//! The programs that firmware starts, and that start the kernel: over the network, or from a stick.

use std::fs;

use anyhow::{Context, Result, bail};
use ezio_contract::{Arch, netboot};

use super::stick::UefiBoot;
use crate::cli::NetbootArgs;

/// One of them, and where Debian has it.
struct Program {
    /// Name in the folder that is served.
    served: &'static str,
    /// Name in Debian.
    debian: &'static str,
    /// Its folder in Debian.
    folder: &'static str,
    /// The package that has it.
    package: &'static str,
}

impl Program {
    const fn shim(arch: Arch) -> Self {
        let debian = match arch {
            Arch::Amd64 => "shimx64.efi.signed",
            Arch::Arm64 => "shimaa64.efi.signed",
        };
        Self { served: netboot::shim(arch), debian, folder: "usr/lib/shim", package: "shim-signed" }
    }

    const fn grub(arch: Arch) -> Self {
        let (debian, folder, package) = match arch {
            Arch::Amd64 => {
                ("grubnetx64.efi.signed", "usr/lib/grub/x86_64-efi-signed", "grub-efi-amd64-signed")
            }
            Arch::Arm64 => {
                ("grubnetaa64.efi.signed", "usr/lib/grub/arm64-efi-signed", "grub-efi-arm64-signed")
            }
        };
        Self { served: netboot::grub(arch), debian, folder, package }
    }
}

/// GRUB's build for removable media. It is not served.
const STICK_GRUB: Program =
    Program { served: "gcdx64.efi", debian: "gcdx64.efi.signed", ..Program::grub(Arch::Amd64) };

/// For a BIOS; there is none on ARM64.
const IPXE: Program =
    Program { served: netboot::UNDIONLY, debian: "undionly.kpxe", folder: "usr/lib/ipxe", package: "ipxe" };

/// Reads them: each by the name that it is served under, and its content.
pub(crate) fn read(args: &NetbootArgs, arch: Arch) -> Result<Vec<(String, Vec<u8>)>> {
    if args.no_boot_programs {
        return Ok(Vec::new());
    }
    let mut programs = vec![Program::shim(arch), Program::grub(arch)];
    if arch == Arch::Amd64 {
        programs.push(IPXE);
    }
    programs.iter().map(|program| Ok((program.served.to_owned(), program.read(args)?))).collect()
}

/// Reads what UEFI starts from a stick.
pub(crate) fn read_for_stick(args: &NetbootArgs) -> Result<UefiBoot> {
    Ok(UefiBoot { shim: Program::shim(Arch::Amd64).read(args)?, grub: STICK_GRUB.read(args)? })
}

impl Program {
    fn read(&self, args: &NetbootArgs) -> Result<Vec<u8>> {
        let folder = args.boot_programs.clone().unwrap_or_else(|| args.root.join(self.folder));
        let found =
            [self.debian, self.served].map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
        let Some(path) = found else {
            bail!(
                "{} is not in {}: package {} has it; give --root, --boot-programs or --no-boot-programs",
                self.debian,
                folder.display(),
                self.package
            );
        };
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}
