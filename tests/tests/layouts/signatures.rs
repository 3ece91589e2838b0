//! Signatures of all kinds of former uses, at their places on a stretch of a disk.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::bench::{Bench, MIB, sh, text};

/// Bytes at an offset.
type Planted = (u64, Vec<u8>);

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// The sum of an md superblock: its words, with what they carry.
fn md_sum(bytes: &[u8]) -> [u8; 4] {
    let sum: u64 = bytes.as_chunks().0.iter().map(|word| u64::from(u32::from_le_bytes(*word))).sum();
    (sum as u32).wrapping_add((sum >> 32) as u32).to_le_bytes()
}

/// Superblock of half a mirror, by md in version 0.90. `mdadm --examine` (4.2) takes these and those of version 1.
pub(crate) fn md_old(size: u64) -> Planted {
    let mut bytes = vec![0; 4096];
    put(&mut bytes, 0, &0xa92b_4efcu32.to_le_bytes());
    put(&mut bytes, 8, &90u32.to_le_bytes());
    put(&mut bytes, 20, b"ezio");
    // Level, KiB of each member, members.
    put(&mut bytes, 28, &1u32.to_le_bytes());
    put(&mut bytes, 32, &(((size & !0xffff) - 0x1_0000) as u32 / 1024).to_le_bytes());
    put(&mut bytes, 36, &2u32.to_le_bytes());
    let sum = md_sum(&bytes);
    put(&mut bytes, 152, &sum);
    ((size & !0xffff) - 0x1_0000, bytes)
}

/// The same in version 1, at one of its three places.
pub(crate) fn md(at: u64) -> Planted {
    let mut bytes = vec![0; 256];
    put(&mut bytes, 0, &0xa92b_4efcu32.to_le_bytes());
    put(&mut bytes, 4, &1u32.to_le_bytes());
    put(&mut bytes, 16, b"0123456789abcdef");
    put(&mut bytes, 32, b"ezio");
    // Level, sectors of each member, members; and where its data begins.
    put(&mut bytes, 72, &1u32.to_le_bytes());
    put(&mut bytes, 80, &(4 * MIB / 512).to_le_bytes());
    put(&mut bytes, 92, &2u32.to_le_bytes());
    put(&mut bytes, 128, &(if at < MIB { MIB / 512 } else { 0 }).to_le_bytes());
    put(&mut bytes, 136, &(4 * MIB / 512).to_le_bytes());
    put(&mut bytes, 144, &(at / 512).to_le_bytes());
    put(&mut bytes, 168, b"fedcba9876543210");
    let sum = md_sum(&bytes);
    put(&mut bytes, 216, &sum);
    (at, bytes)
}

/// ZFS's ring of uberblocks in one of its four labels.
fn zfs(label: u64) -> Planted {
    let mut bytes = vec![0; 128 << 10];
    for slot in bytes.chunks_mut(1024) {
        put(slot, 0, &0x00ba_b10cu64.to_le_bytes());
        put(slot, 8, &28u64.to_le_bytes());
    }
    (label + (128 << 10), bytes)
}

/// The second header of LUKS2, for the largest first one.
fn luks() -> Planted {
    let mut bytes = vec![0; 4096];
    put(&mut bytes, 0, b"SKUL\xba\xbe\0\x02");
    put(&mut bytes, 256, &(4 * MIB).to_be_bytes());
    (4 * MIB, bytes)
}

/// What RAIDs and volume managers leave on a stretch of so many bytes, by the name that libblkid has for it.
fn of_raids_and_volumes(size: u64) -> Vec<(&'static str, Planted)> {
    vec![
        ("linux_raid_member", md_old(size)),
        ("linux_raid_member", md((size & !0xfff) - 0x2000)),
        ("linux_raid_member", md(0)),
        ("linux_raid_member", md(4096)),
        ("zfs_member", zfs(0)),
        ("zfs_member", zfs(256 << 10)),
        ("zfs_member", zfs(size / (256 << 10) * (256 << 10) - (512 << 10))),
        ("zfs_member", zfs(size / (256 << 10) * (256 << 10) - (256 << 10))),
        ("crypto_LUKS", luks()),
        ("isw_raid_member", (size - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00".to_vec())),
        ("promise_fasttrack_raid_member", (size - 3087 * 512, b"Promise Technology, Inc.".to_vec())),
        ("VMFS", (2 * MIB, b"\x5e\xf1\xab\x2f".to_vec())),
    ]
}

/// Leaves on a stretch of a device what RAIDs and volume managers would have left, as far as there is room.
pub(crate) fn plant_raids(device: &str, start: u64, size: u64) {
    let target = OpenOptions::new().write(true).open(device).unwrap();
    let fits = |(_, (at, bytes)): &(&str, Planted)| at + bytes.len() as u64 <= size;
    for (_, (at, bytes)) in of_raids_and_volumes(size).into_iter().filter(fits) {
        target.write_all_at(&bytes, start + at).unwrap();
    }
}

/// The same, and what file systems would have left; asserts that each is seen by itself.
pub(crate) fn plant(bench: &Bench, device: &str, start: u64, size: u64) {
    let trial = bench.path("trial");
    let fresh = || bench.sparse("trial", size);
    let seen = |kind: &str| {
        let found = sh("wipefs --no-act --noheadings --output TYPE $1", &[text(&trial)]);
        assert!(found.contains(kind), "{kind} is not seen on {size} bytes: {found:?}");
    };
    let copy = || {
        sh(
            "dd if=$1 of=$2 bs=4k seek=$3 oflag=seek_bytes conv=notrunc,sparse status=none",
            &[text(&trial), device, &start.to_string()],
        );
    };
    let tools = [
        ("btrfs", 120, "mkfs.btrfs -q $1"),
        ("jfs", 16, "mkfs.jfs -q $1 >/dev/null"),
        ("gpt", 1, "echo label: gpt | sfdisk -q $1"),
        ("swap", 1, "mkswap -q $1 2>/dev/null"),
    ];
    for (kind, _, make) in tools.into_iter().filter(|(_, least, _)| size >= least * MIB) {
        sh(make, &[text(&fresh())]);
        seen(kind);
        copy();
    }
    for (kind, (at, bytes)) in of_raids_and_volumes(size) {
        let file = OpenOptions::new().write(true).open(fresh()).unwrap();
        file.write_all_at(&bytes, at).unwrap();
        // Looked for on 64 MiB and more, and by newer versions only with a pool's description beside it.
        if kind != "zfs_member" {
            seen(kind);
        }
    }
    plant_raids(device, start, size);
    std::fs::remove_file(Path::new(&trial)).unwrap();
}
