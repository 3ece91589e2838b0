//! Bytes that are all zero: most of a disk that was never written.

/// Bytes that are looked at as one, without a choice between: the compiler makes vectors of it. One page of memory.
const STEP: usize = 4096;

/// Are these nothing but zeros?
#[must_use]
pub fn is_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(STEP).all(|step| step.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_is_seen() {
        let mut bytes = vec![0; 2 * STEP + 100];
        assert!(is_zeros(&bytes) && is_zeros(&[]));
        for at in [0, 1, STEP - 1, STEP, 2 * STEP, 2 * STEP + 99] {
            bytes[at] = 0x80;
            assert!(!is_zeros(&bytes), "{at}");
            bytes[at] = 0;
        }
    }
}
