//! A physical volume of LVM is kept by what is in use in its logical volumes.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::bench::*;

const SIZE: u64 = 292 * MIB;
/// LVM on one device, without device-mapper: `lvm DEVICE COMMAND…`.
const LVM: &str = r#"
    exec 2>&1
    lvm() {
        local device=$1 command=$2
        shift 2
        LVM_SUPPRESS_FD_WARNINGS=1 "$command" --quiet --config \
            "global/activation=0 devices/use_devicesfile=0 devices/filter=[\"a|^$device\$|\",\"r|.*|\"]" "$@"
    }
    device=$(losetup --find --show $1)
    trap 'losetup --detach $device' EXIT
"#;

/// A physical volume with a root, swap, another file system that lies in two pieces, and free space.
fn physical_volume(bench: &Bench) -> PathBuf {
    let volume = bench.path("pv");
    sparse(&volume, SIZE);
    let script = format!(
        "{LVM}
         lvm $device pvcreate $device; lvm $device vgcreate vg0 $device
         lvm $device lvcreate -an -Zn -Wn -L 64M -n root vg0
         lvm $device lvcreate -an -Zn -Wn -L 16M -n pieces vg0
         lvm $device lvcreate -an -Zn -Wn -L 32M -n swap vg0
         lvm $device lvextend -L 24M vg0/pieces
         lvm $device vgcfgbackup -f $1.vg vg0"
    );
    sh(&script, &[&volume]);
    let swap = bench.path("swap");
    sparse(&swap, 32 * MIB);
    sh(
        "mkswap -q -L swap1 -U 0c5c1f0e-6f0f-4c52-9a30-111111111111 $1; head -c 9M /dev/urandom |
        dd of=$1 bs=1M seek=2 conv=notrunc status=none",
        &[&swap],
    );
    // One after another, in extents of 4 MiB from 1 MiB on.
    bench.put(&volume, MIB, &bench.ext4("root", 64 * MIB));
    bench.put(&volume, 81 * MIB, &swap);
    let file = fs::OpenOptions::new().write(true).open(&volume).unwrap();
    for (piece, offset) in [(1, 65 * MIB), (2, 113 * MIB)] {
        file.write_all_at(&[piece; 4096], offset + 7 * MIB).unwrap();
    }
    volume
}

/// What LVM says of a volume.
fn report(volume: &Path) -> String {
    let script = format!(
        "{LVM}
         lvm $device pvck $device >/dev/null
         lvm $device pvs --noheadings -o pv_uuid,vg_uuid,vg_name,vg_seqno,pv_size,pv_free
         lvm $device pvs --noheadings --segments -o lv_name,lv_uuid,pvseg_start,pvseg_size"
    );
    sh(&script, &[volume])
}

#[test]
fn a_physical_volume_is_kept_by_the_blocks_in_use_of_its_logical_volumes() {
    ready();
    ezio_tests::programs::need(&["pvcreate", "vgcfgrestore", "pvck"]).unwrap();
    let bench = Bench::new();
    let (volume, image) = (physical_volume(&bench), bench.path("image"));
    let before = report(&volume);
    assert!(before.contains("root") && before.contains("pieces") && before.contains("swap"), "{before}");
    captured(&volume, &image, &[]);
    let shown = sh("$1 show $2", &[&ezio_tests::programs::find("image-builder").unwrap(), &image]);
    assert!(shown.contains("vg0/pieces: lies in several pieces: copied whole"), "{shown}");
    let kept: u64 =
        fs::read_dir(image.join("pv")).unwrap().map(|run| run.unwrap().metadata().unwrap().len()).sum();
    assert!(kept < 55 * MIB, "{kept} bytes of {SIZE}");

    let restored = bench.reassembled(&image, "pv", SIZE);
    assert_eq!(report(&restored), before);
    let part = |name: &str, offset: u64, size: u64| {
        let path = bench.path(name);
        sh(
            "dd if=$1 of=$2 bs=1M iflag=skip_bytes,count_bytes skip=$3 count=$4 status=none",
            &[&restored, &path, Path::new(&offset.to_string()), Path::new(&size.to_string())],
        );
        path
    };
    let root = part("root.new", MIB, 64 * MIB);
    sh("e2fsck -fn $1", &[&root]);
    bench.same_files(&root);
    let swap = sh("blkid -p -o value -s TYPE -s UUID -s LABEL $1", &[&part("swap.new", 81 * MIB, 32 * MIB)]);
    assert_eq!(swap, "swap1\n0c5c1f0e-6f0f-4c52-9a30-111111111111\nswap\n");
    for offset in [65 * MIB, 113 * MIB] {
        let size = if offset == 65 * MIB { 16 } else { 8 } * MIB;
        let (mut old, mut new) = (vec![0; size as usize], vec![0; size as usize]);
        fs::File::open(&volume).unwrap().read_exact_at(&mut old, offset).unwrap();
        fs::File::open(&restored).unwrap().read_exact_at(&mut new, offset).unwrap();
        assert!(old == new, "the piece at {offset}");
    }

    // Metadata of the second half of their ring, and some that were written over.
    sh(
        &format!(
            "{LVM} for i in $(seq 40); do lvm $device vgchange --addtag tag$i-$(head -c 300 /dev/zero | tr '\\0' x) vg0; done"
        ),
        &[&volume],
    );
    captured(&volume, &bench.path("again"), &[]);
    fs::OpenOptions::new().write(true).open(&volume).unwrap().write_all_at(&[0; 64], 4096).unwrap();
    let whole = bench.path("whole");
    captured(&volume, &whole, &[]);
    assert!(fs::metadata(whole.join("pv")).unwrap().is_file(), "what cannot be read is copied whole");
}
