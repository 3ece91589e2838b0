//! One DHCP message: the fixed part of RFC 2131 section 2, and its options.

use std::net::Ipv4Addr;

use ezio_contract::Mac;
use thiserror::Error;

use super::arch::Architecture;
use super::option::{self, Options};

const MAGIC: [u8; 4] = [99, 130, 83, 99];
const FIXED_LEN: usize = 240;
/// BOOTP relays and old firmware drop messages that are shorter.
const MINIMUM_LEN: usize = 300;
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;

/// Longest message that is read, in bytes: an Ethernet frame's payload is shorter.
pub const MAX_LEN: usize = 4096;
/// Port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// Port of clients.
pub const CLIENT_PORT: u16 = 68;
/// Port on which a proxy or boot server answers UEFI clients.
pub const BOOT_SERVER_PORT: u16 = 4011;

/// Why bytes are not a DHCP message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Shorter than the fixed part, or longer than [`MAX_LEN`].
    #[error("{0} bytes are no DHCP message")]
    Length(usize),
    /// Neither request nor reply.
    #[error("operation {0} is neither request nor reply")]
    Operation(u8),
    /// Not Ethernet with its 6 bytes of address.
    #[error("hardware type {kind} with {length} bytes of address is not Ethernet")]
    Hardware {
        /// Hardware type.
        kind: u8,
        /// Length of the hardware address.
        length: u8,
    },
    /// BOOTP without DHCP.
    #[error("no DHCP magic cookie")]
    Magic,
    /// No message type, or one that does not exist.
    #[error("no valid message type")]
    Kind,
}

/// Direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// From a client.
    Request,
    /// From a server.
    Reply,
}

/// Type of a message (option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

impl Kind {
    fn from_option(value: &[u8]) -> Option<Self> {
        // Where the option came twice, the first counts.
        Some(match value.first()? {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Direction.
    pub operation: Operation,
    /// Type, kept apart from the other options.
    pub kind: Kind,
    /// Relays passed.
    pub hops: u8,
    /// Transaction.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The client can only take broadcasts yet.
    pub broadcast: bool,
    /// Address the client has.
    pub ciaddr: Ipv4Addr,
    /// Address the client gets.
    pub yiaddr: Ipv4Addr,
    /// Next server: where the boot file is.
    pub siaddr: Ipv4Addr,
    /// Relay.
    pub giaddr: Ipv4Addr,
    /// The client's Ethernet address.
    pub mac: Mac,
    /// Server name field (up to 63 bytes are sent).
    pub sname: String,
    /// Boot file field (up to 127 bytes are sent).
    pub file: String,
    /// Options but the message type.
    pub options: Options,
}

impl Message {
    /// A request of a client.
    #[must_use]
    pub fn request(kind: Kind, xid: u32, mac: Mac) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            operation: Operation::Request,
            kind,
            hops: 0,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            mac,
            sname: String::new(),
            file: String::new(),
            options: Options::default(),
        }
    }

    /// A reply to `request`, with what RFC 2131 (table 3) and PXE want copied: transaction, relay, flags,
    /// and options 61 (RFC 6842), 82 (RFC 3046), 97 and 118 (RFC 3011).
    #[must_use]
    pub fn reply(kind: Kind, request: &Message, server: Ipv4Addr) -> Self {
        let mut reply = Self::request(kind, request.xid, request.mac);
        reply.operation = Operation::Reply;
        reply.broadcast = request.broadcast;
        reply.giaddr = request.giaddr;
        reply.options.set_addresses(option::SERVER_ID, &[server]);
        let copied = [option::CLIENT_ID, option::RELAY_AGENT, option::MACHINE_ID, option::SUBNET_SELECTION];
        for code in copied {
            if let Some(value) = request.options.get(code) {
                reply.options.set(code, value);
            }
        }
        reply
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The bytes are not a DHCP message over Ethernet.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_LEN {
            return Err(DecodeError::Length(bytes.len()));
        }
        let Some((fixed, tail)) = bytes.split_first_chunk::<FIXED_LEN>() else {
            return Err(DecodeError::Length(bytes.len()));
        };
        let operation = match fixed[0] {
            1 => Operation::Request,
            2 => Operation::Reply,
            other => return Err(DecodeError::Operation(other)),
        };
        if fixed[1..3] != [1, 6] {
            return Err(DecodeError::Hardware { kind: fixed[1], length: fixed[2] });
        }
        if fixed[236..240] != MAGIC {
            return Err(DecodeError::Magic);
        }
        let (options, sname, file) = decode_options(fixed, tail);
        let kind = options.get(option::MESSAGE_TYPE).and_then(Kind::from_option).ok_or(DecodeError::Kind)?;
        let address = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        Ok(Self {
            operation,
            kind,
            hops: fixed[3],
            xid: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            secs: u16::from_be_bytes([fixed[8], fixed[9]]),
            broadcast: fixed[10] & 0x80 != 0,
            ciaddr: address(12),
            yiaddr: address(16),
            siaddr: address(20),
            giaddr: address(24),
            mac: Mac::new([fixed[28], fixed[29], fixed[30], fixed[31], fixed[32], fixed[33]]),
            sname,
            file,
            options,
        })
    }

    /// The message as bytes, padded to BOOTP's minimum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; FIXED_LEN];
        out[0] = if self.operation == Operation::Request { 1 } else { 2 };
        out[1..3].copy_from_slice(&[1, 6]);
        out[3] = self.hops;
        out[4..8].copy_from_slice(&self.xid.to_be_bytes());
        out[8..10].copy_from_slice(&self.secs.to_be_bytes());
        out[10] = if self.broadcast { 0x80 } else { 0 };
        out[12..16].copy_from_slice(&self.ciaddr.octets());
        out[16..20].copy_from_slice(&self.yiaddr.octets());
        out[20..24].copy_from_slice(&self.siaddr.octets());
        out[24..28].copy_from_slice(&self.giaddr.octets());
        out[28..34].copy_from_slice(&self.mac.octets());
        put_text(&mut out[SNAME], &self.sname);
        put_text(&mut out[FILE], &self.file);
        out[236..240].copy_from_slice(&MAGIC);
        let mut options = self.options.clone();
        options.set(option::MESSAGE_TYPE, [self.kind as u8]);
        options.write(&mut out);
        if out.len() < MINIMUM_LEN {
            out.resize(MINIMUM_LEN, 0);
        }
        out
    }

    /// Vendor class (option 60).
    #[must_use]
    pub fn vendor_class(&self) -> String {
        self.options.text(option::VENDOR_CLASS).unwrap_or_default()
    }

    /// What the client can run, its first choice first: those of option 93, and of them first the one that the vendor class
    /// names, for that is what runs now; without the option, that one. UEFI may list all that it could ever boot: for an
    /// HTTP client only the HTTP architectures count, else only the others. A PXE client that names none is a BIOS from
    /// before option 93.
    #[must_use]
    pub fn architectures(&self) -> Vec<Architecture> {
        let class = self.vendor_class();
        let now = Architecture::from_vendor_class(&class);
        let listed = self.options.get(option::ARCHITECTURE).unwrap_or_default();
        let mut all: Vec<Architecture> =
            listed.as_chunks().0.iter().map(|pair| Architecture(u16::from_be_bytes(*pair))).collect();
        if all.is_empty() {
            let bios = class.starts_with("PXEClient").then_some(Architecture::BIOS);
            all.extend(now.or(bios));
        }
        all.sort_by_key(|architecture| Some(*architecture) != now);
        let is_http = class.starts_with("HTTPClient");
        if all.iter().any(|architecture| architecture.is_http() == is_http) {
            all.retain(|architecture| architecture.is_http() == is_http);
        }
        all
    }

    /// Is the client iPXE? It says so in its user class, and always sends its own option 175; so does its ancestor gPXE,
    /// which cannot run iPXE's scripts.
    #[must_use]
    pub fn is_ipxe(&self) -> bool {
        let classes = self.options.user_classes();
        let is = |name: &str| classes.iter().any(|class| class == name);
        is("iPXE") || (self.options.get(option::IPXE).is_some() && !is("gPXE"))
    }

    /// The machine's UUID as it is in SMBIOS (option 97 of type 0), 16 bytes.
    #[must_use]
    pub fn machine_uuid(&self) -> Option<[u8; 16]> {
        let (kind, uuid) = self.options.get(option::MACHINE_ID)?.split_first()?;
        if *kind == 0 { uuid.first_chunk().copied() } else { None }
    }

    /// Boot file of a reply: option 67, else the field.
    #[must_use]
    pub fn boot_file(&self) -> Option<String> {
        let field = (!self.file.is_empty()).then(|| self.file.clone());
        self.options.text(option::BOOT_FILE).or(field)
    }

    /// Boot server of a reply: the next-server field, else option 66 or the name field where they hold an address.
    #[must_use]
    pub fn boot_server(&self) -> Option<Ipv4Addr> {
        if !self.siaddr.is_unspecified() {
            return Some(self.siaddr);
        }
        let name = self.options.text(option::TFTP_SERVER).unwrap_or_else(|| self.sname.clone());
        name.trim().parse().ok()
    }
}

/// Options from the tail, and from the fields `file` and `sname` where option 52 says they hold some.
fn decode_options(fixed: &[u8; FIXED_LEN], tail: &[u8]) -> (Options, String, String) {
    let mut options = Options::default();
    options.read(tail);
    let overload = options.get(option::OVERLOAD).and_then(|v| v.first().copied()).unwrap_or(0);
    let mut field = |range: std::ops::Range<usize>, bit: u8| {
        if overload & bit != 0 {
            options.read(&fixed[range]);
            return String::new();
        }
        option::read_text(&fixed[range])
    };
    let file = field(FILE, 1);
    let sname = field(SNAME, 2);
    (options, sname, file)
}

/// Copies text into a field, cut so that its last byte stays 0.
fn put_text(field: &mut [u8], text: &str) {
    let length = text.len().min(field.len() - 1);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}
