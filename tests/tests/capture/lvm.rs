//! A physical volume of LVM is kept by what is in use in its logical volumes.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::bench::*;

const SIZE: u64 = 292 * MIB;
/// Bytes of an extent, and of what lies before the first one.
const EXTENT: u64 = 4 * MIB;
const FIRST: u64 = MIB;
/// LVM on the file `$1`, from byte `$2` on or all of it, without device-mapper: `lvm COMMAND…`.
const LVM: &str = r#"
    exec 2>&1
    device=$(losetup --find --show --offset ${2:-0} --sizelimit ${3:-0} $1)
    trap 'losetup --detach $device' EXIT
    accepted="\"a|^$device\$|\""
    lvm() {
        local command=$1
        shift
        LVM_SUPPRESS_FD_WARNINGS=1 "$command" --quiet --driverloaded n --config \
            "global/activation=0 devices/use_devicesfile=0 devices/filter=[$accepted,\"r|.*|\"]" "$@"
    }
"#;

fn ready_for_lvm() {
    ready();
    ezio_tests::programs::need(&["pvcreate", "vgcfgrestore", "pvck", "vgck"]).unwrap();
}

/// What LVM says of a volume.
fn report(volume: &Path) -> String {
    let script = format!(
        "{LVM}
         lvm pvck $device >/dev/null; lvm vgck vg0
         lvm pvs --noheadings -o pv_uuid,vg_uuid,vg_name,vg_seqno,pv_size,pv_free
         lvm pvs --noheadings --segments -o lv_name,lv_uuid,pvseg_start,pvseg_size
         lvm pvck --dump metadata $device; lvm pvck --dump headers $device | sed s:$device::
         lvm vgcfgbackup -f $1.vg vg0; lvm vgcfgrestore --test --force -y -f $1.vg vg0; rm $1.vg"
    );
    sh(&script, &[volume])
        .lines()
        .filter(|line| !line.contains("loop") && !line.contains(".vg"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Bytes of a file.
fn bytes(path: &Path, range: Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    File::open(path).unwrap().read_exact_at(&mut bytes, range.start).unwrap();
    bytes
}

/// Puts pieces of `from` into `to`: (byte there, byte here, length).
fn spread(from: &Path, to: &Path, pieces: impl IntoIterator<Item = (u64, u64, u64)>) {
    let to = fs::OpenOptions::new().write(true).create(true).truncate(false).open(to).unwrap();
    for (there, here, length) in pieces {
        to.write_all_at(&bytes(from, here..here + length), there).unwrap();
    }
}

/// Byte at which an extent begins.
fn extent(number: u64) -> u64 {
    FIRST + number * EXTENT
}

/// Bytes that an image keeps of a partition.
fn kept(image: &Path, name: &str) -> u64 {
    fs::read_dir(image.join(name)).unwrap().map(|run| run.unwrap().metadata().unwrap().len()).sum()
}

/// What `image-builder show` prints.
fn shown(image: &Path) -> String {
    sh("$1 show $2", &[&ezio_tests::programs::find("image-builder").unwrap(), image])
}

/// Fails unless this is a clean ext4 with the bench's files.
fn assert_files(bench: &Bench, volume: &Path) {
    sh("e2fsck -fn $1", &[volume]);
    bench.same_files(volume);
}

/// A physical volume with a root, swap, another file system that lies in two pieces, and free space.
fn physical_volume(bench: &Bench) -> PathBuf {
    let volume = bench.path("pv");
    sparse(&volume, SIZE);
    let script = format!(
        "{LVM}
         lvm pvcreate $device; lvm vgcreate vg0 $device
         lvm lvcreate -an -Zn -Wn -L 64M -n root vg0
         lvm lvcreate -an -Zn -Wn -L 16M -n pieces vg0
         lvm lvcreate -an -Zn -Wn -L 32M -n swap vg0
         lvm lvextend -L 48M vg0/pieces
         lvm vgcfgbackup -f $1.vg vg0"
    );
    sh(&script, &[&volume]);
    let swap = bench.path("swap");
    sparse(&swap, 32 * MIB);
    sh(
        "mkswap -q -L swap1 -U 0c5c1f0e-6f0f-4c52-9a30-111111111111 $1; head -c 9M /dev/urandom |
        dd of=$1 bs=1M seek=2 conv=notrunc status=none",
        &[&swap],
    );
    // One after another.
    bench.put(&volume, extent(0), &bench.ext4("root", 64 * MIB));
    bench.put(&volume, extent(20), &swap);
    spread(&bench.ext4("pieces", 48 * MIB), &volume, PIECES);
    volume
}

/// Of the volume in two pieces: byte of the physical volume, own byte, length.
const PIECES: [(u64, u64, u64); 2] =
    [(FIRST + 16 * EXTENT, 0, 16 * MIB), (FIRST + 28 * EXTENT, 16 * MIB, 32 * MIB)];

#[test]
fn a_physical_volume_is_kept_by_the_blocks_in_use_of_its_logical_volumes() {
    ready_for_lvm();
    let bench = Bench::new();
    let (volume, image) = (physical_volume(&bench), bench.path("image"));
    let before = report(&volume);
    assert!(before.contains("root") && before.contains("pieces") && before.contains("swap"), "{before}");
    captured(&volume, &image, &[]);
    assert!(!shown(&image).contains("copied whole"), "{}", shown(&image));
    let kept = kept(&image, "pv");
    assert!(kept < 40 * MIB, "{kept} bytes of {SIZE}");

    let restored = bench.reassembled(&image, "pv", SIZE);
    assert_eq!(report(&restored), before);
    let part = |name: &str, pieces: &[(u64, u64, u64)]| {
        let path = bench.path(name);
        spread(&restored, &path, pieces.iter().map(|&(there, here, length)| (here, there, length)));
        path
    };
    assert_files(&bench, &part("root.new", &[(extent(0), 0, 64 * MIB)]));
    assert_files(&bench, &part("pieces.new", &PIECES));
    let swap = part("swap.new", &[(extent(20), 0, 32 * MIB)]);
    let swap = sh("blkid -p -o value -s TYPE -s UUID -s LABEL $1", &[&swap]);
    assert_eq!(swap, "swap1\n0c5c1f0e-6f0f-4c52-9a30-111111111111\nswap\n");

    // Metadata of the second half of their ring, and some that were written over.
    sh(
        &format!(
            "{LVM} for i in $(seq 40); do lvm vgchange --addtag tag$i-$(head -c 300 /dev/zero | tr '\\0' x) vg0; done"
        ),
        &[&volume],
    );
    captured(&volume, &bench.path("again"), &[]);
    fs::OpenOptions::new().write(true).open(&volume).unwrap().write_all_at(&[0; 64], 4096).unwrap();
    let whole = bench.path("whole");
    captured(&volume, &whole, &[]);
    assert!(fs::metadata(whole.join("pv")).unwrap().is_file(), "what cannot be read is copied whole");
}

/// Bytes that lie on one stripe before the next comes, and of each of the two physical volumes.
const CHUNK: u64 = 64 << 10;
const HALF: u64 = 100 * MIB;

#[test]
fn a_striped_volume_on_two_physical_ones_of_a_disk_is_kept_by_its_blocks_in_use() {
    ready_for_lvm();
    let bench = Bench::new();
    let (disk, image) = (bench.path("disk"), bench.path("image"));
    sparse(&disk, 202 * MIB);
    sh("printf 'label: gpt\nstart=1MiB, size=100MiB\nstart=101MiB, size=100MiB\n' | sfdisk -q $1", &[&disk]);
    let script = format!(
        "{LVM}
         second=$(losetup --find --show --offset $((101 << 20)) --sizelimit $((100 << 20)) $1)
         trap 'losetup --detach $device $second' EXIT
         accepted+=\",\\\"a|^$second\\$|\\\"\"
         lvm pvcreate $device $second; lvm vgcreate vg0 $device $second
         lvm lvcreate -an -Zn -Wn -i 2 -I 64k -L 128M -n stripes vg0
         lvm lvcreate -an -Zn -Wn -l 100%FREE -n both vg0
         lvm lvs --noheadings -o devices vg0 | sed s:$device:first:\\;s:$second:second:"
    );
    let (offset, size) = (MIB.to_string(), HALF.to_string());
    let said = sh(&script, &[&disk, Path::new(&offset), Path::new(&size)]);
    assert!(said.contains("first(0),second(0)") && said.contains("second(16)"), "{said}");
    let begin = |half: u64| (1 + half * 100) * MIB + FIRST;
    let stripes = (0..128 * MIB / CHUNK).map(|n| (begin(n % 2) + n / 2 * CHUNK, n * CHUNK, CHUNK));
    // The other one has the last eight extents of both.
    let both = (0..2).map(|half| (begin(half) + 16 * EXTENT, half * 32 * MIB, 32 * MIB));
    spread(&bench.ext4("stripes", 128 * MIB), &disk, stripes.clone());
    spread(&bench.ext4("both", 64 * MIB), &disk, both.clone());
    captured(&disk, &image, &[]);
    assert!(!shown(&image).contains("copied whole"), "{}", shown(&image));
    let kept = kept(&image, "sda1") + kept(&image, "sda2");
    assert!(kept < 50 * MIB, "{kept}");

    let restored = bench.path("restored");
    for (half, name) in [(0, "sda1"), (1, "sda2")] {
        bench.put(&restored, (1 + half * 100) * MIB, &bench.reassembled(&image, name, HALF));
    }
    for (name, size, pieces) in
        [("stripes.new", 128, stripes.collect::<Vec<_>>()), ("both.new", 64, both.clone().collect())]
    {
        let path = bench.path(name);
        sparse(&path, size * MIB);
        spread(&restored, &path, pieces.into_iter().map(|(there, here, length)| (here, there, length)));
        assert_files(&bench, &path);
    }

    // Both on disks of their own, in one image: what lies on both is whole there.
    let (half, other, set) = (bench.path("half"), bench.path("other"), bench.path("set"));
    spread(&disk, &half, [(0, MIB, HALF)]);
    spread(&disk, &other, [(0, 101 * MIB, HALF)]);
    let builder = ezio_tests::programs::find("image-builder").unwrap();
    sh("$1 capture --no-progress --store files $2 $3 -o $4", &[&builder, &half, &other, &set]);
    assert!(shown(&set).contains("vg0/both: lies on other disks too: copied whole"), "{}", shown(&set));
    for (image, name, begin) in [("sda", "half", MIB), ("sdb", "other", 101 * MIB)] {
        bench.put(&restored, begin, &bench.reassembled(&set.join(image), name, HALF));
    }
    let path = bench.path("both.set");
    sparse(&path, 64 * MIB);
    spread(&restored, &path, both.map(|(there, here, length)| (here, there, length)));
    assert_files(&bench, &path);

    // One of the two alone.
    let alone = bench.path("alone");
    captured(&half, &alone, &[]);
    assert!(
        shown(&alone).contains("vg0/stripes: lies on other disks too: copied whole"),
        "{}",
        shown(&alone)
    );
}

/// Logical volumes that take device-mapper to be made, as LVM describes them: name, status, extents, segment. Those that
/// are a number lie from that extent on.
const OTHERS: &str = r#"
    lv origin VISIBLE 4 0
    lv snap VISIBLE 2 4
    lv snapshot0 - 4 'type = "snapshot" chunk_size = 8 origin = "origin" cow_store = "snap"'
    lv pool VISIBLE 4 'type = "thin-pool" metadata = "pool_tmeta" pool = "pool_tdata" transaction_id = 1
        chunk_size = 128 discards = "passdown" zero_new_blocks = 1'
    lv thin VISIBLE 8 'type = "thin" thin_pool = "pool" transaction_id = 0 device_id = 1'
    lv pool_tmeta - 1 6
    lv pool_tdata - 4 7
    lv mirrored VISIBLE 4 'type = "raid1" device_count = 2 region_size = 4096
        raids = [ "mirrored_rmeta_0", "mirrored_rimage_0", "mirrored_rmeta_1", "mirrored_rimage_1" ]'
    lv mirrored_rmeta_0 - 1 12
    lv mirrored_rimage_0 - 4 13
    lv mirrored_rmeta_1 - 1 17
    lv mirrored_rimage_1 - 4 18
    lv slow VISIBLE 4 'type = "cache" cache_pool = "fast_cvol" origin = "slow_corig" metadata_format = 2
        chunk_size = 128 cache_mode = "writethrough" policy = "smq" metadata_start = 0 metadata_len = 1024
        data_start = 1024 data_len = 7168 metadata_id = "aaaaaa-abcd-abcd-abcd-abcd-abcd-aaaaaa"
        data_id = "bbbbbb-abcd-abcd-abcd-abcd-abcd-bbbbbb"'
    lv slow_corig - 4 22
    lv fast_cvol CACHE_VOL 4 26
    lv plain VISIBLE 4 30
"#;

/// What of these lies on the physical volume itself, and is more than its blocks in use.
const WHOLE: [(&str, u64, u64); 10] = [
    ("origin", 0, 4),
    ("snap", 4, 2),
    ("pool_tmeta", 6, 1),
    ("pool_tdata", 7, 4),
    ("mirrored_rmeta_0", 12, 1),
    ("mirrored_rimage_0", 13, 4),
    ("mirrored_rmeta_1", 17, 1),
    ("mirrored_rimage_1", 18, 4),
    ("slow_corig", 22, 4),
    ("fast_cvol", 26, 4),
];

#[test]
fn thin_mirrored_and_cached_volumes_and_snapshots_are_copied_whole_and_said() {
    ready_for_lvm();
    let bench = Bench::new();
    let (volume, image) = (bench.path("pv"), bench.path("image"));
    sparse(&volume, 200 * MIB);
    let script = format!(
        r#"{LVM}
        lvm pvcreate $device; lvm vgcreate vg0 $device
        lvm lvcreate -an -Zn -Wn -L 16M -n origin vg0
        lvm vgcfgbackup -f $1.vg vg0
        count=10
        lv() {{
            count=$((count + 1))
            case $4 in
            type*) segment=$4 ;;
            *) segment="type = \"striped\" stripe_count = 1 stripes = [ \"pv0\", $4 ]" ;;
            esac
            echo "$1 {{ id = \"$count$count$count-abcd-abcd-abcd-abcd-abcd-$count$count$count\" flags = []
                status = [\"READ\", \"WRITE\", \"$2\"] segment_count = 1
                segment1 {{ start_extent = 0 extent_count = $3 $segment }} }}" | sed 's/, "-"//'
        }}
        {{ sed '/logical_volumes {{/q' $1.vg; {OTHERS} echo '}} }}'; }} >$1.new
        lvm vgcfgrestore --force -y -f $1.new vg0
        lvm lvs -a --noheadings -o lv_name,segtype,devices vg0"#
    );
    // LVM takes them for what they are.
    let said = sh(&script, &[&volume]);
    for kind in ["thin-pool", "raid1", "cache ", "thin ", "mirrored_rimage_1(0)", "slow_corig(0)"] {
        assert!(said.contains(kind), "{kind}: {said}");
    }
    for (name, begin, length) in WHOLE.into_iter().chain([("plain", 30, 4)]) {
        // A file system in each: whether it looks as one that could be mapped does not matter.
        let tree = bench.path("empty");
        fs::create_dir_all(&tree).unwrap();
        let part = bench.path(name);
        sparse(&part, length * EXTENT);
        sh(
            "mkfs.ext4 -q -d $2 $1 && printf x | dd of=$1 bs=1 seek=3M conv=notrunc status=none",
            &[&part, &tree],
        );
        bench.put(&volume, extent(begin), &part);
    }
    let before = report(&volume);
    captured(&volume, &image, &[]);
    let shown = shown(&image);
    let restored = bench.reassembled(&image, "pv", 200 * MIB);
    assert_eq!(report(&restored), before);
    for (name, begin, length) in WHOLE {
        assert!(
            shown.contains(&format!("vg0/{name}: is a part of a volume that is thin")),
            "{name}: {shown}"
        );
        let range = extent(begin)..extent(begin + length);
        assert!(bytes(&volume, range.clone()) == bytes(&restored, range), "{name}");
    }
    assert!(!shown.contains("vg0/plain"), "{shown}");
    let (range, whole) = (extent(30)..extent(34), bytes(&volume, extent(30)..extent(34)));
    assert!(whole != bytes(&restored, range), "what is not in use is copied");
}
