use super::*;
use ezio_scheduler::PieceId;
use proptest::prelude::*;

/// Bytes that compress, more or less.
fn content() -> impl Strategy<Value = Vec<u8>> {
    (1usize..=MOST, 1u8..=255, any::<u64>()).prop_map(|(length, letters, seed)| {
        let mut state = seed | 1;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8 % letters
        };
        (0..length).map(next).collect()
    })
}

fn packed(content: &[u8], level: i32) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(content.len())];
    let length = zstd_safe::compress(&mut out[..], content, level).unwrap();
    out.truncate(length);
    out
}

/// A frame of one block that repeats a byte, with the content's length as it is claimed (RFC 8878, 3.1.1).
fn bomb(claimed: u32, repeated: u32) -> Vec<u8> {
    let mut frame = 0xfd2f_b528u32.to_le_bytes().to_vec();
    frame.push(0b1010_0000);
    frame.extend(claimed.to_le_bytes());
    for _ in 0..repeated.div_ceil(128 << 10) {
        frame.extend(&((128u32 << 10) << 3 | 1 << 1).to_le_bytes()[..3]);
        frame.push(7);
    }
    let last = frame.len() - 4;
    frame[last] |= 1;
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_packed_comes_back_and_zstd_reads_it(content in content()) {
        if let Some(frame) = Packer::new().pack(content.chunks(BLOCK), &PackMemory::default()) {
            prop_assert!(frame.len() <= content.len() / 8 * 7);
            let mut unpacker = Unpacker::new();
            prop_assert_eq!(unpacker.unpack(&frame, content.len()), Some(content.as_slice()));
            let mut other = vec![0; content.len()];
            prop_assert_eq!(zstd_safe::decompress(&mut other[..], &frame), Ok(content.len()));
            prop_assert_eq!(other, content);
        }
    }

    #[test]
    fn frames_of_any_level_are_taken_and_nothing_but_the_whole_frame(
        content in content(), level in -5i32..12, cut in any::<prop::sample::Index>(), more in 1usize..40,
    ) {
        let frame = packed(&content, level);
        let mut unpacker = Unpacker::new();
        prop_assert_eq!(unpacker.unpack(&frame, content.len()), Some(content.as_slice()));
        prop_assert_eq!(unpacker.unpack(&frame[..cut.index(frame.len())], content.len()), None);
        // Trailing bytes, a second frame, and other lengths.
        prop_assert_eq!(unpacker.unpack(&[&frame[..], &vec![0; more]].concat(), content.len()), None);
        prop_assert_eq!(unpacker.unpack(&[&frame[..], &frame].concat(), content.len()), None);
        prop_assert_eq!(unpacker.unpack(&frame, content.len() + more), None);
        prop_assert_eq!(unpacker.unpack(&frame, content.len().saturating_sub(more)), None);
        // A skippable frame before it.
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], &frame[..]].concat();
        prop_assert_eq!(unpacker.unpack(&skippable, content.len()), None);
    }

    #[test]
    fn damage_and_garbage_never_panic_nor_give_another_length(
        content in content(), at in any::<prop::sample::Index>(), byte in any::<u8>(), garbage in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut frame = packed(&content, 1);
        let at = at.index(frame.len());
        frame[at] = byte;
        let mut unpacker = Unpacker::new();
        let got = unpacker.unpack(&frame, content.len());
        prop_assert!(got.is_none_or(|raw| raw.len() == content.len()));
        prop_assert_eq!(unpacker.unpack(&garbage, content.len()), None);
        prop_assert_eq!(unpacker.unpack(&[&frame[..9.min(frame.len())], &garbage].concat(), content.len()), None);
    }

    #[test]
    fn bombs_fill_no_more_than_was_asked_for(claimed in 1u32..2_000_000, repeated in 1u32..40_000_000) {
        let frame = bomb(claimed, repeated);
        let mut unpacker = Unpacker::new();
        let whole = repeated.div_ceil(128 << 10) * (128 << 10);
        for length in [1, BLOCK, MOST, MOST + 1, claimed as usize, whole as usize] {
            let got = unpacker.unpack(&frame, length);
            prop_assert_eq!(got.is_some(), claimed == whole && length == whole as usize && length <= MOST);
        }
        prop_assert_eq!(unpacker.raw.len(), MOST);
    }
}

#[test]
fn a_bomb_of_the_right_length_is_no_bomb() {
    let frame = bomb(256 << 10, 256 << 10);
    assert_eq!(Unpacker::new().unpack(&frame, MOST), Some([7; MOST].as_slice()));
}

#[test]
fn what_needs_a_dictionary_is_refused() {
    let frame = packed(&[5; 1000], 1);
    let mut with = frame[..4].to_vec();
    with.push(frame[4] | 1);
    with.push(9);
    with.extend(&frame[5..]);
    assert!(zstd_safe::get_dict_id_from_frame(&with).is_some());
    assert_eq!(Unpacker::new().unpack(&with, 1000), None);
}

#[test]
fn random_bytes_are_not_packed_and_what_cannot_be_unpacked_is_zeros() {
    let mut random = vec![0; MOST];
    rand::fill(&mut random[..]);
    assert_eq!(Packer::new().pack(random.chunks(BLOCK), &PackMemory::default()), None);
    let pool = BlockPool::new(1 << 20);
    let run = Blocks { piece: PieceId(0), first: 0, count: 2 };
    let pack = Pack::new(run, 20_000, random, &pool);
    assert_eq!(pool.packs.held(), MOST as u64);
    let mut dirty = Vec::new();
    pool.take(2, &mut dirty);
    dirty.iter_mut().for_each(|block| block.0.fill(9));
    pool.give(dirty);
    let blocks = Unpacker::new().blocks(&pack, &pool);
    assert!(blocks.len() == 2 && blocks.iter().all(|b| b.0.iter().all(|&byte| byte == 0)));
    drop(pack);
    assert_eq!(pool.packs.held(), 0);
}
