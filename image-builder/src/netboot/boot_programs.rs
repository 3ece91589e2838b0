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

const SHIM: Program = Program {
    served: netboot::shim(Arch::Amd64),
    debian: "shimx64.efi.signed",
    folder: "usr/lib/shim",
    package: "shim-signed",
};

const GRUB: Program = Program {
    served: netboot::grub(Arch::Amd64),
    debian: "grubnetx64.efi.signed",
    folder: "usr/lib/grub/x86_64-efi-signed",
    package: "grub-efi-amd64-signed",
};

/// GRUB's build for removable media. It is not served.
const STICK_GRUB: Program = Program { served: "gcdx64.efi", debian: "gcdx64.efi.signed", ..GRUB };

const PROGRAMS: [Program; 3] = [
    SHIM,
    GRUB,
    Program { served: netboot::UNDIONLY, debian: "undionly.kpxe", folder: "usr/lib/ipxe", package: "ipxe" },
];

/// Reads them: each by the name that it is served under, and its content.
pub(crate) fn read(args: &NetbootArgs) -> Result<Vec<(String, Vec<u8>)>> {
    if args.no_boot_programs {
        return Ok(Vec::new());
    }
    PROGRAMS.iter().map(|program| Ok((program.served.to_owned(), program.read(args)?))).collect()
}

/// Reads what UEFI starts from a stick.
pub(crate) fn read_for_stick(args: &NetbootArgs) -> Result<UefiBoot> {
    Ok(UefiBoot { shim: SHIM.read(args)?, grub: STICK_GRUB.read(args)? })
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
