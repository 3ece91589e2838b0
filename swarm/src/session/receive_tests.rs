use super::*;
use crate::wire::{Message, frame_limit};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Messages to send: a block of a length, or another message with a body.
#[derive(Debug, Clone)]
enum Sent {
    Block(u32, u32, usize),
    Have(u32),
    Bitfield(usize),
    Pack(u32, u32, usize),
    KeepAlive,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        6 => (0u32..1000, 0u32..64).prop_map(|(p, b)| Sent::Block(p, b * BLOCK as u32, BLOCK)),
        1 => (0u32..1000, 1usize..BLOCK).prop_map(|(p, n)| Sent::Block(p, 0, n)),
        1 => any::<u32>().prop_map(Sent::Have),
        1 => (1usize..40_000).prop_map(Sent::Bitfield),
        2 => (0u32..1000, 1u32..=16, any::<prop::sample::Index>())
            .prop_map(|(p, n, length)| Sent::Pack(p, n, length.index(n as usize * BLOCK + 1))),
        1 => Just(Sent::KeepAlive),
    ]
}

fn byte(piece: u32, begin: u32, at: usize) -> u8 {
    (piece as usize * 31 + begin as usize / 7 + at * 13 + at / 256) as u8
}

fn encode(message: &Sent, out: &mut Vec<u8>) {
    match *message {
        Sent::Block(piece, begin, length) => {
            let data: Vec<u8> = (0..length).map(|at| byte(piece, begin, at)).collect();
            Message::Piece { piece, begin, data: &data }.encode(out);
        }
        Sent::Have(piece) => Message::Have(piece).encode(out),
        Sent::Bitfield(length) => Message::Bitfield(&vec![0x5a; length]).encode(out),
        Sent::Pack(piece, count, length) => {
            let run = PackMessage { piece, first: piece, count };
            out.extend(run.header(EZIO_PACK_ID, length as u32));
            out.extend((0..length).map(|at| byte(piece, count, at)));
        }
        Sent::KeepAlive => Message::KeepAlive.encode(out),
    }
}

/// Compares what came with what was sent, and counts it.
fn check(receiver: &mut Receiver, messages: &[Sent], done: &mut usize, pool: &BlockPool) {
    for incoming in std::mem::take(&mut receiver.incoming) {
        let want = &messages[*done];
        *done += 1;
        match (incoming, want) {
            (Incoming::Block(got), Sent::Block(piece, begin, length)) => {
                assert_eq!((got.piece, got.begin, got.length as usize), (*piece, *begin, *length));
                assert!((0..*length).all(|at| got.block.0[at] == byte(*piece, *begin, at)));
                pool.give([got.block]);
            }
            (Incoming::Pack(run, bytes), Sent::Pack(piece, count, length)) => {
                assert_eq!(run, PackMessage { piece: *piece, first: *piece, count: *count });
                assert_eq!(bytes, (0..*length).map(|at| byte(*piece, *count, at)).collect::<Vec<u8>>());
            }
            (Incoming::Frame(start, end), want) => {
                let mut frame = Vec::new();
                encode(want, &mut frame);
                assert_eq!(receiver.frame(start, end), &frame[4..]);
            }
            (Incoming::Block(_) | Incoming::Pack(..), want) => panic!("a block where {want:?} was sent"),
        }
    }
    receiver.clear();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_is_sent_comes_in_order_however_it_is_cut(
        messages in prop::collection::vec(sent(), 1..60),
        cuts in prop::collection::vec(1usize..200_000, 1..20),
        most in 1000usize..400_000,
        first in 0usize..30_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut bytes = Vec::new();
            messages.iter().for_each(|m| encode(m, &mut bytes));
            let rest = bytes.split_off(first.min(bytes.len()));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let sender = tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let mut at = 0;
                for cut in cuts.iter().cycle() {
                    let end = (at + cut).min(rest.len());
                    stream.write_all(&rest[at..end]).await.unwrap();
                    at = end;
                    if at == rest.len() { break }
                    tokio::task::yield_now().await;
                }
            });
            let (stream, _) = listener.accept().await.unwrap();
            let pool = BlockPool::new(1 << 20);
            let mut receiver = Receiver::new(&bytes, frame_limit(400_000));
            let mut done = 0;
            receiver.parse(&pool).unwrap();
            check(&mut receiver, &messages, &mut done, &pool);
            loop {
                match receiver.read(&stream, most, &pool) {
                    Ok(0) => break,
                    Ok(_) => {
                        receiver.parse(&pool).unwrap();
                        check(&mut receiver, &messages, &mut done, &pool);
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => stream.readable().await.unwrap(),
                    Err(e) => panic!("{e}"),
                }
            }
            sender.await.unwrap();
            assert_eq!(done, messages.len());
        });
    }

    #[test]
    fn a_pack_may_not_be_longer_than_what_it_stands_for(piece in any::<u32>(), count in 0u32..20, length in 0u32..300_000) {
        let pool = BlockPool::new(1 << 20);
        let header = PackMessage { piece, first: 0, count }.header(EZIO_PACK_ID, length);
        let mut receiver = Receiver::new(&header, frame_limit(1000));
        let fits = (1..=16).contains(&count) && length <= count * BLOCK as u32;
        prop_assert_eq!(receiver.parse(&pool).is_ok(), fits);
        prop_assert_eq!(receiver.missing(), if fits { length as usize } else { 0 });
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let pool = BlockPool::new(1 << 20);
        let _ = Receiver::new(&bytes, frame_limit(1000)).parse(&pool);
    }
}
