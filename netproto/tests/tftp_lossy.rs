//! Sender and receiver over a link that loses, doubles and reorders packets: the file always arrives whole,
//! in a bounded number of packets, whatever options were agreed on.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::VecDeque;

use ezio_netproto::tftp::packet::{ErrorCode, Packet};
use ezio_netproto::tftp::receive::{Failure, Receiver, Step as Received};
use ezio_netproto::tftp::send::{Sender, Step as Sent};
use ezio_netproto::tftp::{Negotiated, Options};
use proptest::prelude::*;

/// What happens to the packets of one direction, in turn.
#[derive(Debug, Clone, Copy, Default)]
enum Fate {
    #[default]
    Pass,
    Lose,
    Double,
    Delay,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Pass), 2 => Just(Fate::Lose), 1 => Just(Fate::Double), 1 => Just(Fate::Delay)]
}

#[derive(Debug, Default)]
struct Link {
    queue: VecDeque<Vec<u8>>,
    delayed: Vec<Vec<u8>>,
    fates: VecDeque<Fate>,
    /// Of all packets behind those of `fates`.
    rest: Fate,
    carried: usize,
}

impl Link {
    fn send(&mut self, packet: Vec<u8>) {
        self.carried += 1;
        let fate = self.fates.pop_front().unwrap_or(self.rest);
        match fate {
            Fate::Pass => self.queue.push_back(packet),
            Fate::Lose => {}
            Fate::Double => self.queue.extend([packet.clone(), packet]),
            Fate::Delay => self.delayed.push(packet),
        }
    }

    /// The next packet; delayed ones come after those that overtook them.
    fn receive(&mut self) -> Option<Vec<u8>> {
        if self.queue.is_empty() {
            self.queue.extend(self.delayed.drain(..));
        }
        self.queue.pop_front()
    }
}

impl Link {
    fn always(rest: Fate) -> Self {
        Self { rest, ..Self::default() }
    }
}

/// A link that is bad for a while.
fn link() -> impl Strategy<Value = Link> {
    proptest::collection::vec(fate(), 0..400)
        .prop_map(|fates| Link { fates: fates.into(), ..Link::default() })
}

struct Outcome {
    data: Vec<u8>,
    packets: usize,
}

/// Runs a transfer to its end. A round without a packet is a timeout on both sides.
fn transfer(file: &[u8], asked: Options, with_options: bool, down: Link, up: Link) -> Outcome {
    let wire = if with_options { asked.to_wire() } else { Vec::new() };
    let (agreed, answer) = Negotiated::grant(&wire, file.len() as u64);
    let mut sender = Sender::new(file, agreed, answer);
    let mut receiver = Receiver::new(asked, 1 << 24);
    let (mut down, mut up) = (down, up);
    sender.window().for_each(|packet| down.send(packet));
    for _ in 0..1_000_000 {
        if let Some(packet) = down.receive() {
            match receiver.packet(&Packet::decode(&packet).unwrap()) {
                Received::Wait => {}
                Received::Send(packet) => up.send(packet),
                Received::Finish(_) => {
                    return Outcome { data: receiver.into_data(), packets: down.carried };
                }
                Received::Abort(failure, _) => panic!("{failure:?}"),
            }
        } else if let Some(packet) = up.receive() {
            match sender.packet(&Packet::decode(&packet).unwrap()) {
                Sent::SendWindow => sender.window().for_each(|packet| down.send(packet)),
                Sent::Wait => {}
                other => panic!("{other:?} before the receiver was done"),
            }
        } else {
            receiver.timeout().into_iter().for_each(|packet| up.send(packet));
            sender.timeout();
            sender.window().for_each(|packet| down.send(packet));
        }
    }
    panic!("no end");
}

fn file(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

proptest! {
    #[test]
    fn the_file_arrives_whole(
        length in 0usize..20_000, block_size in 8u16..1468, window in 1u16..40, with_options: bool,
        down in link(), up in link(),
    ) {
        let file = file(length);
        let outcome = transfer(&file, Options { block_size, window }, with_options, down, up);
        prop_assert!(outcome.data == file);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            let _ = Receiver::new(Options::default(), 100).packet(&packet);
            let mut sender = Sender::new([0u8; 5000], Negotiated::default(), Vec::new());
            let _ = sender.packet(&packet);
            prop_assert!(sender.window().count() <= 1);
        }
    }

    #[test]
    fn a_packet_reads_back(path in "[a-z/.]{1,80}", block: u16, data in proptest::collection::vec(any::<u8>(), 0..99),
        options in proptest::collection::vec(("[a-z]{1,9}", "[0-9]{1,9}"), 0..9)) {
        let error = Packet::Error { code: ErrorCode::NotFound, message: path.clone() };
        let read = Packet::Read { path, mode: "octet".into(), options: options.clone() };
        for packet in [read, error, Packet::Data { block, data: &data }, Packet::Ack { block }, Packet::OptionAck { options }] {
            let bytes = packet.encode();
            prop_assert_eq!(Packet::decode(&bytes).unwrap(), packet);
        }
    }
}

#[test]
fn block_numbers_wrap() {
    // 70000 blocks of 8 bytes, with windows across the wrap.
    let file = file(8 * 70_000 + 3);
    let outcome = transfer(
        &file,
        Options { block_size: 8, window: 16 },
        true,
        Link::always(Fate::Pass),
        Link::always(Fate::Pass),
    );
    assert!(outcome.data == file);
    // Nothing is sent twice on a clean link: the blocks, and the acknowledgement of the options.
    assert_eq!(outcome.packets, 70_001 + 1);
}

#[test]
fn duplicates_do_not_multiply() {
    // The Sorcerer's Apprentice (RFC 1123 section 4.2.3.1): each duplicate must not beget another.
    let file = file(512 * 200);
    let outcome = transfer(
        &file,
        Options { block_size: 512, window: 1 },
        false,
        Link::always(Fate::Double),
        Link::always(Fate::Double),
    );
    assert!(outcome.data == file);
    assert_eq!(outcome.packets, 201);
}

#[test]
fn a_size_that_is_too_large_is_refused_before_the_first_block() {
    let mut receiver = Receiver::new(Options::default(), 1000);
    let options = vec![("tsize".to_owned(), "1001".to_owned())];
    let step = receiver.packet(&Packet::OptionAck { options });
    assert!(matches!(step, Received::Abort(Failure::TooLarge(1001), Some(_))));
}

#[test]
fn a_grant_beyond_what_was_asked_is_refused() {
    for (name, value) in [("blksize", "2048"), ("windowsize", "5"), ("blksize", "1 KiB"), ("tsize", "")] {
        let mut receiver = Receiver::new(Options { block_size: 1024, window: 4 }, 1000);
        let options = vec![(name.to_owned(), value.to_owned())];
        let Received::Abort(Failure::Options(_), Some(packet)) =
            receiver.packet(&Packet::OptionAck { options })
        else {
            panic!("{name}={value} was taken")
        };
        let refusal = Packet::decode(&packet).unwrap();
        assert!(matches!(refusal, Packet::Error { code: ErrorCode::OptionRefused, .. }), "{refusal:?}");
    }
}

#[test]
fn options_are_granted_within_bounds_and_nonsense_is_passed_over() {
    let ask = |name: &str, value: &str| Negotiated::grant(&[(name.to_owned(), value.to_owned())], 77);
    assert_eq!(ask("blksize", "65464").0.block_size, 1468);
    assert_eq!(ask("windowsize", "64").0.window, 32);
    assert_eq!(ask("tsize", "0").1, [("tsize".to_owned(), "77".to_owned())]);
    for (name, value) in
        [("multicast", ""), ("blksize", "4"), ("windowsize", "x"), ("timeout", "0"), ("utimeout", "500000")]
    {
        assert_eq!(ask(name, value), (Negotiated::default(), Vec::new()), "{name}={value}");
    }
    let twice = ["1024", "512"].map(|value| ("blksize".to_owned(), value.to_owned()));
    let (agreed, answer) = Negotiated::grant(&twice, 77);
    assert_eq!((agreed.block_size, answer), (1024, vec![("blksize".to_owned(), "1024".to_owned())]));
}
