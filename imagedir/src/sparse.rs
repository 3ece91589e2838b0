//! Files of disks and partitions take no room for what is zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use ezio_image::zeros::is_zeros;

/// Zeros are left out in units of this: what file systems allocate at least. Bytes.
const HOLE: usize = 4096;

/// Writes to a file, from `offset` on, all but what is zeros, which has to be so there already.
///
/// # Errors
/// What the system says.
pub fn write_sparse(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut begin = 0;
    let chunks: Vec<&[u8]> = bytes.chunks(HOLE).collect();
    for group in chunks.chunk_by(|a, b| is_zeros(a) == is_zeros(b)) {
        let length: usize = group.iter().map(|c| c.len()).sum();
        if !is_zeros(group[0]) {
            file.write_all_at(&bytes[begin..begin + length], offset + begin as u64)?;
        }
        begin += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_writing_keeps_every_byte() {
        let mut data = vec![0u8; 5 * HOLE + 100];
        data[2 * HOLE + 7] = 1;
        data[5 * HOLE + 99] = 2;
        let file = tempfile::tempfile().unwrap();
        write_sparse(&file, 0, &data).unwrap();
        file.set_len(data.len() as u64).unwrap();
        let mut back = vec![0u8; data.len()];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(back, data);
    }
}
