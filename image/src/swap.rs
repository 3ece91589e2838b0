//! The signature of Linux swap, as `mkswap` writes it (version 1, `union swap_header` of the
//! kernel's `include/linux/swap.h`): swap is made anew on the target, not copied.

use thiserror::Error;
use uuid::Uuid;

/// Bytes of a page, and of the signature.
pub const PAGE: usize = 4096;
/// Longest label in bytes.
pub const MAX_LABEL: usize = 16;

const MAGIC: &[u8; 10] = b"SWAPSPACE2";
const VERSION: usize = 1024;
const LAST_PAGE: usize = 1028;
const UUID: usize = 1036;
const LABEL: usize = 1052;
/// The kernel refuses less.
const MIN_PAGES: u64 = 10;

/// Why there can be no swap.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SwapError {
    /// Too few pages.
    #[error("{0} bytes are too few for swap: the kernel wants at least 40960")]
    TooSmall(u64),
    /// A UUID that is none.
    #[error("{0:?} is not the UUID of a swap partition")]
    Uuid(String),
    /// A label that does not fit.
    #[error("the swap label {0:?} is longer than 16 bytes")]
    Label(String),
}

/// The first page of a swap partition of `size` bytes, to be written at its beginning.
///
/// # Errors
/// The partition is too small, the label too long, or the UUID is none.
pub fn signature(size: u64, uuid: Option<&str>, label: Option<&str>) -> Result<Vec<u8>, SwapError> {
    let pages = size / PAGE as u64;
    if pages < MIN_PAGES {
        return Err(SwapError::TooSmall(size));
    }
    let label = label.unwrap_or_default();
    if label.len() > MAX_LABEL {
        return Err(SwapError::Label(label.to_owned()));
    }
    let uuid = match uuid {
        Some(text) => Uuid::try_parse(text).map_err(|_| SwapError::Uuid(text.to_owned()))?,
        None => Uuid::nil(),
    };
    // The field has 32 bits: like mkswap, use what can be addressed of a larger partition.
    let last = u32::try_from(pages - 1).unwrap_or(u32::MAX - 1);
    let mut page = vec![0; PAGE];
    page[VERSION..VERSION + 4].copy_from_slice(&1u32.to_le_bytes());
    page[LAST_PAGE..LAST_PAGE + 4].copy_from_slice(&last.to_le_bytes());
    page[UUID..UUID + 16].copy_from_slice(uuid.as_bytes());
    page[LABEL..LABEL + label.len()].copy_from_slice(label.as_bytes());
    page[PAGE - MAGIC.len()..].copy_from_slice(MAGIC);
    Ok(page)
}

/// Is this the first page of swap, and nothing was suspended to it?
#[must_use]
pub fn is_signature(page: &[u8]) -> bool {
    page.get(PAGE - MAGIC.len()..PAGE) == Some(MAGIC)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use super::*;

    const SIZE: u64 = 4 << 20;

    fn blkid(path: &std::path::Path, value: &str) -> String {
        let out = Command::new("/usr/sbin/blkid").args(["-p", "-o", "value", "-s", value]).arg(path).output();
        let out = out.expect("blkid is missing: apt-get install util-linux");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        file.as_file().write_all_at(bytes, 0).unwrap();
        file
    }

    #[test]
    fn blkid_knows_it() {
        let uuid = "3c1b7ad1-0c39-4e0a-a4c6-5d5a1e1f0b1d";
        let file = file(&signature(SIZE, Some(uuid), Some("my swap")).unwrap());
        assert_eq!(blkid(file.path(), "TYPE"), "swap");
        assert_eq!(blkid(file.path(), "VERSION"), "1");
        assert_eq!(blkid(file.path(), "UUID"), uuid);
        assert_eq!(blkid(file.path(), "LABEL"), "my swap");
    }

    #[test]
    fn it_is_what_mkswap_writes() {
        let uuid = "3c1b7ad1-0c39-4e0a-a4c6-5d5a1e1f0b1d";
        let file = file(&[]);
        let out = Command::new("/usr/sbin/mkswap")
            .args(["-p", "4096", "-L", "fifteen bytes k", "-U", uuid])
            .arg(file.path())
            .output()
            .expect("mkswap is missing: apt-get install util-linux");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let mut theirs = vec![0; PAGE];
        File::open(file.path()).unwrap().read_exact_at(&mut theirs, 0).unwrap();
        let ours = signature(SIZE, Some(uuid), Some("fifteen bytes k")).unwrap();
        assert!(is_signature(&theirs) && !is_signature(&theirs[..PAGE - 1]));
        let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b);
        assert_eq!(differs, None, "first byte that differs");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(signature(40959, None, None), Err(SwapError::TooSmall(40959)));
        assert!(matches!(signature(SIZE, None, Some("seventeen bytes..")), Err(SwapError::Label(_))));
        assert!(matches!(signature(SIZE, Some("x"), None), Err(SwapError::Uuid(_))));
        assert!(signature(u64::MAX, None, None).is_ok());
    }
}
