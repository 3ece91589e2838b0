//! What a machine is told: pure decisions over messages, with the firmware's habits explained where they matter.

use std::net::{Ipv4Addr, SocketAddrV4};

use ezio_netproto::dhcp::message::{CLIENT_PORT, SERVER_PORT, format_mac};
use ezio_netproto::dhcp::{Architecture, Kind, Message, Operation, option};

use super::pool::{Lease, Leases};
use crate::boot::Boot;
use crate::catalogue::Netboot;
use crate::settings::Pool;
use crate::sites::AddressRange;

/// PXE's discovery control (option 43, tag 6) with bit 3: do not look for boot servers, take the file named here.
const PXE_USE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];
/// Vendor class of our own init, which asks a proxy for the boot server only.
const INIT_CLASS: &str = "ezio";

/// Who answers.
#[derive(Debug, Clone)]
pub(crate) struct Me {
    pub(crate) address: Ipv4Addr,
    pub(crate) mask: Ipv4Addr,
    /// `http://ADDRESS:PORT`.
    pub(crate) base: String,
    /// Is there an iPXE for a BIOS without it?
    pub(crate) boots_bios: bool,
    /// Is there a signed chain for UEFI?
    pub(crate) boots_uefi: bool,
}

impl Me {
    pub(crate) fn new(address: Ipv4Addr, mask: Ipv4Addr, base: &str, netboot: Option<&Netboot>) -> Self {
        let boots_bios = netboot.is_some_and(Netboot::has_bios);
        let boots_uefi = netboot.is_some_and(Netboot::has_uefi);
        Self { address, mask, base: base.to_owned(), boots_bios, boots_uefi }
    }
}

/// Where a packet came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// 67.
    Server,
    /// 4011.
    BootServer,
}

/// What comes of a packet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Send this.
    Answer {
        message: Box<Message>,
        to: SocketAddrV4,
        /// Keep this lease.
        lease: Option<Lease>,
        /// For the log.
        note: String,
    },
    /// The machine gave up this lease.
    Released(Lease),
    /// Nothing, and why: for the log where somebody may wonder.
    Ignore(Option<String>),
}

/// What a machine boots.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Program {
    /// A file by TFTP.
    File(&'static str),
    /// A URL for iPXE.
    Script(String),
    /// A URL for UEFI HTTP Boot.
    Http(String),
}

/// Answers to machines.
#[derive(Debug)]
pub(crate) struct Responder {
    me: Me,
    /// With addresses of our own, we are the network's DHCP server; without, a proxy.
    full: Option<(Pool, Leases)>,
}

impl Responder {
    pub(crate) fn proxy(me: Me) -> Self {
        Self { me, full: None }
    }

    /// `range` are the addresses that are handed out.
    pub(crate) fn full(me: Me, pool: Pool, range: AddressRange, known: Vec<Lease>) -> Self {
        let reserved = std::iter::once(me.address).chain(pool.router).collect();
        let leases = Leases::new(range, reserved, pool.lease_time.as_secs(), known);
        Self { me, full: Some((pool, leases)) }
    }

    /// What comes of `request`; `boot` is where the machine is to boot from, `now` in seconds since 1970.
    pub(crate) fn answer(
        &mut self,
        request: &Message,
        port: Port,
        source: SocketAddrV4,
        boot: Boot,
        now: u64,
    ) -> Verdict {
        if request.operation != Operation::Request {
            return Verdict::Ignore(None);
        }
        match (port, self.full.is_some()) {
            (Port::BootServer, _) => self.boot_server(request, source, boot),
            (Port::Server, false) => self.proxy_offer(request, boot),
            (Port::Server, true) => self.dhcp(request, boot, now),
        }
    }

    /// ProxyDHCP: an offer without an address, beside that of the network's own server.
    fn proxy_offer(&self, request: &Message, boot: Boot) -> Verdict {
        if request.kind != Kind::Discover {
            // The request is for the server whose address was taken; UEFI turns to port 4011.
            return Verdict::Ignore(None);
        }
        let mut offer = Message::reply(Kind::Offer, request, self.me.address);
        offer.siaddr = self.me.address;
        if request.vendor_class() == INIT_CLASS {
            offer.file = "ezio.conf".to_owned();
            let note = format!("init on {}: boot server", format_mac(&request.mac));
            return self.send(offer, request, note);
        }
        match self.program(request, boot) {
            Ok(program) => {
                self.put_program(&mut offer, request, &program, true);
                let note = describe(request, &program);
                self.send(offer, request, note)
            }
            Err(why) => Verdict::Ignore(why),
        }
    }

    /// Port 4011: UEFI, and a BIOS that does not take the file from the offer, ask here with their address.
    fn boot_server(&self, request: &Message, source: SocketAddrV4, boot: Boot) -> Verdict {
        if !matches!(request.kind, Kind::Request | Kind::Inform) {
            return Verdict::Ignore(None);
        }
        let program = match self.program(request, boot) {
            Ok(program) => program,
            Err(why) => return Verdict::Ignore(why),
        };
        let mut ack = Message::reply(Kind::Ack, request, self.me.address);
        ack.siaddr = self.me.address;
        ack.ciaddr = request.ciaddr;
        self.put_program(&mut ack, request, &program, true);
        let note = describe(request, &program);
        // The client says where it listens: with its address, or as one that has none yet.
        let to = if source.ip().is_unspecified() { broadcast() } else { source };
        Verdict::Answer { message: Box::new(ack), to, lease: None, note }
    }

    /// DHCP proper.
    fn dhcp(&mut self, request: &Message, boot: Boot, now: u64) -> Verdict {
        let Some((_, leases)) = &mut self.full else { return Verdict::Ignore(None) };
        let mac = format_mac(&request.mac);
        let ours = request.options.address(option::SERVER_ID).map(|id| id == self.me.address);
        let asked = request.options.address(option::REQUESTED_ADDRESS);
        match request.kind {
            Kind::Discover => match leases.offer(&mac, asked, now) {
                Some(address) => self.lease_message(Kind::Offer, request, address, None, boot),
                None => Verdict::Ignore(Some(format!("{mac}: no address is left in --dhcp-range"))),
            },
            // It took another server's offer.
            Kind::Request if ours == Some(false) => Verdict::Ignore(None),
            Kind::Request => {
                let address = asked.unwrap_or(request.ciaddr);
                match leases.lease(&mac, address, now) {
                    Some(lease) => self.lease_message(Kind::Ack, request, address, Some(lease), boot),
                    None => self.nak(request, address),
                }
            }
            Kind::Release => leases.release(&mac).map_or(Verdict::Ignore(None), Verdict::Released),
            Kind::Decline => {
                let address = asked.unwrap_or(Ipv4Addr::UNSPECIFIED);
                leases.decline(&mac, address, now);
                Verdict::Ignore(Some(format!("{mac} says that another machine has {address}")))
            }
            Kind::Inform => self.lease_message(Kind::Ack, request, Ipv4Addr::UNSPECIFIED, None, boot),
            _ => Verdict::Ignore(None),
        }
    }

    fn lease_message(
        &self,
        kind: Kind,
        request: &Message,
        address: Ipv4Addr,
        lease: Option<Lease>,
        boot: Boot,
    ) -> Verdict {
        let Some((pool, _)) = &self.full else { return Verdict::Ignore(None) };
        let mut reply = Message::reply(kind, request, self.me.address);
        reply.yiaddr = address;
        reply.ciaddr = if kind == Kind::Ack { request.ciaddr } else { Ipv4Addr::UNSPECIFIED };
        let options = &mut reply.options;
        options.set_addresses(option::SUBNET_MASK, &[self.me.mask]);
        options.set_addresses(option::ROUTER, pool.router.as_slice());
        options.set_addresses(option::DNS, &pool.dns);
        if !address.is_unspecified() {
            let seconds = pool.lease_time.as_secs().min(u64::from(u32::MAX)) as u32;
            options.set_u32(option::LEASE_TIME, seconds);
            options.set_u32(option::RENEWAL_TIME, seconds / 2);
            options.set_u32(option::REBINDING_TIME, seconds / 8 * 7);
        }
        let mut note = format!("{}: {kind:?} of {address}", format_mac(&request.mac));
        if request.vendor_class() == INIT_CLASS {
            reply.siaddr = self.me.address;
        }
        // A machine without a program gets its address all the same: the firmware then goes on to its next boot
        // device, and an installed system is a client like any other.
        match self.program(request, boot) {
            Ok(program) => {
                reply.siaddr = self.me.address;
                self.put_program(&mut reply, request, &program, false);
                note = format!("{note}; {}", describe(request, &program));
            }
            Err(Some(why)) => note = format!("{note}; {why}"),
            Err(None) => {}
        }
        let Verdict::Answer { message, to, note, .. } = self.send(reply, request, note) else {
            return Verdict::Ignore(None);
        };
        Verdict::Answer { message, to, lease, note }
    }

    fn nak(&self, request: &Message, address: Ipv4Addr) -> Verdict {
        let mut nak = Message::reply(Kind::Nak, request, self.me.address);
        nak.options.set(option::MESSAGE, b"address not available");
        let note = format!("{}: {address} is not for it", format_mac(&request.mac));
        let relayed = !request.giaddr.is_unspecified();
        // Always a broadcast: the address that the client believes to have may be another machine's.
        let to = if relayed { SocketAddrV4::new(request.giaddr, SERVER_PORT) } else { broadcast() };
        Verdict::Answer { message: Box::new(nak), to, lease: None, note }
    }

    /// The program for a machine; `Err` with a reason where there is none and somebody may wonder.
    fn program(&self, request: &Message, boot: Boot) -> Result<Program, Option<String>> {
        let class = request.vendor_class();
        let netboots = class.starts_with("PXEClient") || class.starts_with("HTTPClient") || request.is_ipxe();
        if !netboots {
            return Err(None);
        }
        let mac = format_mac(&request.mac);
        let is_http = request.architecture() == Some(Architecture::HTTP_X64);
        if boot == Boot::Local
            && (is_http || request.architecture() == Some(Architecture::BIOS))
            && !request.is_ipxe()
        {
            // A BIOS that hears of no boot file goes on to its disk. UEFI would go on to IPv6 and HTTP, for minutes,
            // so it gets GRUB, which starts the loader on the disk.
            return Err(Some(format!("{mac} is done and boots from its own disk")));
        }
        if request.is_ipxe() {
            // Whatever it runs on: iPXE speaks HTTP, and is past what Secure Boot would have stopped.
            return Ok(Program::Script(format!("{}/boot.ipxe", self.me.base)));
        }
        let missing = |what: &str| Err(Some(format!("{mac}: {what} is not in the --netboot directory")));
        match request.architecture() {
            Some(Architecture::BIOS) if self.me.boots_bios => Ok(Program::File("boot/amd64/undionly.kpxe")),
            Some(Architecture::BIOS) => missing("undionly.kpxe"),
            Some(Architecture::UEFI_X64 | Architecture::UEFI_EBC | Architecture::HTTP_X64)
                if !self.me.boots_uefi =>
            {
                missing("shimx64.efi or grubx64.efi")
            }
            Some(Architecture::UEFI_X64 | Architecture::UEFI_EBC) => {
                Ok(Program::File("boot/amd64/shimx64.efi"))
            }
            Some(Architecture::HTTP_X64) => {
                Ok(Program::Http(format!("{}/boot/amd64/shimx64.efi", self.me.base)))
            }
            Some(other) => Err(Some(format!("{mac}: {other} is not supported (x86 BIOS and x64 UEFI are)"))),
            None => Err(Some(format!("{mac}: it does not say what architecture it is (option 93)"))),
        }
    }

    fn put_program(&self, reply: &mut Message, request: &Message, program: &Program, as_proxy: bool) {
        let me = self.me.address;
        let name = match program {
            Program::File(name) => (*name).to_owned(),
            Program::Script(url) => url.clone(),
            Program::Http(url) => {
                // UEFI HTTP Boot takes an offer only when it calls itself HTTPClient, and the URL from option 67.
                reply.options.set(option::VENDOR_CLASS, b"HTTPClient");
                reply.options.set(option::BOOT_FILE, url.as_bytes());
                return;
            }
        };
        // Old ROMs read the fields, newer firmware the options; TFTP's server as text is what option 66 holds.
        reply.sname = me.to_string();
        if name.len() < 128 {
            reply.file = name.clone();
        }
        reply.options.set(option::TFTP_SERVER, me.to_string().into_bytes());
        reply.options.set(option::BOOT_FILE, name.into_bytes());
        if !as_proxy {
            // With option 60 in an ordinary lease, UEFI would look for a boot server that nobody asked for.
            return;
        }
        reply.options.set(option::VENDOR_CLASS, b"PXEClient");
        // A BIOS and iPXE take the file from the offer if told not to look for boot servers. Some UEFI firmware
        // ignores offers that say so; all of it asks port 4011 when option 43 is missing.
        let is_uefi = request.architecture().is_some_and(|arch| arch != Architecture::BIOS);
        if !is_uefi || request.is_ipxe() {
            reply.options.set(option::VENDOR_SPECIFIC, PXE_USE_BOOT_FILE);
        }
    }

    /// Addresses a reply. A client without an address could be sent a unicast frame only through a raw socket;
    /// all of them take broadcasts, as RFC 2131 lets servers do.
    fn send(&self, message: Message, request: &Message, note: String) -> Verdict {
        let to = if !request.giaddr.is_unspecified() {
            SocketAddrV4::new(request.giaddr, SERVER_PORT)
        } else if !request.ciaddr.is_unspecified() {
            SocketAddrV4::new(request.ciaddr, CLIENT_PORT)
        } else {
            broadcast()
        };
        Verdict::Answer { message: Box::new(message), to, lease: None, note }
    }
}

fn broadcast() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT)
}

fn describe(request: &Message, program: &Program) -> String {
    let firmware = match request.architecture() {
        Some(arch) if request.is_ipxe() => format!("iPXE on {arch}"),
        Some(arch) => arch.to_string(),
        None => "iPXE".to_owned(),
    };
    let program = match program {
        Program::File(name) => name,
        Program::Script(url) | Program::Http(url) => url.as_str(),
    };
    format!("{} ({firmware}) boots {program}", format_mac(&request.mac))
}
