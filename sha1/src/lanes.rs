//! The rounds of SHA-1 over several blocks at once.
//!
//! The one `unsafe` is the call of a function that is compiled for vector registers, by a value that exists only where the
//! processor was found to have them.

/// The state of `N` messages, word by word.
pub(crate) type LaneState<const N: usize> = [[u32; N]; 5];

/// The state at the start of a message.
pub(crate) const H0: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Whether the crate `sha1` hashes by instructions made for that.
pub(crate) fn has_sha_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = is_x86_feature_detected!("sha");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

macro_rules! lanes {
    ($name:ident, $compress:ident, $lanes:literal, $($feature:tt),+) => {
        #[doc = concat!($lanes, " lanes; a value says that the processor has them.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(());

        impl $name {
            pub(crate) fn detect() -> Option<Self> {
                #[cfg(target_arch = "x86_64")]
                let has = $(is_x86_feature_detected!($feature))&&+;
                #[cfg(not(target_arch = "x86_64"))]
                let has = false;
                has.then_some(Self(()))
            }

            /// Takes `count` blocks of each message, which are at the front of its bytes.
            #[cfg(target_arch = "x86_64")]
            pub(crate) fn compress(self, state: &mut LaneState<$lanes>, blocks: &[&[u8]; $lanes], count: usize) {
                #[expect(unsafe_code, reason = "compiled for features that `detect` has found")]
                // SAFETY: a value of this type exists only where the processor has these features.
                unsafe { x86::$compress(state, blocks, count) }
            }

            #[cfg(not(target_arch = "x86_64"))]
            pub(crate) fn compress(self, _: &mut LaneState<$lanes>, _: &[&[u8]; $lanes], _: usize) {}
        }
    };
}

lanes!(Eight, eight, 8, "avx2");
lanes!(Sixteen, sixteen, 16, "avx512f");

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::LaneState;

    /// Bytes of a block.
    const BLOCK: usize = 64;

    /// The big-endian word at `at` of each message. (Inlined, or each lane of each word costs a call.)
    #[inline(always)]
    fn words<const N: usize>(messages: &[&[u8]; N], at: usize) -> [u32; N] {
        let mut words = [0; N];
        for (word, message) in words.iter_mut().zip(messages) {
            *word = message[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        }
        words
    }

    /// Five rounds, for the compiler to see each number of a round as a constant: the schedule then stays in registers.
    macro_rules! five_rounds {
        ($round:ident, $t:expr, $f:ident, $k:literal) => {
            $round!($t, $f, $k);
            $round!($t + 1, $f, $k);
            $round!($t + 2, $f, $k);
            $round!($t + 3, $f, $k);
            $round!($t + 4, $f, $k);
        };
    }

    /// The twenty rounds that share a function and a constant.
    macro_rules! twenty_rounds {
        ($round:ident, $t:expr, $f:ident, $k:literal) => {
            five_rounds!($round, $t, $f, $k);
            five_rounds!($round, $t + 5, $f, $k);
            five_rounds!($round, $t + 10, $f, $k);
            five_rounds!($round, $t + 15, $f, $k);
        };
    }

    /// A function that takes blocks in so many lanes, by the operations that the module `$ops` has for them.
    macro_rules! compress {
        ($name:ident, $lanes:literal, $feature:literal, $ops:ident) => {
            #[target_feature(enable = $feature)]
            pub(super) fn $name(state: &mut LaneState<$lanes>, blocks: &[&[u8]; $lanes], count: usize) {
                let mut h = state.map(|word| $ops::load(word));
                for block in 0..count {
                    let mut w = [$ops::splat(0); 16];
                    for (at, w) in w.iter_mut().enumerate() {
                        *w = $ops::load(words(blocks, block * BLOCK + 4 * at));
                    }
                    let [mut a, mut b, mut c, mut d, mut e] = h;
                    macro_rules! round {
                        ($t:expr, $f:ident, $k:literal) => {
                            if $t >= 16 {
                                let near = $ops::xor(w[($t + 13) & 15], w[($t + 8) & 15]);
                                let far = $ops::xor(w[($t + 2) & 15], w[$t & 15]);
                                w[$t & 15] = $ops::rotate::<1, 31>($ops::xor(near, far));
                            }
                            let kept = $ops::add($ops::add(e, w[$t & 15]), $ops::splat($k));
                            let next =
                                $ops::add($ops::add($ops::rotate::<5, 27>(a), $ops::$f(b, c, d)), kept);
                            (a, b, c, d, e) = (next, a, $ops::rotate::<30, 2>(b), c, d);
                        };
                    }
                    twenty_rounds!(round, 0, choose, 0x5a82_7999);
                    twenty_rounds!(round, 20, parity, 0x6ed9_eba1);
                    twenty_rounds!(round, 40, majority, 0x8f1b_bcdc);
                    twenty_rounds!(round, 60, parity, 0xca62_c1d6);
                    for (h, word) in h.iter_mut().zip([a, b, c, d, e]) {
                        *h = $ops::add(*h, word);
                    }
                }
                *state = h.map(|word| $ops::store(word));
            }
        };
    }

    compress!(eight, 8, "avx2", avx2);
    compress!(sixteen, 16, "avx512f", avx512);

    /// Operations on eight words.
    mod avx2 {
        use super::*;

        #[target_feature(enable = "avx2")]
        pub(super) fn load(w: [u32; 8]) -> __m256i {
            let [a, b, c, d, e, f, g, h] = w.map(u32::cast_signed);
            _mm256_setr_epi32(a, b, c, d, e, f, g, h)
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn store(v: __m256i) -> [u32; 8] {
            let half = |v: __m128i| {
                [
                    _mm_extract_epi32::<0>(v),
                    _mm_extract_epi32::<1>(v),
                    _mm_extract_epi32::<2>(v),
                    _mm_extract_epi32::<3>(v),
                ]
            };
            let ([a, b, c, d], [e, f, g, h]) =
                (half(_mm256_castsi256_si128(v)), half(_mm256_extracti128_si256::<1>(v)));
            [a, b, c, d, e, f, g, h].map(i32::cast_unsigned)
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn splat(word: u32) -> __m256i {
            _mm256_set1_epi32(word.cast_signed())
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn add(a: __m256i, b: __m256i) -> __m256i {
            _mm256_add_epi32(a, b)
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn xor(a: __m256i, b: __m256i) -> __m256i {
            _mm256_xor_si256(a, b)
        }

        /// To the left by `LEFT`, which `RIGHT` makes 32.
        #[target_feature(enable = "avx2")]
        pub(super) fn rotate<const LEFT: i32, const RIGHT: i32>(v: __m256i) -> __m256i {
            _mm256_or_si256(_mm256_slli_epi32::<LEFT>(v), _mm256_srli_epi32::<RIGHT>(v))
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn choose(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
            xor(d, _mm256_and_si256(b, xor(c, d)))
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn parity(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
            xor(d, xor(b, c))
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn majority(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
            _mm256_or_si256(_mm256_and_si256(b, c), _mm256_and_si256(d, _mm256_or_si256(b, c)))
        }
    }

    /// Operations on sixteen words. A function of three words is one instruction, which has the function's table as a number.
    mod avx512 {
        use super::*;

        #[target_feature(enable = "avx512f")]
        pub(super) fn load(w: [u32; 16]) -> __m512i {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = w.map(u32::cast_signed);
            _mm512_setr_epi32(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn store(v: __m512i) -> [u32; 16] {
            let low = super::avx2::store(_mm512_castsi512_si256(v));
            let high = super::avx2::store(_mm512_extracti64x4_epi64::<1>(v));
            std::array::from_fn(|at| if at < 8 { low[at] } else { high[at - 8] })
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn splat(word: u32) -> __m512i {
            _mm512_set1_epi32(word.cast_signed())
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn add(a: __m512i, b: __m512i) -> __m512i {
            _mm512_add_epi32(a, b)
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn xor(a: __m512i, b: __m512i) -> __m512i {
            _mm512_xor_si512(a, b)
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn rotate<const LEFT: i32, const RIGHT: i32>(v: __m512i) -> __m512i {
            _mm512_rol_epi32::<LEFT>(v)
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn choose(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
            _mm512_ternarylogic_epi32::<0xca>(b, c, d)
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn parity(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
            _mm512_ternarylogic_epi32::<0x96>(b, c, d)
        }

        #[target_feature(enable = "avx512f")]
        pub(super) fn majority(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
            _mm512_ternarylogic_epi32::<0xe8>(b, c, d)
        }
    }
}
