//! Machines in other networks than the server's: behind relays, and renewing through routers.

use std::net::{Ipv4Addr, SocketAddrV4};

use ezio_contract::Mac;
use ezio_netproto::dhcp::{Kind, Message, option};

use super::answer::{Port, Responder, Verdict};
use super::tests::{NOBODY, SERVER, answered, full_with, packet, proxy, pxe};
use crate::boot::Boot;

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const OTHER_RELAY: Ipv4Addr = Ipv4Addr::new(10, 2, 3, 1);
/// Circuit 7, as a relay may say it; not in order of its codes, which is how it must come back.
const CIRCUIT: [u8; 9] = [2, 3, b'p', b'o', b'r', 1, 2, 0, 7];

/// Three networks: the server's own, and two behind relays.
fn server() -> Responder {
    full_with(&[
        "10.0.0.50-10.0.0.60",
        "10.1.0.50-10.1.0.60,mask=24,router=10.1.0.1",
        "10.2.2.50-10.2.3.60,mask=23,router=10.2.2.1",
    ])
}

fn relayed(mut request: Message, relay: Ipv4Addr, said: &[u8]) -> Message {
    request.giaddr = relay;
    request.hops = 1;
    if !said.is_empty() {
        request.options.set(option::RELAY_AGENT, said);
    }
    request
}

fn suboption(code: u8, address: [u8; 4]) -> Vec<u8> {
    [&[code, 4], address.as_slice()].concat()
}

fn ask(responder: &mut Responder, request: &Message) -> Verdict {
    let source = if request.giaddr.is_unspecified() { NOBODY } else { SocketAddrV4::new(request.giaddr, 67) };
    responder.answer(request, Port::Server, source, Boot::Deploy, 0)
}

/// The reply to a relay, from its bytes.
fn reply_by(responder: &mut Responder, request: &Message) -> Message {
    let (reply, to) = answered(ask(responder, request));
    assert_eq!((reply.giaddr, to), (request.giaddr, SocketAddrV4::new(request.giaddr, 67)));
    assert_eq!(reply.options.get(option::RELAY_AGENT), request.options.get(option::RELAY_AGENT));
    reply
}

/// Address, mask, broadcast address and router.
fn network(reply: &Message) -> [String; 4] {
    let one = |code| reply.options.address(code).unwrap().to_string();
    [reply.yiaddr.to_string(), one(option::SUBNET_MASK), one(option::BROADCAST), one(option::ROUTER)]
}

/// The REQUEST of a machine that was offered this.
fn taking(offer: &Message, request: &Message) -> Message {
    let mut taking = Message { kind: Kind::Request, ..request.clone() };
    taking.options.set_addresses(option::REQUESTED_ADDRESS, &[offer.yiaddr]);
    taking.options.set_addresses(option::SERVER_ID, &[offer.options.address(option::SERVER_ID).unwrap()]);
    taking
}

#[test]
fn each_relays_machines_get_addresses_of_their_own_network() {
    let mut server = server();
    let request = relayed(packet("ovmf-discover"), RELAY, &CIRCUIT);
    let offer = reply_by(&mut server, &request);
    assert_eq!(network(&offer), ["10.1.0.50", "255.255.255.0", "10.1.0.255", "10.1.0.1"]);
    assert_eq!((offer.file.as_str(), offer.siaddr), ("boot/amd64/shimx64.efi", SERVER));
    let ack = reply_by(&mut server, &taking(&offer, &request));
    assert_eq!((ack.kind, network(&ack)), (Kind::Ack, network(&offer)));
    let other = reply_by(&mut server, &relayed(pxe(0), OTHER_RELAY, &[]));
    assert_eq!(network(&other), ["10.2.2.50", "255.255.254.0", "10.2.3.255", "10.2.2.1"]);
    let (own, _) = answered(ask(&mut server, &Message { mac: Mac::new([2; 6]), ..pxe(0) }));
    assert_eq!(network(&own), ["10.0.0.50", "255.255.255.0", "10.0.0.255", "10.0.0.1"]);
}

#[test]
fn what_the_relay_said_comes_back_last_and_as_it_was() {
    let request = relayed(pxe(7), RELAY, &CIRCUIT);
    for mut responder in [server(), proxy()] {
        let Verdict::Answer { message, .. } = ask(&mut responder, &request) else { panic!() };
        let written = message.encode();
        let end = [&[82, 9], CIRCUIT.as_slice(), &[255]].concat();
        let padding = written.iter().rev().take_while(|byte| **byte == 0).count();
        assert!(written[..written.len() - padding].ends_with(&end), "{written:?}");
    }
}

#[test]
fn the_network_that_a_relay_or_machine_selects_counts_more_than_the_relays_own() {
    let address = |said: &[u8], asked: Option<[u8; 4]>, relay| {
        let mut request = relayed(pxe(0), relay, said);
        if let Some(asked) = asked {
            request.options.set(option::SUBNET_SELECTION, asked);
        }
        let (reply, _) = answered(ask(&mut server(), &request));
        assert_eq!(reply.options.get(option::SUBNET_SELECTION), asked.as_ref().map(|a| a.as_slice()));
        reply.yiaddr.to_string()
    };
    let link = suboption(5, [10, 2, 2, 0]);
    assert_eq!(address(&link, None, RELAY), "10.2.2.50");
    assert_eq!(address(&[CIRCUIT.as_slice(), &link].concat(), None, RELAY), "10.2.2.50");
    assert_eq!(address(&link, Some([10, 1, 0, 0]), RELAY), "10.2.2.50");
    assert_eq!(address(&[], Some([10, 2, 2, 0]), RELAY), "10.2.2.50");
    assert_eq!(address(&[], Some([10, 2, 2, 0]), Ipv4Addr::UNSPECIFIED), "10.2.2.50");
    // A selection of nothing selects nothing.
    assert_eq!(address(&suboption(5, [0; 4]), Some([0; 4]), RELAY), "10.1.0.50");
    // A relay with an address outside of its machines' network.
    assert_eq!(address(&link, None, Ipv4Addr::new(192, 168, 9, 9)), "10.2.2.50");
}

#[test]
fn a_network_without_a_range_gets_no_answer_and_one_line() {
    let mut server = server();
    let stranger = relayed(pxe(7), Ipv4Addr::new(10, 9, 0, 1), &[]);
    let Verdict::Ignore(Some(why)) = ask(&mut server, &stranger) else { panic!("it was answered") };
    assert!(why.contains("relay 10.9.0.1") && why.contains("--dhcp-range"), "{why}");
    assert_eq!(ask(&mut server, &stranger), Verdict::Ignore(None));
    let request = Message { kind: Kind::Request, ..stranger.clone() };
    assert_eq!(ask(&mut server, &request), Verdict::Ignore(None));
    let selected = relayed(pxe(7), RELAY, &suboption(5, [10, 8, 0, 0]));
    assert!(matches!(ask(&mut server, &selected), Verdict::Ignore(Some(why)) if why.contains("10.8.0.0")));
    assert!(matches!(ask(&mut server, &pxe(7)), Verdict::Answer { .. }));
    // Nor does the server's own network, where only others have ranges.
    let mut server = full_with_others_only();
    assert!(matches!(ask(&mut server, &pxe(7)), Verdict::Ignore(Some(why)) if why.contains("--dhcp-range")));
}

fn full_with_others_only() -> Responder {
    super::tests::full_of(&["10.1.0.50-10.1.0.60,mask=24,router=10.1.0.1"], None)
}

#[test]
fn a_relay_that_stands_in_for_the_server_is_named_as_the_server() {
    let mut server = server();
    let request = relayed(pxe(7), RELAY, &suboption(11, [10, 1, 0, 2]));
    let offer = reply_by(&mut server, &request);
    assert_eq!(offer.options.address(option::SERVER_ID), Some(RELAY));
    assert_eq!(offer.siaddr, SERVER, "files are still here");
    let ack = reply_by(&mut server, &taking(&offer, &request));
    assert_eq!((ack.kind, ack.options.address(option::SERVER_ID)), (Kind::Ack, Some(RELAY)));
    let mut of_another = taking(&offer, &request);
    of_another.options.set_addresses(option::SERVER_ID, &[Ipv4Addr::new(10, 1, 0, 3)]);
    assert_eq!(ask(&mut server, &of_another), Verdict::Ignore(None));
    // Who says so without a relay in between is no relay.
    let direct = Message { giaddr: Ipv4Addr::UNSPECIFIED, ..request };
    let (offer, _) = answered(ask(&mut server, &direct));
    assert_eq!(offer.options.address(option::SERVER_ID), Some(SERVER));
}

#[test]
fn a_machine_of_another_network_renews_by_unicast() {
    let mut server = server();
    let request = relayed(pxe(7), RELAY, &[]);
    let offer = reply_by(&mut server, &request);
    reply_by(&mut server, &taking(&offer, &request));
    let mut renewal = Message { kind: Kind::Request, ..pxe(7) };
    renewal.ciaddr = offer.yiaddr;
    let source = SocketAddrV4::new(offer.yiaddr, 68);
    let (ack, to) = answered(server.answer(&renewal, Port::Server, source, Boot::Deploy, 9));
    assert_eq!((ack.kind, to, network(&ack)), (Kind::Ack, source, network(&offer)));
    // Another machine's address is refused where the asking one hears it: a broadcast stays in the server's network.
    let thief = Message { mac: Mac::new([6; 6]), ..renewal.clone() };
    let (nak, to) = answered(server.answer(&thief, Port::Server, source, Boot::Deploy, 9));
    assert_eq!((nak.kind, to), (Kind::Nak, source));
    // It asks for its parameters only.
    let inform = Message { kind: Kind::Inform, ..renewal };
    let (ack, to) = answered(server.answer(&inform, Port::Server, source, Boot::Deploy, 9));
    assert_eq!((ack.yiaddr, ack.options.u32(option::LEASE_TIME), to), (Ipv4Addr::UNSPECIFIED, None, source));
    assert_eq!(ack.options.address(option::ROUTER), Some(Ipv4Addr::new(10, 1, 0, 1)));
}

#[test]
fn a_machine_that_moved_is_refused_its_old_address_and_gets_one_of_its_new_network() {
    let mut server = server();
    let (offer, _) = answered(ask(&mut server, &pxe(7)));
    let request = relayed(pxe(7), RELAY, &[]);
    let nak = reply_by(&mut server, &taking(&offer, &request));
    assert_eq!((nak.kind, nak.broadcast), (Kind::Nak, true), "the relay is to broadcast it");
    assert_eq!(network(&reply_by(&mut server, &request))[0], "10.1.0.50");
}

#[test]
fn a_proxy_answers_by_the_relay_what_to_boot_and_nothing_else() {
    let mut proxy = proxy();
    for (arch, file) in
        [(0, "boot/amd64/undionly.kpxe"), (7, "boot/amd64/shimx64.efi"), (11, "boot/arm64/shimaa64.efi")]
    {
        let reply = reply_by(&mut proxy, &relayed(pxe(arch), RELAY, &CIRCUIT));
        assert_eq!((reply.kind, reply.file.as_str(), reply.siaddr), (Kind::Offer, file, SERVER));
        // Files and port 4011 are here, whatever renewals would do.
        assert_eq!(reply.options.address(option::SERVER_ID), Some(SERVER));
        assert!(reply.yiaddr.is_unspecified());
        for code in [option::SUBNET_MASK, option::ROUTER, option::LEASE_TIME] {
            assert_eq!(reply.options.get(code), None, "{code}");
        }
    }
    let init = reply_by(&mut proxy, &{
        let mut request = relayed(Message::request(Kind::Discover, 7, Mac::new([2; 6])), RELAY, &[]);
        request.options.set(option::VENDOR_CLASS, b"ezio");
        request
    });
    assert_eq!(init.boot_server(), Some(SERVER));
}

#[test]
fn port_4011_answers_across_routers() {
    let mut request = Message { kind: Kind::Request, ..packet("ovmf-discover") };
    request.ciaddr = Ipv4Addr::new(10, 1, 0, 77);
    let source = SocketAddrV4::new(request.ciaddr, 4011);
    for mut responder in [server(), proxy()] {
        let verdict = responder.answer(&request, Port::BootServer, source, Boot::Deploy, 0);
        let (ack, to) = answered(verdict);
        assert_eq!((ack.kind, ack.file.as_str(), to), (Kind::Ack, "boot/amd64/shimx64.efi", source));
    }
}
