//! DHCP as firmware, boot programs and relays speak it: a packet of each kind, its options byte by byte.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::Ipv4Addr;

use dhcproto::v4::relay::{RelayAgentInformation, RelayInfo};
use dhcproto::{Encodable, Encoder};
use ezio_contract::Mac;
use ezio_netproto::dhcp::{Architecture, Kind, Message, option};

/// A DISCOVER with these bytes behind its message type.
fn discover(options: &[u8]) -> Message {
    Message::decode(&bytes(&[&[53, 1, 1], options].concat())).unwrap()
}

fn bytes(options: &[u8]) -> Vec<u8> {
    let mut bytes = Message::request(Kind::Discover, 1, Mac::new([2, 0, 0, 0, 0, 1])).encode();
    bytes.truncate(240);
    bytes.extend(options);
    bytes
}

fn option_of(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, value.len() as u8], value].concat()
}

fn architectures(class: &str, listed: &[u8]) -> Vec<u16> {
    let mut options = option_of(60, class.as_bytes());
    if !listed.is_empty() {
        options.extend(option_of(93, listed));
    }
    discover(&options).architectures().iter().map(|architecture| architecture.0).collect()
}

#[test]
fn a_client_of_several_architectures_names_its_first_choice_first() {
    assert_eq!(architectures("PXEClient:Arch:00007:UNDI:003016", &[0, 7]), [7]);
    assert_eq!(architectures("PXEClient:Arch:00007:UNDI:003016", &[0, 0, 0, 6, 0, 7]), [7, 0, 6]);
    assert_eq!(architectures("PXEClient:Arch:00000:UNDI:002001", &[0, 7, 0, 0]), [0, 7]);
    assert_eq!(architectures("PXEClient:Arch:00009:UNDI:003016", &[0, 9, 0, 7, 0, 6]), [9, 7, 6]);
    assert_eq!(architectures("PXEClient", &[0, 6, 0, 7]), [6, 7]);
    // Half an entry behind the last is no entry.
    assert_eq!(architectures("PXEClient", &[0, 7, 0]), [7]);
}

#[test]
fn of_several_architectures_those_of_this_boot_count() {
    assert_eq!(architectures("PXEClient:Arch:00007:UNDI:003016", &[0, 16, 0, 7]), [7]);
    assert_eq!(architectures("HTTPClient:Arch:00016:UNDI:003016", &[0, 7, 0, 16, 0, 19]), [16, 19]);
    // A client that contradicts itself is taken at its number.
    assert_eq!(architectures("HTTPClient", &[0, 7]), [7]);
}

#[test]
fn a_client_without_option_93_says_it_in_its_class_or_is_a_bios() {
    assert_eq!(architectures("PXEClient:Arch:00016:UNDI:003001", &[]), [16]);
    assert_eq!(architectures("PXEClient", &[]), [0]);
    assert_eq!(architectures("PXEClient:Arch:what:UNDI", &[]), [0]);
    assert_eq!(architectures("HTTPClient", &[]), [0; 0]);
    assert_eq!(architectures("udhcp 1.35.0", &[]), [0; 0]);
}

#[test]
fn ipxe_and_gpxe_are_told_apart_however_they_write_their_class() {
    let eb = [175, 3, 1, 1, 1];
    let is_ipxe = |class: &[u8], more: &[u8]| {
        let mut options = if class.is_empty() { Vec::new() } else { option_of(77, class) };
        options.extend(more);
        discover(&options).is_ipxe()
    };
    for class in [&b"iPXE"[..], b"iPXE\0", b"\x04iPXE", b"\x03lab\x04iPXE", b"\x04iPXE\x03lab"] {
        assert!(is_ipxe(class, &[]), "{}", class.escape_ascii());
        assert!(is_ipxe(class, &eb), "{}", class.escape_ascii());
    }
    for class in [&b"gPXE"[..], b"\x04gPXE", b"gPXE\0"] {
        assert!(!is_ipxe(class, &eb), "{}", class.escape_ascii());
    }
    assert!(is_ipxe(b"", &eb));
    assert!(!is_ipxe(b"", &[]));
    assert!(!is_ipxe(b"lab", &[]));
    // A list that does not add up is text.
    assert_eq!(discover(&option_of(77, b"\x04iPX")).options.user_classes(), ["\u{4}iPX"]);
}

#[test]
fn what_is_broken_does_not_hide_the_rest() {
    let class = option_of(60, b"PXEClient");
    for tail in [
        &[][..],             // no end mark
        &[0, 0, 0],          // padding instead
        &[255],              // as it should be
        &[255, 97, 9, 9],    // something behind the end
        &[97, 17, 0, 1],     // a last option that is cut off
        &[97],               // and one without its length
        &[61, 0, 0, 0, 255], // an empty option, padding, the end
        &[53, 1, 1],         // an option for the second time
    ] {
        let message = discover(&[&[0, 0], class.as_slice(), tail].concat());
        assert_eq!(message.vendor_class(), "PXEClient", "{tail:?}");
        assert_eq!((message.kind, message.machine_uuid()), (Kind::Discover, None), "{tail:?}");
    }
}

#[test]
fn options_that_came_twice_are_read_from_their_start() {
    let uuid = option_of(97, &[0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    let message = discover(&[uuid.as_slice(), &uuid, &[51, 4, 0, 0, 0, 9, 51, 4, 0, 0, 0, 9]].concat());
    assert_eq!(message.machine_uuid(), Some([7; 16]));
    assert_eq!(message.options.u32(option::LEASE_TIME), Some(9));
}

#[test]
fn fields_that_hold_options_are_read_behind_the_options_even_where_those_lack_their_end() {
    for overload in 0..=3u8 {
        let mut packet = bytes(&[53, 1, 1, 52, 1, overload]);
        packet[108..117].copy_from_slice(&[77, 4, b'i', b'P', b'X', b'E', 255, 0, 0]);
        packet[44..50].copy_from_slice(&[12, 2, b'p', b'c', 0, 97]);
        let message = Message::decode(&packet).unwrap();
        let (file, sname) = (overload & 1 != 0, overload & 2 != 0);
        assert_eq!((message.is_ipxe(), message.file.is_empty()), (file, file), "{overload}");
        assert_eq!(message.options.text(option::HOST_NAME).is_some(), sname, "{overload}");
        assert_eq!(message.sname.is_empty(), sname, "{overload}");
    }
}

#[test]
fn names_in_options_and_fields_end_where_they_end() {
    for name in
        [&b"ezio.conf"[..], b"ezio.conf\0", b"ezio.conf\0\0\0", b"ezio.conf\xff", b"ezio.conf\0\xffB\x09"]
    {
        let mut message = discover(&[option_of(67, name), option_of(66, b"10.0.0.1\0\xff")].concat());
        assert_eq!(message.boot_file().as_deref(), Some("ezio.conf"), "{}", name.escape_ascii());
        assert_eq!(message.boot_server(), Some(Ipv4Addr::new(10, 0, 0, 1)));
        let mut packet = bytes(&[53, 1, 1]);
        packet[108..108 + name.len()].copy_from_slice(name);
        message = Message::decode(&packet).unwrap();
        assert_eq!(message.boot_file().as_deref(), Some("ezio.conf"), "{}", name.escape_ascii());
    }
    // A field that is full to its last byte has no NUL.
    let mut packet = bytes(&[53, 1, 1]);
    packet[108..236].fill(b'x');
    assert_eq!(Message::decode(&packet).unwrap().file, "x".repeat(128));
}

#[test]
fn what_a_relay_said_is_read_and_comes_back_last_as_it_was() {
    let mut said = RelayAgentInformation::default();
    said.insert(RelayInfo::AgentCircuitId(b"port 7".to_vec()));
    said.insert(RelayInfo::LinkSelection(Ipv4Addr::new(10, 9, 0, 0)));
    said.insert(RelayInfo::ServerIdentifierOverride(Ipv4Addr::new(10, 9, 0, 1)));
    let mut value = Vec::new();
    said.encode(&mut Encoder::new(&mut value)).unwrap();
    let request = discover(&[option_of(82, &value), option_of(118, &[10, 8, 0, 0])].concat());
    assert_eq!(request.options.of_relay(5), Some(&[10, 9, 0, 0][..]));
    assert_eq!(request.options.of_relay(11), Some(&[10, 9, 0, 1][..]));
    assert_eq!(request.options.of_relay(1), Some(&b"port 7"[..]));
    assert_eq!(request.options.of_relay(2), None);

    let mut reply = Message::reply(Kind::Offer, &request, Ipv4Addr::new(10, 0, 0, 1));
    reply.options.set(150, [9; 200]);
    reply.options.set(175, [1]);
    let written = reply.encode();
    assert!(written.ends_with(&[option_of(82, &value), vec![255]].concat()), "{written:?}");
    assert_eq!(Message::decode(&written).unwrap().options.get(118), Some(&[10, 8, 0, 0][..]));
}

#[test]
fn a_relays_option_that_does_not_add_up_still_comes_back_as_it_was() {
    let request = discover(&option_of(82, &[1, 9, b'x']));
    assert_eq!(request.options.of_relay(5), None);
    let reply = Message::reply(Kind::Offer, &request, Ipv4Addr::LOCALHOST);
    assert_eq!(reply.options.get(82), Some(&[1, 9, b'x'][..]));
}

#[test]
fn architectures_say_how_they_boot() {
    assert!(Architecture::HTTP_X64.is_http() && Architecture::HTTP_ARM64.is_http());
    assert!(!Architecture::UEFI_X64.is_http() && !Architecture::UEFI_ARM64.is_http());
}
