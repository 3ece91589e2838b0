//! Answers to packets as firmware sends them (tests/packets: recorded from QEMU's SeaBIOS with iPXE and from OVMF),
//! and the rules around them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ezio_contract::Mac;
use ezio_netproto::dhcp::{Kind, Message, option};
use proptest::prelude::*;

use super::answer::{Me, Port, Responder, Verdict};
use super::full::Full;
use super::mode::Pool;
use super::program::{Chain, Programs};
use super::subnet::subnets;
use crate::boot::Boot;

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);

fn me() -> Me {
    let chains = vec![Chain::Bios, Chain::X64, Chain::Arm64];
    Me { address: SERVER, programs: Programs { base: "http://10.0.0.1:8080".into(), chains } }
}

pub(super) fn proxy() -> Responder {
    Responder::new(me(), None)
}

fn full() -> Responder {
    full_with(&["10.0.0.50-10.0.0.60"])
}

pub(super) fn full_with(ranges: &[&str]) -> Responder {
    full_of(ranges, Some(SERVER))
}

pub(super) fn full_of(ranges: &[&str], router: Option<Ipv4Addr>) -> Responder {
    let pool = Pool {
        ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        router,
        dns: vec![SERVER],
        lease_time: Duration::from_secs(3600),
    };
    let subnets = subnets(&pool, SERVER, Ipv4Addr::new(255, 255, 255, 0)).unwrap();
    Responder::new(me(), Some(Full::new(SERVER, subnets, &pool, Vec::new())))
}

pub(super) fn packet(name: &str) -> Message {
    let path = format!("{}/tests/packets/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
    let bytes: Vec<u8> = text
        .as_bytes()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect();
    Message::decode(&bytes).unwrap()
}

pub(super) fn pxe(arch: u16) -> Message {
    let mut message = Message::request(Kind::Discover, 7, Mac::new([2, 0, 0, 0, 0, 9]));
    message.options.set(option::VENDOR_CLASS, format!("PXEClient:Arch:{arch:05}:UNDI:003016").into_bytes());
    message.options.set(option::ARCHITECTURE, arch.to_be_bytes());
    message.options.set(option::MACHINE_ID, [0; 17]);
    message
}

pub(super) fn answered(verdict: Verdict) -> (Message, SocketAddrV4) {
    match verdict {
        // What a client reads is what counts.
        Verdict::Answer { message, to, .. } => (Message::decode(&message.encode()).unwrap(), to),
        other => panic!("{other:?}"),
    }
}

fn offer(responder: &mut Responder, request: &Message) -> Message {
    let (message, to) = answered(responder.answer(request, Port::Server, NOBODY, Boot::Deploy, 0));
    assert_eq!(to, "255.255.255.255:68".parse().unwrap());
    assert_eq!((message.kind, message.xid, message.mac), (Kind::Offer, request.xid, request.mac));
    assert_eq!(message.options.address(option::SERVER_ID), Some(SERVER));
    message
}

/// Why a machine gets no answer from a proxy.
fn refusal(request: &Message) -> String {
    match proxy().answer(request, Port::Server, NOBODY, Boot::Deploy, 0) {
        Verdict::Ignore(Some(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bios_takes_ipxe_from_the_proxys_offer() {
    let reply = offer(&mut proxy(), &pxe(0));
    assert!(reply.yiaddr.is_unspecified());
    assert_eq!(reply.siaddr, SERVER);
    assert_eq!(reply.file, "boot/amd64/undionly.kpxe");
    assert_eq!(reply.vendor_class(), "PXEClient");
    assert_eq!(reply.options.get(option::VENDOR_SPECIFIC), Some(&[6, 1, 8, 255][..]));
    assert_eq!(reply.options.get(option::MACHINE_ID), Some(&[0; 17][..]));
}

#[test]
fn recorded_ipxe_gets_the_script_from_proxy_and_server() {
    let discover = packet("ipxe-bios-discover");
    assert!(discover.is_ipxe());
    let reply = offer(&mut proxy(), &discover);
    assert_eq!(reply.boot_file().as_deref(), Some("http://10.0.0.1:8080/boot.ipxe"));
    assert_eq!(reply.options.get(option::VENDOR_SPECIFIC), Some(&[6, 1, 8, 255][..]));
    let reply = offer(&mut full(), &discover);
    assert_eq!(reply.boot_file().as_deref(), Some("http://10.0.0.1:8080/boot.ipxe"));
    assert_eq!(reply.yiaddr, Ipv4Addr::new(10, 0, 0, 50));
    assert_eq!(reply.options.get(option::VENDOR_SPECIFIC), None);
}

#[test]
fn recorded_ovmf_gets_shim_by_way_of_port_4011() {
    let discover = packet("ovmf-discover");
    let mut proxy = proxy();
    let reply = offer(&mut proxy, &discover);
    assert_eq!((reply.file.as_str(), reply.vendor_class().as_str()), ("boot/amd64/shimx64.efi", "PXEClient"));
    assert_eq!(reply.options.get(option::VENDOR_SPECIFIC), None, "or firmware would not ask port 4011");
    let mut request = Message { kind: Kind::Request, ..discover };
    request.ciaddr = Ipv4Addr::new(10, 0, 0, 77);
    let source = SocketAddrV4::new(request.ciaddr, 4011);
    let (ack, to) = answered(proxy.answer(&request, Port::BootServer, source, Boot::Deploy, 0));
    assert_eq!((ack.kind, to, ack.siaddr), (Kind::Ack, source, SERVER));
    assert_eq!((ack.file.as_str(), ack.vendor_class().as_str()), ("boot/amd64/shimx64.efi", "PXEClient"));
    assert_eq!(ack.options.get(option::CLIENT_ID), request.options.get(option::CLIENT_ID));
}

#[test]
fn recorded_ovmf_is_leased_an_address_with_its_program() {
    let mut server = full();
    let discover = packet("ovmf-discover");
    let reply = offer(&mut server, &discover);
    assert_eq!((reply.file.as_str(), reply.siaddr), ("boot/amd64/shimx64.efi", SERVER));
    assert_eq!(reply.options.get(option::VENDOR_CLASS), None, "or it would look for a boot server");
    let mut request = Message { kind: Kind::Request, ..discover };
    request.options.set_addresses(option::REQUESTED_ADDRESS, &[reply.yiaddr]);
    request.options.set_addresses(option::SERVER_ID, &[SERVER]);
    let verdict = server.answer(&request, Port::Server, NOBODY, Boot::Deploy, 5);
    let Verdict::Answer { lease: Some(lease), .. } = &verdict else { panic!("{verdict:?}") };
    assert_eq!((lease.address, lease.expires), (reply.yiaddr, 3605));
    let (ack, _) = answered(verdict);
    assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, reply.yiaddr));
    assert_eq!(ack.options.u32(option::LEASE_TIME), Some(3600));
    assert_eq!(ack.options.address(option::SUBNET_MASK), Some(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!(ack.options.address(option::ROUTER), Some(SERVER));
}

#[test]
fn http_boot_gets_a_url_and_its_own_class_back() {
    let mut request = pxe(16);
    request.options.set(option::VENDOR_CLASS, b"HTTPClient:Arch:00016:UNDI:003001");
    for responder in [&mut proxy(), &mut full()] {
        let reply = offer(responder, &request);
        assert_eq!(reply.vendor_class(), "HTTPClient");
        assert_eq!(reply.boot_file().as_deref(), Some("http://10.0.0.1:8080/boot/amd64/shimx64.efi"));
    }
}

#[test]
fn names_of_boot_files_end_with_a_nul_for_firmware_that_reads_on() {
    for arch in [0, 7] {
        for mut responder in [proxy(), full()] {
            let reply = offer(&mut responder, &pxe(arch));
            for code in [option::TFTP_SERVER, option::BOOT_FILE] {
                assert_eq!(reply.options.get(code).unwrap().last(), Some(&0), "{arch}");
            }
            let name = reply.options.get(option::BOOT_FILE).unwrap();
            assert_eq!(name, [reply.file.as_bytes(), &[0]].concat());
            assert_eq!(reply.boot_server(), Some(SERVER));
        }
    }
}

#[test]
fn of_several_architectures_the_first_that_is_served_counts() {
    let offered = |class: &str, list: &[u8]| {
        let mut request = pxe(7);
        request.options.set(option::VENDOR_CLASS, class.as_bytes());
        request.options.set(option::ARCHITECTURE, list);
        offer(&mut proxy(), &request).boot_file().unwrap()
    };
    assert_eq!(offered("PXEClient:Arch:00006:UNDI:003016", &[0, 6, 0, 7]), "boot/amd64/shimx64.efi");
    assert_eq!(offered("PXEClient:Arch:00009:UNDI:003016", &[0, 9, 0, 7]), "boot/amd64/shimx64.efi");
    assert_eq!(offered("PXEClient:Arch:00007:UNDI:003016", &[0, 16, 0, 7]), "boot/amd64/shimx64.efi");
    assert_eq!(offered("PXEClient:Arch:00000:UNDI:002001", &[0, 0, 0, 7]), "boot/amd64/undionly.kpxe");
    assert_eq!(offered("PXEClient:Arch:00007:UNDI:003016", &[0, 0, 0, 7]), "boot/amd64/shimx64.efi");
    let url = "http://10.0.0.1:8080/boot/amd64/shimx64.efi";
    assert_eq!(offered("HTTPClient:Arch:00016:UNDI:003001", &[0, 7, 0, 16]), url);
}

#[test]
fn gpxe_is_given_ipxe_for_it_cannot_run_ipxes_scripts() {
    for class in [&b"gPXE"[..], b"\x04gPXE"] {
        let mut request = pxe(0);
        request.options.set(option::USER_CLASS, class);
        request.options.set(option::IPXE, [1, 1, 1]);
        assert_eq!(offer(&mut full(), &request).file, "boot/amd64/undionly.kpxe");
    }
}

#[test]
fn a_bios_from_before_option_93_is_a_bios() {
    let mut request = Message::request(Kind::Discover, 7, Mac::new([2; 6]));
    request.options.set(option::VENDOR_CLASS, b"PXEClient");
    assert_eq!(offer(&mut proxy(), &request).file, "boot/amd64/undionly.kpxe");
}

#[test]
fn uefi_of_32_bits_hears_nothing_and_the_log_says_why() {
    for (class, arch) in [("PXEClient", 6), ("HTTPClient", 15)] {
        let mut request = pxe(arch);
        request.options.set(option::VENDOR_CLASS, format!("{class}:Arch:{arch:05}:UNDI:003016").into_bytes());
        let why = refusal(&request);
        assert!(why.contains("02:00:00:00:00:09: IA32 UEFI") && why.contains("32 bits"), "{why}");
    }
}

#[test]
fn arm64_gets_its_own_chain_by_pxe_and_by_http() {
    for mut responder in [proxy(), full()] {
        assert_eq!(offer(&mut responder, &pxe(11)).file, "boot/arm64/shimaa64.efi");
        let mut request = pxe(19);
        request.options.set(option::VENDOR_CLASS, b"HTTPClient:Arch:00019:UNDI:003001");
        let reply = offer(&mut responder, &request);
        assert_eq!(reply.boot_file().as_deref(), Some("http://10.0.0.1:8080/boot/arm64/shimaa64.efi"));
        assert_eq!(reply.vendor_class(), "HTTPClient");
    }
}

#[test]
fn http_boot_that_asks_port_4011_gets_its_url_there_too() {
    let mut request = Message { kind: Kind::Request, ..pxe(16) };
    request.options.set(option::VENDOR_CLASS, b"HTTPClient:Arch:00016:UNDI:003001");
    request.ciaddr = Ipv4Addr::new(10, 0, 0, 77);
    let source = SocketAddrV4::new(request.ciaddr, 68);
    let (ack, to) = answered(proxy().answer(&request, Port::BootServer, source, Boot::Deploy, 0));
    assert_eq!((ack.vendor_class().as_str(), to), ("HTTPClient", source));
    assert_eq!(ack.boot_file().as_deref(), Some("http://10.0.0.1:8080/boot/amd64/shimx64.efi"));
}

#[test]
fn an_architecture_without_its_files_is_named_in_the_log() {
    let programs = Programs { base: String::new(), chains: vec![Chain::X64] };
    let mut proxy = Responder::new(Me { address: SERVER, programs }, None);
    for (arch, file) in [(0, "undionly.kpxe"), (11, "shimaa64.efi and grubaa64.efi")] {
        let verdict = proxy.answer(&pxe(arch), Port::Server, NOBODY, Boot::Deploy, 0);
        assert!(matches!(&verdict, Verdict::Ignore(Some(why)) if why.contains(file)), "{verdict:?}");
    }
}

#[test]
fn a_proxy_keeps_out_of_what_is_not_network_boot() {
    let mut proxy = proxy();
    let ask =
        |proxy: &mut Responder, message: &Message, boot| proxy.answer(message, Port::Server, NOBODY, boot, 0);
    let laptop = Message::request(Kind::Discover, 1, Mac::new([1; 6]));
    assert_eq!(ask(&mut proxy, &laptop, Boot::Deploy), Verdict::Ignore(None));
    assert_eq!(
        ask(&mut proxy, &Message { kind: Kind::Request, ..pxe(0) }, Boot::Deploy),
        Verdict::Ignore(None)
    );
    for arch in [6, 10, 99] {
        assert!(matches!(ask(&mut proxy, &pxe(arch), Boot::Deploy), Verdict::Ignore(Some(_))), "{arch}");
    }
    // A reply that comes back is nobody's request.
    let mut reply = Message::reply(Kind::Offer, &pxe(0), SERVER);
    reply.options.set(option::VENDOR_CLASS, b"PXEClient");
    assert_eq!(ask(&mut proxy, &reply, Boot::Deploy), Verdict::Ignore(None));
}

#[test]
fn a_bios_that_is_done_is_told_of_no_program() {
    let verdict = proxy().answer(&pxe(0), Port::Server, NOBODY, Boot::Local, 0);
    assert!(matches!(verdict, Verdict::Ignore(Some(_))));
    let (reply, _) = answered(full().answer(&pxe(0), Port::Server, NOBODY, Boot::Local, 0));
    assert!(!reply.yiaddr.is_unspecified());
    assert_eq!((reply.boot_file(), reply.siaddr), (None, Ipv4Addr::UNSPECIFIED));
}

#[test]
fn uefi_and_ipxe_that_are_done_get_a_program_that_starts_the_disk() {
    let mut http = pxe(16);
    http.options.set(option::VENDOR_CLASS, b"HTTPClient:Arch:00016:UNDI:003001");
    for request in [packet("ovmf-discover"), packet("ipxe-bios-discover"), http] {
        for mut responder in [proxy(), full()] {
            let (reply, _) = answered(responder.answer(&request, Port::Server, NOBODY, Boot::Local, 0));
            assert!(reply.boot_file().is_some());
        }
    }
}

#[test]
fn init_learns_its_boot_server() {
    let mut request = Message::request(Kind::Discover, 7, Mac::new([2; 6]));
    request.options.set(option::VENDOR_CLASS, b"ezio");
    let reply = offer(&mut proxy(), &request);
    assert!(reply.yiaddr.is_unspecified());
    assert_eq!(reply.boot_server(), Some(SERVER));
    let reply = offer(&mut full(), &request);
    assert_eq!((reply.yiaddr, reply.boot_server()), (Ipv4Addr::new(10, 0, 0, 50), Some(SERVER)));
}

#[test]
fn an_address_of_another_network_is_refused_and_a_renewal_goes_by_unicast() {
    let mut server = full();
    let mut request = Message::request(Kind::Request, 7, Mac::new([2; 6]));
    request.options.set_addresses(option::REQUESTED_ADDRESS, &[Ipv4Addr::new(192, 168, 0, 5)]);
    let (nak, to) = answered(server.answer(&request, Port::Server, NOBODY, Boot::Deploy, 0));
    assert_eq!((nak.kind, *to.ip()), (Kind::Nak, Ipv4Addr::BROADCAST));
    let mut renewal = Message::request(Kind::Request, 8, Mac::new([2; 6]));
    renewal.ciaddr = Ipv4Addr::new(10, 0, 0, 55);
    let (ack, to) = answered(server.answer(&renewal, Port::Server, NOBODY, Boot::Deploy, 0));
    assert_eq!((ack.kind, ack.yiaddr, to), (Kind::Ack, renewal.ciaddr, "10.0.0.55:68".parse().unwrap()));
    // It took another server's offer: silence.
    request.options.set_addresses(option::SERVER_ID, &[Ipv4Addr::new(10, 0, 0, 2)]);
    assert_eq!(server.answer(&request, Port::Server, NOBODY, Boot::Deploy, 0), Verdict::Ignore(None));
}

#[test]
fn a_released_address_is_free_at_once() {
    let mut server = full();
    let request = pxe(0);
    let address = offer(&mut server, &request).yiaddr;
    let release = Message { kind: Kind::Release, ..pxe(0) };
    let verdict = server.answer(&release, Port::Server, NOBODY, Boot::Deploy, 0);
    assert!(matches!(verdict, Verdict::Released(lease) if lease.address == address));
}

proptest! {
    /// Options of any kind, from anybody: an answer that a client can read, or none.
    #[test]
    fn no_request_confuses_the_server(
        kind in 1u8..9, addresses: [u32; 2], relayed: bool, at_boot_server: bool, done: bool,
        options in proptest::collection::btree_map(
            prop_oneof![Just(option::RELAY_AGENT), Just(option::SUBNET_SELECTION), Just(option::ARCHITECTURE), 1u8..255],
            proptest::collection::vec(any::<u8>(), 0..40), 0..6),
    ) {
        let mut request = pxe(7);
        for (code, value) in options {
            request.options.set(code, value);
        }
        let mut bytes = request.encode();
        // The value of option 53, which comes first.
        bytes[242] = kind;
        let mut request = Message::decode(&bytes).unwrap();
        request.ciaddr = addresses[0].into();
        request.giaddr = if relayed { addresses[1].into() } else { Ipv4Addr::UNSPECIFIED };
        let port = if at_boot_server { Port::BootServer } else { Port::Server };
        let boot = if done { Boot::Local } else { Boot::Deploy };
        for mut responder in [proxy(), full()] {
            if let Verdict::Answer { message, .. } = responder.answer(&request, port, NOBODY, boot, 0) {
                let read = Message::decode(&message.encode()).unwrap();
                prop_assert_eq!((read.xid, read.mac, read.giaddr), (request.xid, request.mac, request.giaddr));
                prop_assert_eq!(read.options.get(option::RELAY_AGENT), request.options.get(option::RELAY_AGENT));
            }
        }
    }
}
