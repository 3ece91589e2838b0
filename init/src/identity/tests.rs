use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use anyhow::Context;
use ezio_contract::MachineId;
use ezio_contract::identity::{DRIVER_BLOCK, DriverFile, IdentityAnswer, WindowsFiles};
use ezio_image::checksums::sha256_hex;
use ezio_image::conf::{Conf, Orders};

use super::*;

const OLD_ID: &str = "0123456789abcdef0123456789abcdef";
const NEW_ID: &str = "fedcba9876543210fedcba9876543210";

/// A folder with the files of a Debian.
fn debian() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in ["etc/ssh", "var/lib/dbus", "var/lib/systemd"] {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
    write("etc/fstab", "UUID=x / ext4 defaults 0 1\n");
    write("etc/hostname", "golden\n");
    write("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 golden.lab golden\n");
    write("etc/machine-id", &format!("{OLD_ID}\n"));
    symlink("/etc/machine-id", root.join("var/lib/dbus/machine-id")).unwrap();
    write("var/lib/systemd/random-seed", &"x".repeat(512));
    for kind in ["ed25519", "ecdsa", "rsa"] {
        write(&format!("etc/ssh/ssh_host_{kind}_key"), "old");
        write(&format!("etc/ssh/ssh_host_{kind}_key.pub"), "old");
        let key = root.join(format!("etc/ssh/ssh_host_{kind}_key"));
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn apply(folder: &tempfile::TempDir, change: Change) -> anyhow::Result<Option<String>> {
    change.apply(&Tree::of(folder.path()), &|_, _| unreachable!("there are no drivers"))
}

fn text(folder: &tempfile::TempDir, path: &str) -> String {
    fs::read_to_string(folder.path().join(path)).unwrap()
}

#[test]
fn a_debian_gets_a_name_and_ids_of_its_own() {
    let folder = debian();
    apply(&folder, Change::Hostname("pc-1".into())).unwrap();
    assert_eq!(text(&folder, "etc/hostname"), "pc-1\n");
    assert_eq!(text(&folder, "etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 pc-1.lab pc-1\n");
    apply(&folder, Change::MachineId(NEW_ID.into())).unwrap();
    assert_eq!(text(&folder, "etc/machine-id"), format!("{NEW_ID}\n"));
    assert!(folder.path().join("var/lib/dbus/machine-id").is_symlink());
    apply(&folder, Change::RandomSeed).unwrap();
    let seed = fs::read(folder.path().join("var/lib/systemd/random-seed")).unwrap();
    assert!(seed.len() == 512 && seed.iter().any(|byte| *byte != b'x'));
}

#[test]
fn a_system_without_an_id_makes_its_own_and_a_copy_of_dbus_follows() {
    let folder = debian();
    fs::remove_file(folder.path().join("var/lib/dbus/machine-id")).unwrap();
    fs::write(folder.path().join("var/lib/dbus/machine-id"), format!("{OLD_ID}\n")).unwrap();
    apply(&folder, Change::MachineId(NEW_ID.into())).unwrap();
    assert_eq!(text(&folder, "var/lib/dbus/machine-id"), format!("{NEW_ID}\n"));
    for none in ["", "uninitialized\n"] {
        let folder = debian();
        fs::write(folder.path().join("etc/machine-id"), none).unwrap();
        let said = apply(&folder, Change::MachineId(NEW_ID.into())).unwrap().unwrap();
        assert!(said.contains("makes its own") && text(&folder, "etc/machine-id") == none, "{said}");
    }
}

/// ssh-keygen is the judge of the keys: it finds the public half in the private one.
#[test]
fn ssh_host_keys_are_pairs_that_openssh_reads() {
    let folder = debian();
    let said = apply(&folder, Change::SshHostKeys).unwrap().unwrap();
    assert_eq!(said, "SSH host keys: new ecdsa, ed25519; removed for good: rsa");
    for kind in ["ed25519", "ecdsa"] {
        let key = folder.path().join(format!("etc/ssh/ssh_host_{kind}_key"));
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        let derived = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&key).output().unwrap();
        assert!(derived.status.success(), "{}", String::from_utf8_lossy(&derived.stderr));
        let derived = String::from_utf8(derived.stdout).unwrap();
        assert_eq!(derived, text(&folder, &format!("etc/ssh/ssh_host_{kind}_key.pub")), "{kind}");
    }
    let names = Tree::of(folder.path()).names("etc/ssh").unwrap();
    assert_eq!(names.len(), 4, "{names:?}");
    let other = debian();
    apply(&other, Change::SshHostKeys).unwrap();
    assert_ne!(text(&other, "etc/ssh/ssh_host_ed25519_key"), text(&folder, "etc/ssh/ssh_host_ed25519_key"));
}

#[test]
fn an_sshd_that_would_not_start_keeps_its_keys() {
    let folder = debian();
    fs::write(folder.path().join("etc/ssh/sshd_config"), "hostkey = /etc/ssh/ssh_host_rsa_key\n").unwrap();
    let error = format!("{:#}", apply(&folder, Change::SshHostKeys).unwrap_err());
    assert!(error.contains("names only /etc/ssh/ssh_host_rsa_key"), "{error}");
    assert_eq!(text(&folder, "etc/ssh/ssh_host_ed25519_key"), "old");
    fs::create_dir(folder.path().join("etc/ssh/sshd_config.d")).unwrap();
    let more = "HostKey /etc/ssh/ssh_host_ed25519_key\n";
    fs::write(folder.path().join("etc/ssh/sshd_config.d/more.conf"), more).unwrap();
    apply(&folder, Change::SshHostKeys).unwrap();
    let none = tempfile::tempdir().unwrap();
    assert_eq!(apply(&none, Change::SshHostKeys).unwrap(), None);
}

#[test]
fn an_answer_file_lies_where_setup_looks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let panther = folder.path().join("WINDOWS/Panther");
    fs::create_dir_all(panther.join("Unattend")).unwrap();
    fs::write(panther.join("Unattend/Unattend.xml"), "old").unwrap();
    fs::write(panther.join("Unattend.xml"), "old").unwrap();
    let files =
        WindowsFiles { unattend: "<new/>".into(), join: Some("QQ==".into()), ..WindowsFiles::default() };
    let said = apply(&folder, Change::WindowsFiles(files)).unwrap().unwrap();
    assert_eq!(said, "WINDOWS/Panther/unattend.xml, domain join");
    assert_eq!(fs::read_to_string(panther.join("Unattend.xml")).unwrap(), "<new/>");
    assert!(!panther.join("Unattend/Unattend.xml").exists(), "Setup would take that one");
    let join = fs::read(panther.join("ezio-join.txt")).unwrap();
    assert_eq!(join, [0xff, 0xfe, b'Q', 0, b'Q', 0, b'=', 0, b'=', 0, 0, 0], "as djoin writes it");
}

fn driver(path: &str, content: &[u8], size: u64) -> DriverFile {
    DriverFile { path: path.into(), size, sha256: sha256_hex(content) }
}

#[test]
fn drivers_come_before_the_answer_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("Windows/Panther")).unwrap();
    let large = vec![7; DRIVER_BLOCK as usize + 3];
    let put = |drivers: Vec<DriverFile>| {
        let drivers_note = Some("no drivers for \"X\"".to_owned());
        let files = WindowsFiles { unattend: "<new/>".into(), join: None, drivers, drivers_note };
        let fetch = |_: &str, number: u64| {
            Ok(large.chunks(DRIVER_BLOCK as usize).nth(number as usize).context("no such block")?.to_vec())
        };
        Change::WindowsFiles(files).apply(&Tree::of(folder.path()), &fetch)
    };
    for (bad, word) in [
        (driver("../x", &large, 1), "no path below"),
        (driver("common/x", &large, 5), "block 0 has"),
        (driver("common/x", b"other", large.len() as u64), "SHA-256"),
        (driver("common/x", &large, 3 * DRIVER_BLOCK), "block 1 has"),
    ] {
        let error = format!("{:#}", put(vec![bad]).unwrap_err());
        assert!(error.contains(word), "{error}");
    }
    assert!(!folder.path().join("Windows/Panther/unattend.xml").exists());
    let said = put(vec![driver("Latitude 5440/net/e.sys", &large, large.len() as u64)]).unwrap().unwrap();
    assert!(said.contains("drivers (1 files") && said.ends_with("no drivers for \"X\""), "{said}");
    assert!(fs::read(folder.path().join("Drivers/Latitude 5440/net/e.sys")).unwrap() == large);
    assert!(folder.path().join("Windows/Panther/unattend.xml").exists());
}

#[test]
fn partitions_are_named_by_their_new_ids() {
    let folder = debian();
    let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).unwrap();
    write("etc/fstab", "PARTUUID=AAAA-01 / ext4\nPARTUUID=cccc-01 /x ext4\n");
    fs::create_dir_all(folder.path().join("loader/entries")).unwrap();
    fs::create_dir_all(folder.path().join("EFI/debian")).unwrap();
    write("loader/entries/debian.conf", "options root=PARTUUID=aaaa-01 ro\n");
    write("EFI/debian/grub.cfg", "search.fs_uuid aaaa root\n");
    let said = apply(&folder, Change::References(vec![("aaaa-01".into(), "bbbb-01".into())])).unwrap();
    assert_eq!(said.unwrap(), "new ids in etc/fstab, loader/entries/debian.conf");
    assert_eq!(text(&folder, "etc/fstab"), "PARTUUID=bbbb-01 / ext4\nPARTUUID=cccc-01 /x ext4\n");
    assert_eq!(text(&folder, "loader/entries/debian.conf"), "options root=PARTUUID=bbbb-01 ro\n");
}

fn orders(conf: &str) -> Orders {
    Conf::parse(conf).unwrap().orders_for(&MachineId::default(), None).unwrap()
}

#[test]
fn a_plan_says_what_is_done_and_what_must_be() {
    let plan = |conf: &str, own: &IdentityAnswer| IdentityPlan::of(&orders(conf), own);
    let own = IdentityAnswer::default();
    let usual = plan("image = \"a\"\n", &own);
    assert_eq!(
        usual.to_string(),
        "  Linux: new machine-id, where possible\n  Linux: new SSH host keys, where possible\n  \
         Linux: new random seed, where possible\n"
    );
    assert_eq!(usual.lacks(&[]), None, "nobody asked for it");
    let part = plan("image = \"a\"\ntarget = \"/dev/sda1\"\n", &own);
    assert!(part.is_empty(), "a single partition arrives as it is");
    let off = "image = \"a\"\n[identity]\nmachine-id = false\nssh-host-keys = false\nrandom-seed = false\n";
    assert!(plan(off, &own).is_empty());
    let asked = plan("image = \"a\"\n[identity]\nmachine-id = true\n", &own);
    assert_eq!(
        asked.lacks(&[System::Windows]).unwrap(),
        "no Linux was found for: new machine-id: for Windows, [windows] unattend = \"FILE\" is needed"
    );
    assert_eq!(asked.lacks(&[System::Linux]), None);
    let windows =
        WindowsFiles { unattend: "SECRET".into(), join: Some("SECRET".into()), ..WindowsFiles::default() };
    let own = IdentityAnswer { hostname: Some("pc-1".into()), windows: Some(windows) };
    let both = plan(off, &own);
    assert_eq!(
        both.to_string(),
        "  Linux: host name pc-1\n  Windows: answer file for Setup (unattend.xml) and the file of its domain join\n"
    );
    assert_eq!(both.lacks(&[System::Windows]), None, "the answer file names it");
    assert!(both.lacks(&[System::Linux]).unwrap().contains("no Windows was found"));
    assert!(!format!("{both:?}").contains("SECRET"));
}

#[test]
fn a_machine_alone_knows_its_own_values_only() {
    let machine = MachineId::of_card("52:54:00:12:34:56".parse().unwrap());
    let alone = |conf: &str| ask::alone(&orders(conf), &machine);
    let own = alone("image = \"a\"\n[identity]\nhostname = \"pc-{{mac:6}}\"\n").unwrap();
    assert_eq!(own.hostname.as_deref(), Some("pc-123456"));
    let counted = alone("image = \"a\"\n[identity]\nhostname = \"pc-{{counter}}\"\n").unwrap_err();
    assert!(format!("{counted:#}").contains("{{counter}} has no value"), "{counted:#}");
    assert!(alone("image = \"a\"\n[windows]\nunattend = \"u.xml\"\n").is_err());
}
