use proptest::prelude::*;

use super::*;

fn methods() -> Vec<Method> {
    [1, 8, 16].into_iter().filter_map(Method::in_lanes).collect()
}

/// The hashes by each method, of messages that are cut into parts of `cut` bytes.
fn by_all(messages: &[Vec<u8>], cut: usize) -> Vec<Vec<Digest>> {
    let parts: Vec<Vec<&[u8]>> = messages.iter().map(|message| message.chunks(cut).collect()).collect();
    let parts: Vec<&[&[u8]]> = parts.iter().map(Vec::as_slice).collect();
    methods().into_iter().map(|method| method.hash(&parts)).collect()
}

fn expected(messages: &[Vec<u8>]) -> Vec<Digest> {
    messages.iter().map(|message| Sha1::digest(message).into()).collect()
}

#[test]
fn the_examples_of_the_standard() {
    let messages = [b"abc".to_vec(), vec![b'a'; 1_000_000]];
    let hex = |digest: &Digest| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for digests in by_all(&messages, usize::MAX) {
        assert_eq!(hex(&digests[0]), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(&digests[1]), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }
}

#[test]
fn pieces_of_one_length_and_a_short_last_one() {
    for count in 0..40 {
        let messages: Vec<Vec<u8>> = (0..count)
            .map(|i: usize| {
                (0..if i + 1 == count { 777 } else { 4096 }).map(|at| (at * (i + 3)) as u8).collect()
            })
            .collect();
        for digests in by_all(&messages, 1024) {
            assert_eq!(digests, expected(&messages), "{count} messages");
        }
    }
}

proptest! {
    #[test]
    fn all_methods_agree_with_the_crate_sha1(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..40),
        cut in prop_oneof![Just(64usize), Just(128), 1..200usize],
    ) {
        for digests in by_all(&messages, cut) {
            prop_assert_eq!(&digests, &expected(&messages));
        }
    }
}
