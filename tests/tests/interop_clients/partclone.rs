//! Partclone's files of runs, as other programs make torrents of them and seed them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ezio_image::metainfo::Metainfo;
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::{Process, free_port, run};
use ezio_tests::programs;

use super::{Opentracker, SIZE, aria2_seeder, libtorrent_seeder, said_on, write};

/// The blocks of an ext4 as partclone lays them out for BitTorrent (`-T`), and what it says of them.
struct PartcloneRuns {
    folder: PathBuf,
    info: String,
}

impl PartcloneRuns {
    fn of(partition: &Path, folder: PathBuf) -> Self {
        let mut partclone = Command::new("partclone.ext4");
        partclone.args(["-c", "-d", "-T", "-L", "/dev/null", "-s"]).arg(partition).arg("-o").arg(&folder);
        run(partclone.stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
        let info = fs::read_to_string(folder.join("torrent.info")).unwrap();
        // It is no run.
        fs::remove_file(folder.join("torrent.info")).unwrap();
        Self { folder, info }
    }

    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.info.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": "))
    }
}

#[test]
fn the_run_files_of_partclone_become_the_file_system_again() {
    programs::need(&["transmission-create", "partclone.ext4", "mkfs.ext4", "e2fsck", "debugfs"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("files")).unwrap();
    let mut noise = Vec::new();
    fs::File::open("/dev/urandom").unwrap().take(SIZE).read_to_end(&mut noise).unwrap();
    fs::write(path("files/noise"), &noise).unwrap();
    let sized = |name: &str| fs::File::create(path(name)).unwrap().set_len(64 << 20).unwrap();
    sized("partition");
    run(Command::new("mkfs.ext4").args(["-q", "-d"]).arg(path("files")).arg(path("partition"))).unwrap();
    let runs = PartcloneRuns::of(&path("partition"), path("sda1"));
    let torrent = path("sda1.torrent");
    let mut create = Command::new("transmission-create");
    create.args(["--piecesize", "16384", "--outfile"]).arg(&torrent).arg(&runs.folder);
    run(create.stdout(Stdio::null())).unwrap();

    // We read the torrent as partclone means it.
    let metainfo = Metainfo::parse(&fs::read(&torrent).unwrap()).unwrap();
    let extents = metainfo.extents().unwrap();
    let hex = |number: u64| format!("{number:032x}");
    assert!(extents.extents().iter().map(|run| hex(run.offset)).eq(runs.values("offset")), "{}", runs.info);
    assert!(extents.extents().iter().map(|run| hex(run.length)).eq(runs.values("length")), "{}", runs.info);
    let hashes = (0..metainfo.piece_count()).map(|piece| metainfo.piece_hash(piece).unwrap());
    let hashes = hashes.map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    assert!(hashes.eq(runs.values("sha1")), "{}", runs.info);

    // libtorrent's own torrents have padding between the files (BEP 47).
    let padded = path("padded.torrent");
    programs::need_python("libtorrent", "python3-libtorrent").unwrap();
    let mut create = Command::new(programs::PYTHON);
    run(create.arg(programs::own_file("scripts/libtorrent_create.py")).arg(&runs.folder).arg(&padded))
        .unwrap();
    let padding = |bytes: Vec<u8>| Metainfo::parse(&bytes).unwrap().files().iter().any(|file| file.padding);
    assert!(padding(fs::read(&padded).unwrap()));

    for torrent in [torrent, padded] {
        let port = free_port().unwrap();
        let _seeder = libtorrent_seeder(&torrent, folder.path(), port);
        sized("written");
        let peer = format!("127.0.0.1:{port}");
        run(write(&torrent, &path("written")).args(["--peer", &peer]).stdout(Stdio::null())).unwrap();
        run(Command::new("e2fsck").args(["-f", "-n"]).arg(path("written")).stdout(Stdio::null())).unwrap();
        let dump = format!("dump /noise {}", path("copy").display());
        run(Command::new("debugfs").args(["-R", &dump]).arg(path("written")).stderr(Stdio::null())).unwrap();
        assert!(fs::read(path("copy")).unwrap() == noise, "the file differs");
        fs::remove_file(path("written")).unwrap();
    }
}

/// The form in which `ezio.conf` was first documented, a torrent of partclone's runs, a tracker and a seeder of others.
#[test]
fn a_torrent_of_clonezillas_is_deployed_by_the_two_keys() {
    programs::need_root().unwrap();
    programs::need(&["transmission-create", "partclone.ext4", "mkfs.ext4", "e2fsck", "sfdisk", "partx"])
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("files")).unwrap();
    fs::write(path("files/noise"), vec![7; 3 << 20]).unwrap();
    fs::File::create(path("partition")).unwrap().set_len(16 << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-d"]).arg(path("files")).arg(path("partition"))).unwrap();
    let runs = PartcloneRuns::of(&path("partition"), path("sda1"));
    let (made, torrent) = (path("made.torrent"), path("sda1.torrent"));
    let mut create = Command::new("transmission-create");
    create.args(["--piecesize", "16384", "--outfile"]).arg(&made).arg(&runs.folder);
    run(create.stdout(Stdio::null())).unwrap();
    let tracker = Opentracker::start(&made);
    let metainfo = Metainfo::parse(&fs::read(&made).unwrap()).unwrap();
    fs::write(&torrent, metainfo.to_torrent(&[tracker.announce("http")])).unwrap();
    let _seeder = aria2_seeder(&torrent, folder.path(), free_port().unwrap());

    let disk = Loop::blank(&path("disk"), 20 << 20).unwrap();
    let partitioned =
        format!("echo 'start=2048, size=32768' | sfdisk -q --no-reread {0} && partx --add {0}", disk.0);
    run(Command::new("sh").args(["-c", &partitioned])).unwrap();
    let conf = format!("TORRENT={}\nTARGET={}p1\n", torrent.display(), disk.0);
    fs::write(path("ezio.conf"), conf).unwrap();
    let mut deploy = Command::new(programs::find("ezio-init").unwrap());
    deploy.args(["deploy", "--yes", "--conf"]).arg(path("ezio.conf")).args(["--disk", &disk.0]);
    let mut deploy = Process::start(deploy.stderr(Stdio::piped())).unwrap();
    // All is on the disk; the seeding policy holds, for nobody knows the room.
    said_on(deploy.0.stderr.take().unwrap(), b'\n', "serving others");
    run(Command::new("e2fsck").args(["-f", "-n", &format!("{}p1", disk.0)]).stdout(Stdio::null())).unwrap();
    // What was never written is zero on both.
    let written = fs::read(path("disk")).unwrap();
    assert!(written[1 << 20..17 << 20] == fs::read(path("partition")).unwrap());
}
