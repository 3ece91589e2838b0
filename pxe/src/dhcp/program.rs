//! Which program a machine boots, and how a reply tells it, with the firmware's habits explained where they matter.

use ezio_contract::{Arch, netboot, urls};
use ezio_netproto::dhcp::{Architecture, Message, option};

use crate::boot::Boot;
use crate::catalogue::{Catalogue, Netboot};

/// PXE's discovery control (option 43, tag 6) with bit 3: do not look for boot servers, take the file named here.
const PXE_USE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];
/// Bytes of a reply's file field that hold a name, with its NUL.
const FILE_FIELD: usize = 128;

/// The programs that are served.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// `http://ADDRESS:PORT`.
    pub(super) base: String,
    /// Is there an iPXE for a BIOS without it?
    pub(super) bios: bool,
    /// Is there a signed chain for UEFI?
    pub(super) uefi: bool,
}

/// What a machine boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// A file by TFTP, for a BIOS.
    Bios(String),
    /// A file by TFTP, for UEFI.
    Uefi(String),
    /// A URL for iPXE.
    Script(String),
    /// A URL for UEFI HTTP Boot.
    Http(String),
}

/// In which part a reply is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// It leases an address as well.
    Server,
    /// Beside the network's own server.
    Proxy,
}

impl Programs {
    pub(super) fn new(base: &str, catalogue: &Catalogue) -> Self {
        let netboot = catalogue.netboot(Arch::Amd64);
        let bios = netboot.is_some_and(Netboot::has_bios);
        let uefi = netboot.is_some_and(Netboot::has_uefi);
        Self { base: base.to_owned(), bios, uefi }
    }

    /// The program for a machine; `Err` with a reason where there is none and somebody may wonder.
    pub(super) fn choose(&self, request: &Message, boot: Boot) -> Result<Program, Option<String>> {
        let class = request.vendor_class();
        let netboots = class.starts_with("PXEClient") || class.starts_with("HTTPClient") || request.is_ipxe();
        if !netboots {
            return Err(None);
        }
        if request.is_ipxe() {
            // Whatever it runs on: iPXE speaks HTTP, and is past what Secure Boot would have stopped.
            return Ok(Program::Script(format!("{}/{}", self.base, urls::IPXE)));
        }
        let mac = request.mac;
        let architectures = request.architectures();
        match architectures.iter().find_map(|one| self.program_for(*one)) {
            // A BIOS that hears of no boot file goes on to its disk. UEFI would go on to IPv6 and HTTP, for minutes, so it
            // gets GRUB, which starts the loader on the disk.
            Some(Program::Bios(_)) if boot == Boot::Local => {
                Err(Some(format!("{mac} is done and boots from its own disk")))
            }
            Some(program) => Ok(program),
            None => Err(Some(format!("{mac}: {}", why_none(architectures.first().copied())))),
        }
    }

    fn program_for(&self, architecture: Architecture) -> Option<Program> {
        let file = |name| urls::boot_file(Arch::Amd64, name);
        let shim = || file(netboot::shim(Arch::Amd64));
        match architecture {
            Architecture::BIOS if self.bios => Some(Program::Bios(file(netboot::UNDIONLY))),
            Architecture::UEFI_X64 | Architecture::UEFI_EBC if self.uefi => Some(Program::Uefi(shim())),
            Architecture::HTTP_X64 if self.uefi => Some(Program::Http(format!("{}/{}", self.base, shim()))),
            _ => None,
        }
    }
}

/// Why no program is served for a machine whose first choice this is.
fn why_none(architecture: Option<Architecture>) -> String {
    match architecture {
        None => "it does not say what architecture it is (option 93)".to_owned(),
        Some(Architecture::BIOS) => format!("{} is not in the --netboot directory", netboot::UNDIONLY),
        Some(Architecture::UEFI_X64 | Architecture::UEFI_EBC | Architecture::HTTP_X64) => {
            let (shim, grub) = (netboot::shim(Arch::Amd64), netboot::grub(Arch::Amd64));
            format!("{shim} or {grub} is not in the --netboot directory")
        }
        Some(ia32 @ (Architecture::UEFI_IA32 | Architecture::HTTP_IA32)) => format!(
            "{ia32} cannot be booted: nobody signs a boot chain for UEFI of 32 bits; if its setup has a BIOS mode (CSM), \
             switch to that"
        ),
        Some(other) => format!("{other} is not supported (x86 BIOS and x64 UEFI are)"),
    }
}

impl Program {
    /// Names the program in a reply of the server whose address the reply bears as next server.
    pub(super) fn put(&self, reply: &mut Message, part: As) {
        let name = match self {
            Self::Bios(name) | Self::Uefi(name) | Self::Script(name) => name.clone(),
            Self::Http(url) => {
                // UEFI HTTP Boot takes an offer only when it calls itself HTTPClient, and the URL from option 67.
                reply.options.set(option::VENDOR_CLASS, b"HTTPClient");
                reply.options.set(option::BOOT_FILE, terminated(url));
                return;
            }
        };
        // Old ROMs read the fields, newer firmware the options; TFTP's server as text is what option 66 holds.
        reply.sname = reply.siaddr.to_string();
        reply.options.set(option::TFTP_SERVER, terminated(&reply.sname));
        reply.options.set(option::BOOT_FILE, terminated(&name));
        if name.len() < FILE_FIELD {
            reply.file = name;
        }
        if part == As::Server {
            // With option 60 in an ordinary lease, UEFI would look for a boot server that nobody asked for.
            return;
        }
        reply.options.set(option::VENDOR_CLASS, b"PXEClient");
        // A BIOS and iPXE take the file from the offer if told not to look for boot servers. Some UEFI firmware
        // ignores offers that say so; all of it asks port 4011 when option 43 is missing.
        if !matches!(self, Self::Uefi(_)) {
            reply.options.set(option::VENDOR_SPECIFIC, PXE_USE_BOOT_FILE);
        }
    }

    /// For the log: which machine boots what.
    pub(super) fn describe(&self, request: &Message) -> String {
        let firmware = match request.architectures().first() {
            Some(arch) if request.is_ipxe() => format!("iPXE on {arch}"),
            Some(arch) => arch.to_string(),
            None => "iPXE".to_owned(),
        };
        let program = match self {
            Self::Bios(name) | Self::Uefi(name) | Self::Script(name) | Self::Http(name) => name,
        };
        format!("{} ({firmware}) boots {program}", request.mac)
    }
}

/// Text of an option with a NUL behind it: some firmware reads on until it finds one, and would take the next option for
/// a part of the name.
fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}
