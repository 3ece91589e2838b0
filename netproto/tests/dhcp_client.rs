//! The DHCP client against a server that the test plays, with a clock of the test's own.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::Ipv4Addr;
use std::time::Duration;

use ezio_contract::Mac;
use ezio_contract::dhcp::INIT_VENDOR_CLASS;
use ezio_netproto::dhcp::client::{Client, Destination, Identity, Output};
use ezio_netproto::dhcp::{Kind, Message, option};

const MAC: Mac = Mac::new([2, 0, 0, 0, 0, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn client(want_boot_server: bool) -> Client {
    let identity = Identity {
        mac: MAC,
        vendor_class: INIT_VENDOR_CLASS.into(),
        want_boot_server,
        ..Identity::default()
    };
    Client::new(identity, 77, Duration::ZERO)
}

fn sent(output: Option<Output>) -> (Message, Destination) {
    match output {
        Some(Output::Send { packet, to }) => (Message::decode(&packet).unwrap(), to),
        other => panic!("expected a packet, got {other:?}"),
    }
}

fn answer(request: &Message, kind: Kind) -> Message {
    let mut reply = Message::reply(kind, request, SERVER);
    reply.yiaddr = ADDRESS;
    reply.options.set_addresses(option::SUBNET_MASK, &[Ipv4Addr::new(255, 255, 252, 0)]);
    reply.options.set_addresses(option::ROUTER, &[SERVER]);
    reply.options.set_u32(option::LEASE_TIME, 1000);
    reply
}

fn bind(client: &mut Client) -> Message {
    let (discover, to) = sent(client.poll(Duration::ZERO));
    assert_eq!((discover.kind, to), (Kind::Discover, Destination::Broadcast));
    assert!(discover.broadcast);
    assert_eq!(discover.options.get(option::CLIENT_ID).unwrap(), [1, 2, 0, 0, 0, 0, 1]);
    let offer = answer(&discover, Kind::Offer);
    let (request, _) = sent(client.receive(&offer.encode(), Duration::ZERO));
    assert_eq!(request.kind, Kind::Request);
    assert_eq!(request.options.address(option::REQUESTED_ADDRESS), Some(ADDRESS));
    assert_eq!(request.options.address(option::SERVER_ID), Some(SERVER));
    let ack = answer(&request, Kind::Ack);
    let Some(Output::Bound(lease)) = client.receive(&ack.encode(), Duration::ZERO) else { panic!() };
    assert_eq!((lease.address, lease.prefix, lease.router), (ADDRESS, 22, Some(SERVER)));
    request
}

#[test]
fn renews_then_rebinds_then_gives_the_lease_up() {
    let mut client = client(false);
    bind(&mut client);
    assert_eq!(client.wake_at(), secs(500));
    let (renew, to) = sent(client.poll(secs(500)));
    assert_eq!((renew.kind, renew.ciaddr, to), (Kind::Request, ADDRESS, Destination::Server(SERVER)));
    assert_eq!(renew.options.get(option::SERVER_ID), None);
    // Renewed: T1 counts anew.
    let renewed = client.receive(&answer(&renew, Kind::Ack).encode(), secs(510));
    assert!(matches!(renewed, Some(Output::Bound(_))));
    assert_eq!(client.wake_at(), secs(1010));
    // Silence until T2, then by broadcast, then lost.
    let mut last = None;
    let lost = loop {
        let now = client.wake_at();
        match client.poll(now) {
            Some(Output::Send { to, .. }) => last = Some((now, to)),
            Some(Output::Lost) => break now,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(lost, secs(1510));
    assert_eq!(last.unwrap().1, Destination::Broadcast);
    assert!(client.lease().is_none());
    assert_eq!(sent(client.poll(lost)).0.kind, Kind::Discover);
}

#[test]
fn asks_again_with_growing_pauses() {
    let mut client = client(false);
    let times: Vec<u64> = (0..6)
        .map(|_| {
            let now = client.wake_at();
            assert_eq!(sent(client.poll(now)).0.kind, Kind::Discover);
            assert_eq!(client.poll(now), None);
            now.as_secs()
        })
        .collect();
    assert_eq!(times, [0, 1, 3, 7, 15, 23]);
}

#[test]
fn a_lost_ack_is_asked_for_again_and_a_dead_server_given_up() {
    let mut client = client(false);
    let (discover, _) = sent(client.poll(Duration::ZERO));
    client.receive(&answer(&discover, Kind::Offer).encode(), Duration::ZERO);
    for _ in 0..3 {
        let now = client.wake_at();
        assert_eq!(sent(client.poll(now)).0.kind, Kind::Request);
    }
    let now = client.wake_at();
    let (again, _) = sent(client.poll(now));
    assert_eq!(again.kind, Kind::Discover);
    assert_ne!(again.xid, discover.xid);
}

#[test]
fn a_refusal_starts_again() {
    let mut client = client(false);
    let request = bind(&mut client);
    let mut nak = Message::reply(Kind::Nak, &request, SERVER);
    nak.options.set(option::MESSAGE, b"moved");
    assert_eq!(client.receive(&nak.encode(), secs(600)), Some(Output::Lost));
    assert_eq!(sent(client.poll(secs(600))).0.kind, Kind::Discover);
}

#[test]
fn the_lease_comes_from_the_server_and_the_boot_server_from_the_proxy() {
    let proxy = Ipv4Addr::new(10, 0, 0, 2);
    for proxy_first in [true, false] {
        let mut client = client(true);
        let (discover, _) = sent(client.poll(Duration::ZERO));
        let mut hint = Message::reply(Kind::Offer, &discover, proxy);
        hint.siaddr = proxy;
        let offer = answer(&discover, Kind::Offer).encode();
        let output = if proxy_first {
            assert_eq!(client.receive(&hint.encode(), secs(0)), None);
            client.receive(&offer, secs(0))
        } else {
            assert_eq!(client.receive(&offer, secs(0)), None);
            client.receive(&hint.encode(), secs(0))
        };
        let (request, _) = sent(output);
        assert_eq!(request.options.address(option::SERVER_ID), Some(SERVER));
        let ack = answer(&request, Kind::Ack).encode();
        let Some(Output::Bound(lease)) = client.receive(&ack, secs(0)) else { panic!() };
        assert_eq!((lease.server, lease.boot_server), (SERVER, Some(proxy)));
    }
}

#[test]
fn without_a_proxy_the_lease_does_not_wait_for_ever() {
    let mut client = client(true);
    let (discover, _) = sent(client.poll(Duration::ZERO));
    assert_eq!(client.receive(&answer(&discover, Kind::Offer).encode(), secs(0)), None);
    let now = client.wake_at();
    assert!(now < secs(3));
    assert_eq!(sent(client.poll(now)).0.kind, Kind::Request);
}

#[test]
fn other_machines_packets_are_passed_over() {
    let mut client = client(false);
    let (discover, _) = sent(client.poll(Duration::ZERO));
    let mut offer = answer(&discover, Kind::Offer);
    offer.xid ^= 1;
    assert_eq!(client.receive(&offer.encode(), secs(0)), None);
    offer.xid ^= 1;
    offer.mac = Mac::new([9; 6]);
    assert_eq!(client.receive(&offer.encode(), secs(0)), None);
    assert_eq!(client.receive(&discover.encode(), secs(0)), None);
    assert_eq!(client.receive(b"garbage", secs(0)), None);
}
