//! A volume that says where it lies, on a partition that begins elsewhere.

use std::process::Command;
use std::time::{Duration, Instant};

use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::{Process, Server, free_port};
use ezio_tests::programs;

use crate::bench::{Bench, MIB, sh, text};

/// First sector of the partition that is written; the source's begins at 2048.
const START: u64 = 80 * MIB / 512;

/// What the boot sector of NTFS and its copy in the last sector say of their place.
fn assert_hidden_sectors(partition: &str, expected: u64) {
    for at in [28, 64 * MIB - 512 + 28] {
        let said = sh("od -An -tu4 -j$2 -N4 $1", &[partition, &at.to_string()]);
        assert_eq!(said.trim(), expected.to_string(), "at byte {at} of {partition}");
    }
}

#[test]
fn ntfs_says_where_it_lies_and_is_served_as_it_was() {
    programs::need(&["mkntfs", "ntfsfix", "partx"]).unwrap();
    let bench = Bench::new();
    let source = bench.sparse("source.img", 80 * MIB);
    sh(
        "printf 'label: gpt\\nsize=64M, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7' | sfdisk -q $1",
        &[text(&source)],
    );
    let part = Loop::new(&source, MIB, 64 * MIB).unwrap();
    sh(
        "mkntfs -q -Q -F -p 2048 $1 2>/dev/null; head -c 5M /dev/urandom > $2; ntfscp -q $1 $2 noise",
        &[&part.0, text(&bench.path("noise"))],
    );
    let (image, _) = bench.capture(&source, "image");

    let target = Loop::blank(&bench.path("target.img"), 300 * MIB).unwrap();
    sh(
        "printf 'label: gpt\nstart=80M, size=64M, name=one\nsize=64M, name=two\n' | sfdisk -q --no-reread $1
         partx --update $1",
        &[&target.0],
    );
    let (one, two) = (format!("{}p1", target.0), format!("{}p2", target.0));
    let said = bench.deploy(&image, &target.0, "target = \"LABEL=one\"\n");
    assert!(said.contains("begins at sector 163840 (on the source: 2048)"), "{said}");
    assert_hidden_sectors(&one, START);
    sh("ntfsfix -n $1; ntfscat $1 noise | cmp - $2", &[&one, text(&bench.path("noise"))]);

    // The next one gets everything from one that has changed it already.
    let server = Server::start(&image, &[]).unwrap();
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let init = programs::find("ezio-init").unwrap();
    let torrent = format!("{}images/image/sda1.torrent", server.url);
    let mut first = Command::new(&init);
    first.args([
        "write",
        "--yes",
        &torrent,
        &one,
        "--progress",
        "none",
        "--seed",
        "forever",
        "--listen",
        &address,
    ]);
    sh("dd if=/dev/zero of=$1 bs=1M count=1 status=none", &[&one]);
    let _first = Process::start(&mut first).unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while sh("od -An -tu4 -j28 -N4 $1", &[&one]).trim() != START.to_string() {
        assert!(Instant::now() < patience, "the first has not ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(server);
    let local = image.join("sda1.torrent");
    let mut second = Command::new(&init);
    second.args(["write", "--yes", text(&local), &two, "--progress", "none", "--peer", &address]);
    assert!(Process::start(&mut second).unwrap().wait(Duration::from_secs(60)).unwrap().success());
    assert_hidden_sectors(&two, START + 64 * MIB / 512);
    sh("ntfsfix -n $1; ntfscat $1 noise | cmp - $2", &[&two, text(&bench.path("noise"))]);
}
