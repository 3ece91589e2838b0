//! DHCP options: a map of code to bytes, with the typed reading and writing that both sides need.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Subnet mask, 4 bytes.
pub const SUBNET_MASK: u8 = 1;
/// Routers, 4 bytes each.
pub const ROUTER: u8 = 3;
/// Name servers, 4 bytes each.
pub const DNS: u8 = 6;
/// Host name.
pub const HOST_NAME: u8 = 12;
/// Domain name.
pub const DOMAIN_NAME: u8 = 15;
/// Broadcast address of the subnet, 4 bytes.
pub const BROADCAST: u8 = 28;
/// Vendor-specific information; PXE's own options for a `PXEClient`.
pub const VENDOR_SPECIFIC: u8 = 43;
/// Address asked for.
pub const REQUESTED_ADDRESS: u8 = 50;
/// Lease time in seconds, 4 bytes.
pub const LEASE_TIME: u8 = 51;
/// `sname` and `file` hold options too.
pub const OVERLOAD: u8 = 52;
/// Kind of message.
pub const MESSAGE_TYPE: u8 = 53;
/// Address of the server that answers, or is addressed.
pub const SERVER_ID: u8 = 54;
/// Options the client would like, one code a byte.
pub const PARAMETER_LIST: u8 = 55;
/// Error text of a NAK.
pub const MESSAGE: u8 = 56;
/// Largest message the client takes, 2 bytes.
pub const MAX_MESSAGE_SIZE: u8 = 57;
/// T1 in seconds, 4 bytes.
pub const RENEWAL_TIME: u8 = 58;
/// T2 in seconds, 4 bytes.
pub const REBINDING_TIME: u8 = 59;
/// Vendor class ("PXEClient:Arch:00007:UNDI:003016", "HTTPClient").
pub const VENDOR_CLASS: u8 = 60;
/// Client identifier.
pub const CLIENT_ID: u8 = 61;
/// TFTP server's name.
pub const TFTP_SERVER: u8 = 66;
/// Boot file's name, or a URL.
pub const BOOT_FILE: u8 = 67;
/// User class ("iPXE", "gPXE").
pub const USER_CLASS: u8 = 77;
/// What a relay says of its client (RFC 3046), in suboptions.
pub const RELAY_AGENT: u8 = 82;
/// Architecture of the client, 2 bytes (each).
pub const ARCHITECTURE: u8 = 93;
/// Version of the network driver interface.
pub const NETWORK_INTERFACE: u8 = 94;
/// Machine identifier: a type byte, then 16 bytes of UUID for type 0.
pub const MACHINE_ID: u8 = 97;
/// Subnet to choose an address from (RFC 3011), 4 bytes.
pub const SUBNET_SELECTION: u8 = 118;
/// Encapsulated options of iPXE and of its ancestor gPXE; nobody else sends them.
pub const IPXE: u8 = 175;

const PAD: u8 = 0;
const END: u8 = 255;

/// Options by code. The parts of an option that came split (RFC 3396) are joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    /// Bytes of an option.
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.get(&code).map(Vec::as_slice)
    }

    /// Sets an option; the codes of padding and end are no options and are left out.
    pub fn set(&mut self, code: u8, value: impl Into<Vec<u8>>) {
        if code != PAD && code != END {
            self.0.insert(code, value.into());
        }
    }

    /// Sets an option that is a list of addresses; an empty list sets nothing.
    pub fn set_addresses(&mut self, code: u8, addresses: &[Ipv4Addr]) {
        if !addresses.is_empty() {
            self.set(code, addresses.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>());
        }
    }

    /// Sets an option of four bytes.
    pub fn set_u32(&mut self, code: u8, value: u32) {
        self.set(code, value.to_be_bytes());
    }

    /// An option of one address: its first, where there are more.
    #[must_use]
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.addresses(code).first().copied()
    }

    /// An option that is a list of addresses.
    #[must_use]
    pub fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let bytes = self.get(code).unwrap_or_default();
        bytes.as_chunks::<4>().0.iter().map(|octets| Ipv4Addr::from(*octets)).collect()
    }

    /// An option of four bytes; more of them, as when an option came twice, change nothing.
    #[must_use]
    pub fn u32(&self, code: u8) -> Option<u32> {
        self.get(code)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// An option that is text.
    #[must_use]
    pub fn text(&self, code: u8) -> Option<String> {
        Some(read_text(self.get(code)?)).filter(|text| !text.is_empty())
    }

    /// User classes (option 77): a list as RFC 3004 wants it, each behind its length, or one as plain text, as most
    /// boot programs send it.
    #[must_use]
    pub fn user_classes(&self) -> Vec<String> {
        let bytes = self.get(USER_CLASS).unwrap_or_default();
        let mut classes = Vec::new();
        let mut rest = bytes;
        while let [length, tail @ ..] = rest {
            let Some((class, tail)) = tail.split_at_checked(usize::from(*length)) else {
                return vec![read_text(bytes)];
            };
            classes.push(read_text(class));
            rest = tail;
        }
        classes
    }

    /// A suboption of the relay's option, where there is one.
    #[must_use]
    pub fn of_relay(&self, code: u8) -> Option<&[u8]> {
        let mut rest = self.get(RELAY_AGENT)?;
        while let [found, length, tail @ ..] = rest {
            let (value, tail) = tail.split_at_checked(usize::from(*length))?;
            if *found == code {
                return Some(value);
            }
            rest = tail;
        }
        None
    }

    /// Codes and bytes in order of the code.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(code, value)| (*code, value.as_slice()))
    }

    /// Reads options up to the end mark, or up to the first that does not fit into `bytes`: a client with a
    /// broken tail still gets an answer to what came before it.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while let [code, rest @ ..] = bytes {
            match (*code, rest) {
                (PAD, rest) => bytes = rest,
                (END, _) => return,
                (code, [length, rest @ ..]) if rest.len() >= usize::from(*length) => {
                    let (value, rest) = rest.split_at(usize::from(*length));
                    self.0.entry(code).or_default().extend_from_slice(value);
                    bytes = rest;
                }
                _ => return,
            }
        }
    }

    /// Writes options and end mark. The message type goes first, as some firmware looks for it there, and what a relay
    /// said last (RFC 3046 section 2.1).
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let one = |code| self.get(code).map(|value| (code, value));
        let others = self.iter().filter(|(code, _)| ![MESSAGE_TYPE, RELAY_AGENT].contains(code));
        for (code, value) in one(MESSAGE_TYPE).into_iter().chain(others).chain(one(RELAY_AGENT)) {
            if value.is_empty() {
                out.extend([code, 0]);
            }
            for part in value.chunks(255) {
                out.push(code);
                out.push(part.len() as u8);
                out.extend_from_slice(part);
            }
        }
        out.push(END);
    }
}

/// Text of an option or field. It ends at the first NUL, or at an end mark that got into it, which no text holds.
pub(super) fn read_text(bytes: &[u8]) -> String {
    let text = bytes.split(|b| matches!(*b, 0 | END)).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
