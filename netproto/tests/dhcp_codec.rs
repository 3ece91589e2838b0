//! The DHCP codec against `dhcproto`, which was written by others, and against garbage.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::Ipv4Addr;

use dhcproto::v4::{self, DhcpOption, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};
use ezio_contract::Mac;
use ezio_netproto::dhcp::message::DecodeError;
use ezio_netproto::dhcp::{Architecture, Kind, Message, Operation, option};
use proptest::prelude::*;

const MAC: Mac = Mac::new([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

fn theirs(bytes: &[u8]) -> v4::Message {
    v4::Message::decode(&mut Decoder::new(bytes)).unwrap()
}

fn discover() -> v4::Message {
    let mut message = v4::Message::new_with_id(
        0xdead_beef,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(10, 1, 0, 1),
        &MAC.octets(),
    );
    message.set_flags(v4::Flags::default().set_broadcast()).set_secs(7);
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(v4::MessageType::Discover));
    options.insert(DhcpOption::ClassIdentifier(b"PXEClient:Arch:00007:UNDI:003016".to_vec()));
    options.insert(DhcpOption::ClientSystemArchitecture(v4::Architecture::X64));
    options.insert(DhcpOption::ClientMachineIdentifier([&[0], [9u8; 16].as_slice()].concat()));
    options.insert(DhcpOption::UserClass(b"iPXE".to_vec()));
    message
}

fn encode_theirs(message: &v4::Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).unwrap();
    bytes
}

#[test]
fn reads_what_dhcproto_writes() {
    let message = Message::decode(&encode_theirs(&discover())).unwrap();
    assert_eq!(message.operation, Operation::Request);
    assert_eq!(message.kind, Kind::Discover);
    assert_eq!((message.xid, message.secs, message.broadcast), (0xdead_beef, 7, true));
    assert_eq!(message.giaddr, Ipv4Addr::new(10, 1, 0, 1));
    assert_eq!(message.mac, MAC);
    assert_eq!(message.architectures(), [Architecture::UEFI_X64]);
    assert_eq!(message.machine_uuid(), Some([9; 16]));
    assert!(message.is_ipxe());
}

#[test]
fn dhcproto_reads_what_we_write() {
    let request = Message::decode(&encode_theirs(&discover())).unwrap();
    let mut reply = Message::reply(Kind::Offer, &request, Ipv4Addr::new(10, 0, 0, 1));
    reply.yiaddr = Ipv4Addr::new(10, 0, 0, 9);
    reply.siaddr = Ipv4Addr::new(10, 0, 0, 1);
    reply.file = "shimx64.efi".into();
    reply.options.set_u32(option::LEASE_TIME, 3600);
    reply.options.set_addresses(option::DNS, &[Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(9, 9, 9, 9)]);
    let bytes = reply.encode();
    assert!(bytes.len() >= 300);
    let read = theirs(&bytes);
    assert_eq!(read.opcode(), v4::Opcode::BootReply);
    assert_eq!(read.opts().msg_type(), Some(v4::MessageType::Offer));
    assert_eq!(read.yiaddr(), Ipv4Addr::new(10, 0, 0, 9));
    assert_eq!(read.giaddr(), Ipv4Addr::new(10, 1, 0, 1));
    assert_eq!(read.chaddr(), MAC.octets());
    assert_eq!(read.fname_str().unwrap().unwrap().trim_end_matches(char::from(0)), "shimx64.efi");
    assert_eq!(read.opts().get(OptionCode::AddressLeaseTime), Some(&DhcpOption::AddressLeaseTime(3600)));
    let dns = vec![Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(9, 9, 9, 9)];
    assert_eq!(read.opts().get(OptionCode::DomainNameServer), Some(&DhcpOption::DomainNameServer(dns)));
    let id = [&[0], [9u8; 16].as_slice()].concat();
    assert_eq!(
        read.opts().get(OptionCode::ClientMachineIdentifier),
        Some(&DhcpOption::ClientMachineIdentifier(id))
    );
}

#[test]
fn options_overflow_into_file_and_server_name() {
    let mut bytes = Message::request(Kind::Discover, 1, MAC).encode();
    bytes[108..117].copy_from_slice(&[option::USER_CLASS, 4, b'i', b'P', b'X', b'E', 255, 0, 0]);
    bytes[44..49].copy_from_slice(&[option::HOST_NAME, 2, b'p', b'c', 255]);
    bytes.truncate(240);
    bytes.extend([option::MESSAGE_TYPE, 1, 1, option::OVERLOAD, 1, 3, 255]);
    let message = Message::decode(&bytes).unwrap();
    assert!(message.is_ipxe());
    assert_eq!(message.options.text(option::HOST_NAME).as_deref(), Some("pc"));
    assert_eq!((message.file.as_str(), message.sname.as_str()), ("", ""));
}

#[test]
fn refuses_what_is_not_dhcp_over_ethernet() {
    let good = Message::request(Kind::Discover, 1, MAC).encode();
    assert_eq!(Message::decode(&good[..239]), Err(DecodeError::Length(239)));
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Message::decode(&bytes)
    };
    assert_eq!(with(0, 3), Err(DecodeError::Operation(3)));
    assert_eq!(with(2, 17), Err(DecodeError::Hardware { kind: 1, length: 17 }));
    assert_eq!(with(236, 0), Err(DecodeError::Magic));
    assert_eq!(with(242, 99), Err(DecodeError::Kind));
}

proptest! {
    #[test]
    fn never_panics_on_garbage(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn never_panics_on_garbage_behind_a_good_head(
        tail in proptest::collection::vec(any::<u8>(), 0..300), overload in 0u8..4,
    ) {
        let mut bytes = Message::request(Kind::Discover, 1, MAC).encode();
        bytes.truncate(240);
        bytes.extend([option::MESSAGE_TYPE, 1, 1, option::OVERLOAD, 1, overload]);
        bytes.extend(tail);
        let message = Message::decode(&bytes);
        if let Ok(message) = message {
            let options = &message.options;
            let _ = (message.architectures(), message.machine_uuid(), message.boot_server());
            let _ = (message.is_ipxe(), options.user_classes(), options.of_relay(5), message.boot_file());
        }
    }

    #[test]
    fn reads_back_what_it_wrote(
        xid: u32, secs: u16, broadcast: bool, address: u32,
        options in proptest::collection::btree_map(
            (1u8..255).prop_filter("fixed", |c| ![option::MESSAGE_TYPE, option::OVERLOAD].contains(c)),
            proptest::collection::vec(any::<u8>(), 0..600), 0..5),
    ) {
        let mut message = Message::request(Kind::Request, xid, MAC);
        (message.secs, message.broadcast, message.ciaddr) = (secs, broadcast, address.into());
        for (code, value) in options {
            message.options.set(code, value);
        }
        let read = Message::decode(&message.encode()).unwrap();
        message.options.set(option::MESSAGE_TYPE, [Kind::Request as u8]);
        prop_assert_eq!(read, message);
    }
}
