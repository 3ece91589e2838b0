//! An order of members for each piece that all of them reckon alike, without a word between them.

use super::geometry::PieceId;

/// How many of these come before a member, where a piece is to be fetched.
pub(super) fn rank(members: &[u64], own: u64, piece: PieceId) -> usize {
    let number = mix(own, piece.0);
    members.iter().filter(|&&member| mix(member, piece.0) < number).count()
}

/// A number for a member and a piece that says nothing about either (the finalizer of SplitMix64).
pub(super) fn mix(member: u64, piece: u32) -> u64 {
    let mut x = member ^ u64::from(piece).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
