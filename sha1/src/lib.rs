//! SHA-1 of several messages at once, one in each lane of the processor's vector registers.
//!
//! SHA-1 of one message is one long chain of additions: a processor without instructions of its own for it takes a round
//! at a time, however wide its registers are. Pieces of a torrent are many messages, and 8 (AVX2) or 16 (AVX-512) of them go
//! through the same rounds together. Where the processor has SHA instructions, or no wide registers, messages are hashed
//! one by one by the crate `sha1`, which also ends each message here, and hashes those that are left over.
//!
//! SHA-1 is FIPS 180-4, section 6.1.

mod feed;
mod lanes;

use sha1::Sha1;
use sha1::block_api::compress;
use sha1::digest::Digest as _;

use feed::Feed;
use lanes::{H0, LaneState};

/// A SHA-1 value.
pub type Digest = [u8; 20];

/// How messages are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method(Lanes);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lanes {
    One,
    Eight(lanes::Eight),
    Sixteen(lanes::Sixteen),
}

impl Method {
    /// One message after the other.
    pub const ONE_BY_ONE: Self = Self(Lanes::One);

    /// The fastest on this processor.
    pub fn fastest() -> Self {
        let lanes = || Self::in_lanes(16).or_else(|| Self::in_lanes(8));
        if lanes::has_sha_instructions() { Self::ONE_BY_ONE } else { lanes().unwrap_or(Self::ONE_BY_ONE) }
    }

    /// In so many lanes, if this processor has them; it may have something faster.
    pub fn in_lanes(lanes: usize) -> Option<Self> {
        match lanes {
            1 => Some(Self::ONE_BY_ONE),
            8 => lanes::Eight::detect().map(Lanes::Eight).map(Self),
            16 => lanes::Sixteen::detect().map(Lanes::Sixteen).map(Self),
            _ => None,
        }
    }

    /// Messages that are hashed at once.
    pub fn lanes(self) -> usize {
        match self.0 {
            Lanes::One => 1,
            Lanes::Eight(_) => 8,
            Lanes::Sixteen(_) => 16,
        }
    }

    /// The hash of each message. A message is the parts one behind the other; what is hashed in lanes are messages all of
    /// whose parts but the last are whole blocks of 64 bytes.
    pub fn hash(self, messages: &[&[&[u8]]]) -> Vec<Digest> {
        match self.0 {
            Lanes::One => messages.iter().map(|parts| hash_one(parts)).collect(),
            Lanes::Eight(eight) => {
                hash_in_lanes(messages, |state, blocks, count| eight.compress(state, blocks, count))
            }
            Lanes::Sixteen(sixteen) => {
                hash_in_lanes(messages, |state, blocks, count| sixteen.compress(state, blocks, count))
            }
        }
    }
}

fn hash_one(parts: &[&[u8]]) -> Digest {
    let mut sha1 = Sha1::new();
    parts.iter().for_each(|part| sha1.update(part));
    sha1.finalize().into()
}

/// A message in its lane.
struct Running<'a> {
    /// Its place among the messages.
    index: usize,
    feed: Feed<'a>,
}

/// With fewer messages than this the others' lanes would idle for longer than one message after the other takes: a lane has
/// a quarter (16 lanes) to a half (8) of the speed of one message alone.
const FEWEST: usize = 3;

fn hash_in_lanes<const N: usize>(
    messages: &[&[&[u8]]],
    step: impl Fn(&mut LaneState<N>, &[&[u8]; N], usize),
) -> Vec<Digest> {
    let mut digests = vec![[0; 20]; messages.len()];
    let mut waiting = messages.iter().enumerate();
    let mut lanes: [Option<Running<'_>>; N] = [const { None }; N];
    let mut state: LaneState<N> = [[0; N]; 5];
    loop {
        for (lane, slot) in lanes.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
            for (index, parts) in waiting.by_ref() {
                *slot = Feed::new(parts).map(|feed| Running { index, feed });
                if slot.is_some() {
                    break;
                }
                digests[index] = hash_one(parts);
            }
            for (word, h) in state.iter_mut().zip(H0) {
                word[lane] = h;
            }
        }
        if lanes.iter().flatten().count() < FEWEST {
            break;
        }
        let count = lanes.iter().flatten().map(|running| running.feed.whole_blocks()).min().unwrap_or(0);
        let Some(some) = lanes.iter().flatten().next().map(|running| running.feed.rest()) else { break };
        // A lane without a message goes through another's blocks, for nothing.
        let blocks =
            std::array::from_fn(|lane| lanes[lane].as_ref().map_or(some, |running| running.feed.rest()));
        step(&mut state, &blocks, count);
        for (lane, slot) in lanes.iter_mut().enumerate() {
            let Some(running) = slot else { continue };
            running.feed.advance(count);
            if running.feed.whole_blocks() == 0 {
                digests[running.index] = running.feed.end(state.map(|word| word[lane]));
                *slot = None;
            }
        }
    }
    for (lane, running) in lanes.into_iter().enumerate() {
        let Some(mut running) = running else { continue };
        let mut one = state.map(|word| word[lane]);
        while running.feed.whole_blocks() > 0 {
            let count = running.feed.whole_blocks();
            compress(&mut one, running.feed.rest().as_chunks().0);
            running.feed.advance(count);
        }
        digests[running.index] = running.feed.end(one);
    }
    digests
}

#[cfg(test)]
mod tests;
