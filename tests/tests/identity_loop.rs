//! Clones are no twins: systems on ext4, XFS and a btrfs subvolume are deployed to a loop device, and get names and ids of
//! their own; looked at through the kernel and with the tools of others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ezio_tests::loop_deploy::{deploy, output, partition, run, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
const OLD_ID: &str = "0123456789abcdef0123456789abcdef";
/// Of the root on ext4, in the golden table.
const OLD_PARTITION: &str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
const SIZES: [u64; 3] = [32 * MIB, 320 * MIB, 128 * MIB];

/// Mounts a device for as long as `look` takes.
fn mounted<T>(device: &str, options: &str, look: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    output("mount", &["-o", options, device, text(folder.path())]);
    let seen = look(folder.path());
    output("umount", &[text(folder.path())]);
    seen
}

fn system(root: &Path) {
    for path in ["etc/ssh", "var/lib/dbus", "var/lib/systemd", "boot/grub"] {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
    write("etc/fstab", &format!("PARTUUID={OLD_PARTITION} / ext4 defaults 0 1\n"));
    write("boot/grub/grub.cfg", &format!("linux /vmlinuz root=PARTUUID={OLD_PARTITION} ro\n"));
    write("etc/hostname", "golden\n");
    write("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 golden.lab golden\n");
    write("etc/machine-id", &format!("{OLD_ID}\n"));
    symlink("/etc/machine-id", root.join("var/lib/dbus/machine-id")).unwrap();
    write("var/lib/systemd/random-seed", &"x".repeat(512));
    write("etc/ssh/ssh_host_ed25519_key", "old");
    fs::set_permissions(root.join("etc/ssh/ssh_host_ed25519_key"), fs::Permissions::from_mode(0o600))
        .unwrap();
}

/// A disk with three systems, each on another file system.
fn golden_disk(folder: &Path) -> PathBuf {
    let disk = folder.join("golden.img");
    fs::File::create(&disk).unwrap().set_len(SIZES.iter().sum::<u64>() + 2 * MIB).unwrap();
    let [ext4, xfs, btrfs] = SIZES.map(|size| size / MIB);
    partition(
        text(&disk),
        &format!("label: gpt\nsize={ext4}MiB, uuid={OLD_PARTITION}\nsize={xfs}MiB\nsize={btrfs}MiB\n"),
        &folder.join("table"),
    );
    let mut start = MIB;
    for (size, mkfs) in SIZES.into_iter().zip([
        &["/usr/sbin/mkfs.ext4", "-q"][..],
        &["/usr/sbin/mkfs.xfs", "-q"],
        &["/usr/sbin/mkfs.btrfs", "-q"],
    ]) {
        let device = Loop::new(&disk, start, size).unwrap();
        output(mkfs[0], &[mkfs[1], &device.0]);
        mounted(&device.0, "rw", |root| match mkfs[0] {
            program if program.ends_with("btrfs") => {
                output("btrfs", &["subvolume", "create", text(&root.join("@"))]);
                system(&root.join("@"));
            }
            _ => system(root),
        });
        start += size;
    }
    disk
}

fn capture(disk: &Path, image: &Path) {
    output(text(&programs::find("image-builder").unwrap()), &["capture", text(disk), "-o", text(image)]);
}

fn serve(image: &Path, conf: &str) -> Server {
    let file = image.with_file_name("ezio.conf");
    fs::write(&file, conf).unwrap();
    Server::start(image, &["--conf", text(&file)]).unwrap()
}

fn pxe(server: &Server, arguments: &[&str]) -> String {
    let program = programs::find("ezio-pxe").unwrap();
    output(text(&program), &[arguments, &["--state", text(&server.state)]].concat())
}

fn need() {
    programs::need_root().unwrap();
    mounts::keep_private().unwrap();
    programs::need(&["sfdisk", "partclone.ext4", "mkfs.xfs", "mkfs.btrfs", "ssh-keygen", "blkid"]).unwrap();
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

/// Looks at a system that should have been renewed; its machine-id and the public half of its key.
fn check_system(root: &Path, partition: &str) -> [String; 2] {
    assert_eq!(read(root, "etc/hostname"), "lab-01\n");
    assert_eq!(read(root, "etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 lab-01.lab lab-01\n");
    assert_eq!(read(root, "etc/fstab"), format!("PARTUUID={partition} / ext4 defaults 0 1\n"));
    assert!(read(root, "boot/grub/grub.cfg").contains(&format!("root=PARTUUID={partition} ro")));
    assert!(root.join("var/lib/dbus/machine-id").is_symlink());
    let seed = fs::read(root.join("var/lib/systemd/random-seed")).unwrap();
    assert!(seed.len() == 512 && seed != [b'x'; 512]);
    let key = root.join("etc/ssh/ssh_host_ed25519_key");
    let public = read(root, "etc/ssh/ssh_host_ed25519_key.pub");
    assert_eq!(output("ssh-keygen", &["-y", "-f", text(&key)]), public);
    let leftovers = fs::read_dir(root.join("etc")).unwrap().flatten();
    assert!(leftovers.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    [read(root, "etc/machine-id").trim().to_owned(), public]
}

/// What differs between clones, of all systems on a target.
fn check_clone(device: &Loop) -> Vec<String> {
    let uuid = |number: usize| {
        output(
            "/usr/sbin/blkid",
            &["-p", "-o", "value", "-s", "PART_ENTRY_UUID", &format!("{}p{number}", device.0)],
        )
    };
    let partition = uuid(1).trim().to_owned();
    assert_ne!(partition, OLD_PARTITION);
    let mut own: Vec<String> = (1..=3).map(uuid).collect();
    let systems = [(1, "ro", ""), (2, "ro,nouuid", ""), (3, "ro", "@")];
    for (number, options, folder) in systems {
        let look = |root: &Path| check_system(&root.join(folder), &partition);
        let [id, key] = mounted(&format!("{}p{number}", device.0), options, look);
        assert!(id.len() == 32 && id != OLD_ID, "{id}");
        own.extend([format!("machine-id {id}"), key]);
    }
    output("/usr/sbin/e2fsck", &["-f", "-n", &format!("{}p1", device.0)]);
    output("/usr/sbin/xfs_repair", &["-n", &format!("{}p2", device.0)]);
    output("btrfs", &["check", "--readonly", &format!("{}p3", device.0)]);
    output("/usr/sbin/sgdisk", &["--verify", &device.0]);
    own
}

#[test]
fn each_clone_gets_a_name_and_ids_of_its_own() {
    need();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("golden");
    capture(&golden_disk(folder.path()), &image);
    let conf =
        "image = \"golden\"\n[identity]\nhostname = \"lab-{{counter:2}}\"\nregenerate = [\"disk-guid\"]\n";
    let server = serve(&image, conf);
    let mut seen = HashSet::new();
    for name in ["one.img", "two.img"] {
        let device = Loop::blank(&folder.path().join(name), 512 * MIB).unwrap();
        let init = programs::find("ezio-init").unwrap();
        let conf = format!("{}ezio.conf", server.url);
        let plan = output(text(&init), &["plan", "--conf", &conf, "--disk", &device.0]);
        assert!(plan.contains("identity:\n  host name and files that the server has"), "{plan}");
        let (good, said) = deploy(&server, &[&device.0]);
        assert!(good, "{said}");
        for line in ["Linux: host name lab-01", "identity: /dev/loop", "machine-id: new"] {
            assert!(said.contains(line), "{line} is missing:\n{said}");
        }
        let fleet = pxe(&server, &["status", "--json"]);
        for line in ["host name lab-01", "identity: /dev/loop", "\"done\""] {
            assert!(fleet.contains(line), "{line} is missing: {fleet}");
        }
        let own = check_clone(&device);
        // The systems of one machine share its machine-id, and nothing else.
        let ids: HashSet<&String> = own.iter().filter(|own| own.starts_with("machine-id")).collect();
        assert_eq!(ids.len(), 1, "{own:?}");
        for id in own.iter().collect::<HashSet<_>>() {
            assert!(seen.insert(id.clone()), "both clones have {id}");
        }
        // The machine keeps its number.
        pxe(&server, &["again", "all"]);
    }
}

#[test]
fn an_identity_that_cannot_be_given_is_no_success() {
    need();
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("golden.img");
    fs::File::create(&disk).unwrap().set_len(32 * MIB).unwrap();
    partition(text(&disk), "label: gpt\nsize=8MiB\nsize=4MiB\n", &folder.path().join("table"));
    let files = Loop::new(&disk, MIB, 8 * MIB).unwrap();
    output("/usr/sbin/mkfs.ext4", &["-q", &files.0]);
    drop(files);
    use std::os::unix::fs::FileExt;
    fs::OpenOptions::new()
        .write(true)
        .open(&disk)
        .unwrap()
        .write_all_at(b"LUKS\xba\xbe\0\x02", 9 * MIB)
        .unwrap();
    let image = folder.path().join("golden");
    capture(&disk, &image);
    let blank = |name: &str| {
        let file = folder.path().join(name);
        (Loop::blank(&file, 40 * MIB).unwrap(), file)
    };
    let table = |device: &Loop| output("/usr/sbin/sfdisk", &["--dump", &device.0]);

    let (usual, _file) = blank("usual.img");
    let (good, said) = deploy(&serve(&image, "image = \"golden\"\n"), &[&usual.0]);
    assert!(good && said.contains("no system was found"), "{said}");
    assert!(said.contains("p2 (LUKS) was not looked into"), "{said}");

    let (asked, _file) = blank("asked.img");
    let server = serve(&image, "image = \"golden\"\n[identity]\nmachine-id = true\n");
    let (good, said) = deploy(&server, &[&asked.0]);
    assert!(!good && said.contains("identity: no Linux was found for: new machine-id (/dev/"), "{said}");
    assert!(pxe(&server, &["status", "--json"]).contains("\"failed\""));
    assert!(!table(&asked).is_empty(), "all but the identity is there");

    fs::write(folder.path().join("hosts.csv"), "mac,hostname\n02:00:00:00:00:fe,other\n").unwrap();
    let (listed, file) = blank("listed.img");
    let server = serve(&image, "image = \"golden\"\n[identity]\nhosts = \"hosts.csv\"\n");
    let (good, said) = deploy(&server, &[&listed.0]);
    assert!(!good && said.contains("hosts.csv has no line for this machine"), "{said}");
    assert!(fs::read(file).unwrap().iter().all(|byte| *byte == 0), "it is heard before anything is erased");
}

/// Ids of file systems in the golden image: root, home, swap, exFAT.
const OLD_VOLUMES: [&str; 4] = [
    "11111111-2222-4333-8444-000000000001",
    "11111111-2222-4333-8444-000000000002",
    "11111111-2222-4333-8444-000000000003",
    "1234-5678",
];

/// A disk whose root and home are made with such features, with this RESUME in the settings of its initramfs, and what a
/// program of a loader has inside.
fn disk_with_volumes(folder: &Path, features: [&str; 2], resume: &str, loader: &str) -> PathBuf {
    let disk = folder.join("golden.img");
    fs::File::create(&disk).unwrap().set_len(66 * MIB).unwrap();
    let table = "label: gpt\nsize=16MiB\nsize=16MiB\nsize=16MiB, type=S\nsize=16MiB\n";
    partition(text(&disk), table, &folder.join("table"));
    let part = |index: u64| Loop::new(&disk, (1 + 16 * index) * MIB, 16 * MIB).unwrap();
    let [root_id, home_id, swap_id, exfat_id] = OLD_VOLUMES;
    let [root, home, swap, exfat] = [0, 1, 2, 3].map(part);
    for (device, id, features) in [(&root, root_id, features[0]), (&home, home_id, features[1])] {
        output("/usr/sbin/mkfs.ext4", &["-q", "-U", id, "-O", features, &device.0]);
    }
    output("/usr/sbin/mkswap", &["-U", swap_id, &swap.0]);
    output("/usr/sbin/mkfs.exfat", &[&exfat.0]);
    output("/usr/sbin/tune.exfat", &["-I", &format!("0x{}", exfat_id.replace('-', "")), &exfat.0]);
    mounted(&root.0, "rw", |root| {
        for path in ["etc/initramfs-tools/conf.d", "boot/grub", "EFI/other"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
        let fstab = format!(
            "UUID={root_id} / ext4 defaults 0 1\n/dev/disk/by-uuid/{home_id} /home ext4 defaults 0 2\n\
             UUID={swap_id} none swap sw 0 0\nUUID={exfat_id} /data exfat nofail 0 0\n"
        );
        write("etc/fstab", &fstab);
        write("etc/initramfs-tools/conf.d/resume", resume);
        write(
            "boot/grub/grub.cfg",
            &format!("search --fs-uuid --set=root {root_id}\nlinux /k root=UUID={root_id}\n"),
        );
        write("EFI/other/grubx64.efi", &format!("{}{loader}\0", "x".repeat((1 << 20) - 9)));
    });
    disk
}

/// What blkid says of the four.
fn volumes(device: &Loop) -> Vec<String> {
    let id = |number: u32| {
        output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "UUID", &format!("{}p{number}", device.0)])
    };
    (1..=4).map(|number| id(number).trim().to_owned()).collect()
}

fn deployed_with_new_volumes(folder: &Path, disk: &Path, target: &Loop) -> (bool, String) {
    let image = folder.join("golden");
    capture(disk, &image);
    let conf = "image = \"golden\"\n[identity]\nregenerate = [\"fs-uuid\"]\n";
    deploy(&serve(&image, conf), &[&target.0])
}

#[test]
fn file_systems_get_new_ids_and_what_names_them_follows() {
    need();
    let folder = tempfile::tempdir().unwrap();
    let features = ["metadata_csum,metadata_csum_seed", "^metadata_csum,^uninit_bg"];
    let disk = disk_with_volumes(folder.path(), features, "RESUME=none\n", "");
    let target = Loop::blank(&folder.path().join("target.img"), 80 * MIB).unwrap();
    let (good, said) = deployed_with_new_volumes(folder.path(), &disk, &target);
    assert!(good && said.contains("new ids in etc/fstab, boot/grub/grub.cfg"), "{said}");
    let new = volumes(&target);
    assert!(new.iter().all(|id| !OLD_VOLUMES.contains(&id.as_str())), "{new:?}");
    let [root, home, swap, exfat] = &new[..] else { panic!("{new:?}") };
    mounted(&format!("{}p1", target.0), "ro", |tree| {
        let fstab = format!(
            "UUID={root} / ext4 defaults 0 1\n/dev/disk/by-uuid/{home} /home ext4 defaults 0 2\n\
             UUID={swap} none swap sw 0 0\nUUID={exfat} /data exfat nofail 0 0\n"
        );
        assert_eq!(read(tree, "etc/fstab"), fstab);
        let cfg = format!("search --fs-uuid --set=root {root}\nlinux /k root=UUID={root}\n");
        assert_eq!(read(tree, "boot/grub/grub.cfg"), cfg);
        // All that it names by id is there, by the word of another; names of udev are not made everywhere.
        let found = run("/usr/bin/findmnt", &["--verify", "--tab-file", text(&tree.join("etc/fstab"))]);
        let found = String::from_utf8_lossy(&[found.stdout, found.stderr].concat()).into_owned();
        let lost = |line: &str| line.contains("unreachable") && line.contains("UUID=");
        assert!(found.contains("/home") && !found.lines().any(lost), "{found}");
    });
    for number in [1, 2] {
        output("/usr/sbin/e2fsck", &["-f", "-n", &format!("{}p{number}", target.0)]);
    }
    output("/usr/sbin/fsck.exfat", &["-n", &format!("{}p4", target.0)]);
}

/// A file system whose id cannot change keeps it, and so do what a loader has inside, and the swap that an initramfs may wake
/// up from. The run has failed; the system is whole.
#[test]
fn an_id_that_cannot_follow_stays() {
    need();
    let folder = tempfile::tempdir().unwrap();
    let features = ["metadata_csum,^metadata_csum_seed", "^metadata_csum,^uninit_bg"];
    // In upper case, as some write it, and across what is read at a time.
    let loader = OLD_VOLUMES[1].to_uppercase();
    let disk = disk_with_volumes(folder.path(), features, "", &loader);
    let target = Loop::blank(&folder.path().join("target.img"), 80 * MIB).unwrap();
    let (good, said) = deployed_with_new_volumes(folder.path(), &disk, &target);
    let words = ["tune2fs -O metadata_csum_seed", "EFI/other/grubx64.efi has it inside", "swap keeps its id"];
    assert!(!good && words.iter().all(|word| said.contains(word)), "{said}");
    let ids = volumes(&target);
    assert_eq!(ids[..3], OLD_VOLUMES[..3]);
    mounted(&format!("{}p1", target.0), "ro", |tree| {
        let fstab = read(tree, "etc/fstab");
        assert!(ids.iter().all(|id| fstab.contains(id.as_str())), "{ids:?}\n{fstab}");
    });
    output("/usr/sbin/e2fsck", &["-f", "-n", &format!("{}p1", target.0)]);
}
