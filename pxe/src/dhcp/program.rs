//! Which program a machine boots, and how a reply tells it, with the firmware's habits explained where they matter.

use ezio_contract::netboot::{UNDIONLY, grub, shim};
use ezio_contract::{Arch, urls};
use ezio_netproto::dhcp::{Architecture, Message, option};

use crate::boot::Boot;
use crate::catalogue::Catalogue;

/// PXE's discovery control (option 43, tag 6) with bit 3: do not look for boot servers, take the file named here.
const PXE_USE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];
/// Bytes of a reply's file field that hold a name, with its NUL.
const FILE_FIELD: usize = 128;

/// A way from firmware to the kernel, by programs that are served below `boot/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// iPXE, for a BIOS without it.
    Bios,
    /// Debian's signed chain for x64 UEFI.
    X64,
    /// The same for ARM64 UEFI.
    Arm64,
}

impl Chain {
    const ALL: [Self; 3] = [Self::Bios, Self::X64, Self::Arm64];

    fn of(architecture: Architecture) -> Option<Self> {
        match architecture {
            Architecture::BIOS => Some(Self::Bios),
            Architecture::UEFI_X64 | Architecture::UEFI_EBC | Architecture::HTTP_X64 => Some(Self::X64),
            Architecture::UEFI_ARM64 | Architecture::HTTP_ARM64 => Some(Self::Arm64),
            _ => None,
        }
    }

    fn arch(self) -> Arch {
        match self {
            Self::Bios | Self::X64 => Arch::Amd64,
            Self::Arm64 => Arch::Arm64,
        }
    }

    /// Its programs, the first first.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Bios => &[UNDIONLY],
            Self::X64 => &const { [shim(Arch::Amd64), grub(Arch::Amd64)] },
            Self::Arm64 => &const { [shim(Arch::Arm64), grub(Arch::Arm64)] },
        }
    }

    /// The first program's name in the tree.
    fn first(self) -> String {
        urls::boot_file(self.arch(), self.programs().first().copied().unwrap_or_default())
    }

    fn is_complete(self, catalogue: &Catalogue) -> bool {
        let netboot = catalogue.netboot(self.arch());
        netboot.is_some_and(|netboot| self.programs().iter().all(|program| netboot.file(program).is_some()))
    }
}

/// The programs that are served.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// `http://ADDRESS:PORT`.
    pub(super) base: String,
    pub(super) chains: Vec<Chain>,
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
        let chains = Chain::ALL.into_iter().filter(|chain| chain.is_complete(catalogue)).collect();
        Self { base: base.to_owned(), chains }
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
        match architectures.iter().find_map(|architecture| self.program_for(*architecture)) {
            // A BIOS that hears of no boot file goes on to its disk. UEFI, by PXE and by HTTP, would ask on for minutes and
            // then try the next protocol, so it gets GRUB, which starts the loader on the disk.
            Some(Program::Bios(_)) if boot == Boot::Local => {
                Err(Some(format!("{mac} boots from its own disk")))
            }
            Some(program) => Ok(program),
            None => Err(Some(format!("{mac}: {}", why_none(architectures.first().copied())))),
        }
    }

    fn program_for(&self, architecture: Architecture) -> Option<Program> {
        let chain = Chain::of(architecture).filter(|chain| self.chains.contains(chain))?;
        Some(match chain {
            Chain::Bios => Program::Bios(chain.first()),
            _ if architecture.is_http() => Program::Http(format!("{}/{}", self.base, chain.first())),
            _ => Program::Uefi(chain.first()),
        })
    }
}

/// Why no program is served for a machine whose first choice this is.
fn why_none(architecture: Option<Architecture>) -> String {
    let Some(architecture) = architecture else {
        return "it does not say what architecture it is (option 93)".to_owned();
    };
    if let Some(chain) = Chain::of(architecture) {
        let (arch, programs) = (chain.arch(), chain.programs().join(" and "));
        return format!("{architecture}: no --netboot directory for {arch} has {programs}");
    }
    match architecture {
        Architecture::UEFI_IA32 | Architecture::HTTP_IA32 => format!(
            "{architecture} cannot be booted: nobody signs a boot chain for UEFI of 32 bits; if its setup has a BIOS mode \
             (CSM), switch to that"
        ),
        other => format!("{other} is not supported (x86 BIOS, x64 UEFI and ARM64 UEFI are)"),
    }
}

impl Program {
    /// Names the program in a reply of the server whose address the reply bears as next server.
    pub(super) fn put(&self, reply: &mut Message, part: As) {
        let name = match self {
            Self::Bios(name) | Self::Uefi(name) | Self::Script(name) => name,
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
        reply.options.set(option::BOOT_FILE, terminated(name));
        if name.len() < FILE_FIELD {
            reply.file.clone_from(name);
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
        let (Self::Bios(name) | Self::Uefi(name) | Self::Script(name) | Self::Http(name)) = self;
        format!("{} ({firmware}) boots {name}", request.mac)
    }
}

/// Text of an option with a NUL behind it: some firmware reads on until it finds one, and would take the next option for
/// a part of the name.
fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}
