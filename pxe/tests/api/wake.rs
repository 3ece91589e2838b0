//! Waking machines, as a card on this host's loopback hears it.

use std::net::UdpSocket;
use std::time::Duration;

use ezio_contract::report::Event;

use crate::room::{Image, Server};
use crate::{MAC, report, send};

#[tokio::test]
async fn a_magic_packet_goes_to_each_card_as_a_broadcast() {
    let card = UdpSocket::bind("0.0.0.0:0").unwrap();
    card.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = card.local_addr().unwrap().port().to_string();
    let image = Image::make("golden");
    let server = Server::start(&image, &["--wake-port", &port]);
    let started = Event::Started { version: "1".into(), firmware: "bios".into(), address: "10.0.0.9".into() };
    send(&server, &report("r", 0, started)).await;
    let said = server.command(&["wake", MAC]);
    assert!(said.contains(&format!("{MAC} at 127.255.255.255")), "{said}");
    let mut packet = [0; 200];
    let (length, _) = card.recv_from(&mut packet).unwrap();
    let mac = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
    let expected = [vec![255; 6], mac.repeat(16)].concat();
    assert_eq!(packet[..length], expected);
    assert!(server.command_error(&["wake", "nobody"]).contains("nobody"));
    assert!(server.command(&["wake", "all", "--json"]).contains("\"done\":true"));
}
