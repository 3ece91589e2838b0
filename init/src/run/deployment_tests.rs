//! Deployment to disks that are files, from a seeder in this process; looked at with others' tools.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use ezio_contract::MachineId;
use ezio_image::conf::{Conf, Reuse};

use super::*;
use crate::fetch::Fetcher;
use crate::fetch::location::Location;
use crate::fetch::torrent::Torrent;
use crate::run::image::{Fetched, Image};
use crate::run::list_disks;
use crate::screen::Screen;
use crate::test_image::{DISK, MIB, PIECE, SWAP_UUID, TestImage, TestMachine, content, seeder, torrent};

async fn assignment(image: &Image, machine: &TestMachine, settings: &str) -> anyhow::Result<Assignment> {
    assignment_of(std::slice::from_ref(image), machine, settings)
}

fn assignment_of(images: &[Image], machine: &TestMachine, settings: &str) -> anyhow::Result<Assignment> {
    let conf = Conf::parse(&format!("image = \"test\"\n{settings}")).unwrap();
    let orders = conf.orders_for(&MachineId::default(), None).unwrap();
    Assignment::make(images, &orders, &list_disks(&machine.paths(), &[])?)
}

async fn fetched(image: &TestImage) -> Image {
    let folder = Location::Local(image.path().to_owned());
    Fetched::fetch(&folder, &Fetcher::new().unwrap(), None, &Screen::dark()).await.unwrap().one().unwrap()
}

async fn deploy(assignment: Assignment, from: &Swarm, moments: &Mutex<Vec<Moment>>) -> Deployed {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        peers: vec![from.listen_addr()],
        ..Config::default()
    };
    let cleared = Cleared::clear(assignment).unwrap();
    let filled = cleared.fill(config, |moment| moments.lock().unwrap().push(moment)).await.unwrap();
    filled.finish().unwrap()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_gets_table_payload_and_swap_and_sfdisk_reads_it() {
    let (image, machine) = (TestImage::new(), TestMachine::new(&[("sda", DISK + 3 * MIB)]));
    let seeder = seeder(&image.metainfo, &image.bytes).await;
    let moments = Mutex::default();
    let deployed =
        deploy(assignment(&fetched(&image).await, &machine, "").await.unwrap(), &seeder, &moments).await;
    let nodes: Vec<_> = deployed.expected_nodes().iter().map(|n| n.display().to_string()).collect();
    assert_eq!(nodes, ["block/sda/sda1", "block/sda/sda2"]);

    let moments = moments.into_inner().unwrap();
    let here = |wanted: fn(&Moment) -> bool| moments.iter().filter(|m| wanted(m)).count();
    assert_eq!(here(|m| matches!(m, Moment::FirstByte)), 1);
    assert_eq!(here(|m| matches!(m, Moment::LastByte(p) if p.done_bytes == p.total_bytes)), 1);

    let disk = machine.disk("sda");
    let bytes = fs::read(&disk).unwrap();
    let mut from = 0;
    for run in image.runs.extents() {
        let (start, length) = ((MIB + run.offset) as usize, run.length as usize);
        assert_eq!(bytes[start..start + length], image.bytes[from..from + length]);
        from += length;
    }
    assert_eq!(bytes[MIB as usize + 50_000..][..1000], [0; 1000], "old signatures are cleared");
    let unused = 6 * MIB as usize;
    assert_eq!(
        bytes[unused..unused + 1000],
        [0xee; 1000],
        "other blocks that are not in use are not written"
    );
    assert_eq!(bytes[..440], [0xeb; 440], "boot code");

    let path = disk.to_str().unwrap();
    let dump = output("/usr/sbin/sfdisk", &["--dump", path]);
    assert!(dump.contains("label-id: 0B4DE1C5-2B9A-4E4F-8D1B-3E6B9D7E5A11"), "{dump}");
    assert!(
        dump.contains("start=        2048, size=       16384") && dump.contains("name=\"root\""),
        "{dump}"
    );
    output("/usr/sbin/sgdisk", &["--verify", path]);
    let swap = ["-p", "-O", &(9 * MIB).to_string(), "-S", &(4 * MIB).to_string(), path].map(str::to_owned);
    let swap: Vec<&str> = swap.iter().map(String::as_str).collect();
    let blkid = output("/usr/sbin/blkid", &swap);
    assert!(blkid.contains(SWAP_UUID) && blkid.contains("LABEL=\"SWAP\""), "{blkid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_disks_become_alike() {
    let image = TestImage::new();
    let machine = TestMachine::new(&[("sda", DISK), ("sdb", DISK)]);
    let seeder = seeder(&image.metainfo, &image.bytes).await;
    let all = assignment(&fetched(&image).await, &machine, "[disk]\nall = true\n").await.unwrap();
    assert_eq!(all.paths().split(' ').count(), 2);
    deploy(all, &seeder, &Mutex::default()).await;
    let (a, b) = (fs::read(machine.disk("sda")).unwrap(), fs::read(machine.disk("sdb")).unwrap());
    assert!(a == b && a[510..512] == [0x55, 0xaa]);
}

/// The table is cleared first, as ever: where the content lies is known from the plan.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_again_is_found_on_its_disk() {
    let (image, machine) = (TestImage::new(), TestMachine::new(&[("sda", DISK)]));
    let seeder = seeder(&image.metainfo, &image.bytes).await;
    let fetched = fetched(&image).await;
    let again = async |reuse| {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            peers: vec![seeder.listen_addr()],
            reuse,
            ..Config::default()
        };
        let cleared = Cleared::clear(assignment(&fetched, &machine, "").await.unwrap()).unwrap();
        let filled = cleared.fill(config, |_| {}).await.unwrap();
        let progress = filled.finish().unwrap().progress;
        (progress.from_server_bytes, progress.kept_bytes, fs::read(machine.disk("sda")).unwrap())
    };
    let total = image.bytes.len() as u64;
    let (fetched, kept, first) = again(Reuse::Auto).await;
    assert_eq!((fetched, kept), (total, 0));
    let (fetched, kept, second) = again(Reuse::Auto).await;
    assert_eq!((fetched, kept), (0, total));
    assert!(first == second);
    assert_eq!(again(Reuse::Never).await.0, total);
}

/// Old signatures are cleared around it: of what the disk has of the image no byte.
#[tokio::test(flavor = "multi_thread")]
async fn some_of_the_image_is_found_among_old_content() {
    let image = TestImage::new();
    let seeder = seeder(&image.metainfo, &image.bytes).await;
    let fetched = fetched(&image).await;
    // Of its nine pieces.
    for there in [0b1, 0b1_0000_0000, 0b1010_0101, 0b0_1111_0000, 0b1_1111_1110] {
        let machine = TestMachine::new(&[("sda", DISK)]);
        let disk = DeviceStorage::new(
            Arc::new(fs::File::options().read(true).write(true).open(machine.disk("sda")).unwrap()),
            "sda",
            MIB,
            image.runs.clone(),
        );
        let mut expected = 0;
        for (index, piece) in image.bytes.chunks(PIECE as usize).enumerate() {
            if there >> index & 1 == 1 {
                disk.write_at(index as u64 * u64::from(PIECE), piece).unwrap();
                expected += piece.len() as u64;
            }
        }
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            peers: vec![seeder.listen_addr()],
            reuse: Reuse::Always,
            ..Config::default()
        };
        let cleared = Cleared::clear(assignment(&fetched, &machine, "").await.unwrap()).unwrap();
        let progress = cleared.fill(config, |_| {}).await.unwrap().finish().unwrap().progress;
        let total = image.bytes.len() as u64;
        assert_eq!((progress.kept_bytes, progress.from_server_bytes), (expected, total - expected));
        let mut read = vec![0; image.bytes.len()];
        disk.read_at(0, &mut read).unwrap();
        assert!(read == image.bytes);
    }
}

/// Each by its rule; a rule without any takes what is left.
#[tokio::test(flavor = "multi_thread")]
async fn two_images_go_onto_two_disks() {
    let (image, machine) = (TestImage::new(), TestMachine::new(&[("sda", DISK), ("sdb", DISK)]));
    let raw = torrent("data", &content(300_000), None);
    let images = [fetched(&image).await, Image::Torrent(Torrent::new(Arc::new(raw.clone())).unwrap())];
    let disks = "[[disk]]\nmodel = \"MODEL-sdb\"\n[[disk]]\nimage = \"data\"\n";
    let both = assignment_of(&images, &machine, disks).unwrap();
    assert_eq!(both.images, ["test", "data"]);
    assert_eq!(both.payload_bytes(), image.bytes.len() as u64 + 300_000);
    let targets: Vec<PathBuf> = both.targets.iter().map(|target| target.path.clone()).collect();
    assert_eq!(targets, [machine.disk("sdb"), machine.disk("sda")]);

    let (system, data) = (seeder(&image.metainfo, &image.bytes).await, seeder(&raw, &content(300_000)).await);
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        peers: vec![system.listen_addr(), data.listen_addr()],
        ..Config::default()
    };
    Cleared::clear(both).unwrap().fill(config, |_| {}).await.unwrap().finish().unwrap();
    assert_eq!(fs::read(machine.disk("sda")).unwrap()[..300_000], content(300_000));
    assert_eq!(fs::read(machine.disk("sdb")).unwrap()[510..512], [0x55, 0xaa]);

    // Both rules want the same disk: the second is told who has it.
    let alike = "[[disk]]\nmodel = \"MODEL-sda\"\n[[disk]]\nimage = \"data\"\nmodel = \"MODEL-sda\"\n";
    let text = format!("{:#}", assignment_of(&images, &machine, alike).unwrap_err());
    assert!(text.contains("image data") && text.contains("it gets the image test"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_disk_has_nothing_to_boot() {
    let (image, machine) = (TestImage::new(), TestMachine::new(&[("sda", DISK)]));
    let raw = torrent("disk", &image.bytes, None);
    let seeder = seeder(&raw, &image.bytes).await;
    let assignment =
        assignment(&Image::Torrent(Torrent::new(Arc::new(raw)).unwrap()), &machine, "").await.unwrap();
    let cleared = Cleared::clear(assignment).unwrap();
    let disk = machine.disk("sda");
    let head = |length: usize| fs::read(&disk).unwrap()[..length].to_vec();
    assert_eq!(head(MIB as usize), vec![0; MIB as usize], "cleared first");
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        peers: vec![seeder.listen_addr()],
        ..Config::default()
    };
    let filled = cleared.fill(config, |_| {}).await.unwrap();
    assert_eq!(head(image.bytes.len()), vec![0; image.bytes.len()], "the head of a raw image comes last");
    filled.finish().unwrap();
    assert_eq!(head(image.bytes.len()), image.bytes);
}

#[tokio::test]
async fn the_wrong_disk_is_never_written() {
    let image = fetched(&TestImage::new()).await;
    for (disks, settings, words) in [
        (&[][..], "", &["no disk"][..]),
        (&[("sda", DISK), ("sdb", DISK)], "", &["2 disks fit", "MODEL-sda", "MODEL-sdb"]),
        (&[("sda", 8 * MIB)], "", &["too small by", "MODEL-sda"]),
        (&[("sda", DISK)], "[disk]\nmodel = \"OTHER*\"\n", &["no disk fits", "MODEL-sda"]),
        (&[("sda", DISK), ("sdb", 8 * MIB)], "[disk]\nall = true\n", &["too small", "MODEL-sdb"]),
    ] {
        let machine = TestMachine::new(disks);
        let text = format!("{:#}", assignment(&image, &machine, settings).await.unwrap_err());
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
        for (name, size) in disks {
            let bytes = fs::read(machine.disk(name)).unwrap();
            assert!(bytes.len() as u64 == *size && bytes.iter().all(|b| *b == 0xee), "{name} was touched");
        }
    }
}

#[tokio::test]
async fn a_disk_that_changed_since_it_was_chosen_is_refused() {
    let machine = TestMachine::new(&[("sda", DISK)]);
    let assignment = assignment(&fetched(&TestImage::new()).await, &machine, "").await.unwrap();
    fs::write(machine.disk("sda"), [0xee; 512]).unwrap();
    let text = format!("{:#}", Cleared::clear(assignment).err().unwrap());
    assert!(text.contains("another disk"), "{text}");
    assert_eq!(fs::read(machine.disk("sda")).unwrap(), [0xee; 512]);
}

#[tokio::test]
async fn the_plan_is_shown_before_anything_is_done() {
    let machine = TestMachine::new(&[("sda", DISK)]);
    let text = assignment(&fetched(&TestImage::new()).await, &machine, "").await.unwrap().to_string();
    for word in ["MODEL-sda", "sda1", "swap sda2", "GPT"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}
