//! `netboot` on a small kernel of our own making; `cpio` and `xz` read what it packs.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ezio_contract::modules::ModuleIndex;
use object::write::Object;
use object::{Architecture, BinaryFormat, Endianness, SectionKind};

const VERSION: &str = "6.1.0-test";

/// A tree with a kernel, modules and init as `netboot` wants them.
struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        let mut kernel = vec![0u8; 0x1000];
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        kernel[0x20e..0x210].copy_from_slice(&0x200u16.to_le_bytes());
        kernel[0x400..0x400 + VERSION.len()].copy_from_slice(VERSION.as_bytes());
        tree.write(&format!("boot/vmlinuz-{VERSION}"), &kernel);
        tree.write("ezio-init", &elf(&[(".text", b"\xf4")]));
        tree.modules(&[
            ("drivers/net/ethernet/acme/acme.ko", "name=acme\0depends=libacme,mii\0alias=pci:v0000ACMEd*\0softdep=pre: crc32c\0firmware=acme/one.fw\0firmware=acme/two.fw\0"),
            ("drivers/net/ethernet/acme/libacme.ko", "name=libacme\0depends=\0"),
            ("drivers/net/ethernet/acme/orphan.ko", "name=orphan\0depends=\0"),
            ("drivers/net/mii.ko", "name=mii\0depends=\0"),
            ("crypto/crc32c_generic.ko", "name=crc32c_generic\0depends=\0alias=crc32c\0"),
            ("drivers/scsi/big-hba.ko", "name=big_hba\0depends=scsi-mod\0alias=pci:v0000B1Gd*\0"),
            ("drivers/gpu/drm/card.ko", "name=card\0depends=\0alias=pci:v0000CA2Dd*\0"),
        ]);
        tree.write(&format!("lib/modules/{VERSION}/modules.builtin"), b"kernel/drivers/scsi/scsi_mod.ko\n");
        tree.write("firmware/acme/one.fw", b"one");
        tree.write("firmware/acme/other.fw", b"other");
        for program in ["shimx64.efi.signed", "grubnetx64.efi.signed", "undionly.kpxe"] {
            tree.write(&format!("programs/{program}"), program.as_bytes());
        }
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn modules(&self, modules: &[(&str, &str)]) {
        for (path, info) in modules {
            let mut bytes = elf(&[(".modinfo", info.as_bytes())]);
            bytes.extend(b"~Module signature appended~\n");
            self.write(&format!("lib/modules/{VERSION}/kernel/{path}"), &bytes);
        }
    }

    fn netboot(&self, output: &Path, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_image-builder"))
            .args(["netboot", "-o"])
            .arg(output)
            .arg("--kernel")
            .arg(self.path(&format!("boot/vmlinuz-{VERSION}")))
            .arg("--init")
            .arg(self.path("ezio-init"))
            .arg("--boot-programs")
            .arg(self.path("programs"))
            .args(more)
            .output()
            .unwrap()
    }

    /// Packs, and gives the output folder.
    fn packed(&self, name: &str, more: &[&str]) -> PathBuf {
        let dist = self.path(name);
        let output = self.netboot(&dist, more);
        assert!(output.status.success(), "{}", text(&output.stderr));
        dist
    }
}

fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    elf_for(Architecture::X86_64, sections)
}

fn elf_for(architecture: Architecture, sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    for (name, content) in sections {
        let id = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::ReadOnlyData);
        object.append_section_data(id, content, 1);
    }
    object.write().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `cpio` on the unpacked initrd.
fn cpio(dist: &Path, args: &[&str], folder: &Path) -> String {
    cpio_on(&dist.join("initrd.img"), args, folder)
}

fn cpio_on(archive: &Path, args: &[&str], folder: &Path) -> String {
    let archive = Command::new("xz").args(["-dc"]).arg(archive).output().unwrap();
    assert!(archive.status.success(), "{}", text(&archive.stderr));
    let mut child = Command::new("cpio")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(&archive.stdout));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    text(&output.stdout)
}

#[test]
fn cpio_reads_the_initrd_and_finds_all_in_order() {
    let tree = Tree::new();
    let dist = tree.packed("dist", &["--firmware", tree.path("firmware").to_str().unwrap()]);
    let listing = cpio(&dist, &["-t", "--quiet"], tree.folder.path());
    let names: Vec<&str> = listing.lines().collect();
    assert!(names.is_sorted(), "{names:?}");
    for (i, name) in names.iter().enumerate() {
        if let Some((parent, _)) = name.rsplit_once('/') {
            assert!(names[..i].contains(&parent), "{parent} does not come before {name}");
        }
    }
    for wanted in [
        "init",
        "dev/console",
        "sbin/modprobe",
        "lib/ezio/modules.idx",
        "lib/ezio/modules/drivers/net/ethernet/acme/acme.ko",
        "lib/ezio/modules/drivers/net/ethernet/acme/libacme.ko",
        "lib/ezio/modules/drivers/net/mii.ko",
        "lib/ezio/modules/crypto/crc32c_generic.ko",
        "lib/ezio/firmware/acme/one.fw",
        "lib/firmware",
    ] {
        assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
    }
    for unwanted in ["orphan", "card.ko", "big-hba.ko", "other.fw", "two.fw"] {
        assert!(!listing.contains(unwanted), "{unwanted}");
    }
    let long = cpio(&dist, &["-tv", "--quiet", "--numeric-uid-gid"], tree.folder.path());
    let console = long.lines().find(|line| line.ends_with("dev/console")).unwrap();
    assert!(console.starts_with("crw-------") && console.contains("5,   1"), "{console}");
    assert!(
        long.lines().all(|line| line.contains(" 0        0 ") && line.contains("Jan  1  1970")),
        "{long}"
    );
}

#[test]
fn modules_are_packed_with_their_signatures_and_loaded_in_order() {
    let tree = Tree::new();
    let dist = tree.packed("dist", &[]);
    let (root, index) = unpack(&tree, &dist);
    assert_eq!(index.kernel, VERSION);
    let modules = index.modules_for("pci:v0000ACMEd0001");
    let names: Vec<&str> = modules.iter().map(|m| m.file.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["crc32c_generic.ko", "libacme.ko", "mii.ko", "acme.ko"]);
    for module in modules {
        let packed = fs::read(root.join("lib/ezio").join(&module.file)).unwrap();
        assert!(packed.ends_with(b"~Module signature appended~\n"), "{}", module.file);
    }
}

/// What is in the initrd, and its index.
fn unpack(tree: &Tree, dist: &Path) -> (PathBuf, ModuleIndex) {
    let root = tree.path("root");
    // Of an earlier call.
    let _ = fs::remove_dir_all(&root);
    fs::create_dir(&root).unwrap();
    cpio(dist, &["-i", "-d", "--quiet", "--nonmatching", "dev/console"], &root);
    let index = fs::read_to_string(root.join("lib/ezio/modules.idx")).unwrap();
    (root, ModuleIndex::parse(&index).unwrap())
}

#[test]
fn what_needs_the_network_first_is_fetched_on_demand_as_the_index_says() {
    let tree = Tree::new();
    tree.modules(&[(
        "drivers/scsi/big-hba.ko",
        "name=big_hba\0depends=mii,libhba\0alias=pci:v0000B1Gd*\0firmware=hba/a b.fw\0firmware=hba/c.fw\0",
    )]);
    tree.modules(&[("drivers/scsi/libhba.ko", "name=libhba\0depends=\0")]);
    tree.write("firmware/hba/c.fw", b"firmware");
    tree.write("dist/modules/of_another_kernel.ko", b"");
    let firmware = tree.path("firmware");
    let firmware = ["--firmware", firmware.to_str().unwrap()];
    let dist = tree.packed("dist", &firmware);
    let (root, index) = unpack(&tree, &dist);
    let served = |name: &str| fs::read(dist.join(name)).unwrap();
    let modules = index.modules_for("pci:v0000B1Gd0001");
    let remote: Vec<_> = modules.iter().flat_map(|module| index.remote_files(module)).collect();
    let files: Vec<&str> = remote.iter().map(|(file, _)| *file).collect();
    assert_eq!(
        files,
        ["modules/libhba.ko", "firmware/hba/c.fw", "modules/big-hba.ko"],
        "mii is in the initrd"
    );
    let toml: toml::Value = toml::from_str(&fs::read_to_string(dist.join("netboot.toml")).unwrap()).unwrap();
    for (file, remote) in remote {
        assert!(!root.join("lib/ezio").join(file).exists(), "{file}");
        assert_eq!(served(file).len() as u64, remote.size);
        let sum = Command::new("sha256sum").arg(dist.join(file)).output().unwrap();
        assert_eq!(text(&sum.stdout)[..64], remote.sha256, "{file}");
        let described = toml["file"].as_array().unwrap().iter().find(|f| f["name"].as_str() == Some(file));
        assert_eq!(described.unwrap()["sha256"].as_str(), Some(&*remote.sha256));
    }
    assert!(served("modules/big-hba.ko").ends_with(b"~Module signature appended~\n"));
    assert!(!dist.join("modules/of_another_kernel.ko").exists());

    let dist = tree.packed("dist", &[&firmware[..], &["--all-in-one"]].concat());
    let (root, index) = unpack(&tree, &dist);
    assert!(index.remote.is_empty() && !dist.join("modules").exists() && !dist.join("firmware").exists());
    for file in ["modules/drivers/scsi/big-hba.ko", "firmware/hba/c.fw", "firmware/acme/one.fw"] {
        assert!(root.join("lib/ezio").join(file).is_file(), "{file}");
    }
}

#[test]
fn cards_of_servers_are_in_an_initrd_of_their_own_unless_they_are_asked_for() {
    let tree = Tree::new();
    let mellanox = "drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko";
    tree.modules(&[
        (mellanox, "name=mlx5_core\0depends=mlxlib,mii\0alias=pci:v000015B3d*\0firmware=mlx/a.fw\0"),
        ("drivers/net/mlxlib.ko", "name=mlxlib\0depends=\0"),
    ]);
    tree.write("firmware/mlx/a.fw", b"firmware");
    let firmware = tree.path("firmware");
    let firmware = ["--firmware", firmware.to_str().unwrap()];
    let dist = tree.packed("dist", &firmware);
    let (root, index) = unpack(&tree, &dist);
    let modules = index.modules_for("pci:v000015B3d0001");
    let files: Vec<&str> =
        modules.iter().flat_map(|module| index.remote_files(module)).map(|(file, _)| file).collect();
    assert_eq!(files, ["modules/mlxlib.ko", "firmware/mlx/a.fw", "modules/mlx5_core.ko"], "all but mii");
    assert!(files.iter().all(|file| !root.join("lib/ezio").join(file).exists()));
    // As the kernel does: one after the other, into one place.
    let second = dist.join("server-cards.img");
    cpio_on(&second, &["-i", "-d", "--quiet"], &root);
    for file in files {
        let here = fs::read(root.join("lib/ezio").join(file)).unwrap();
        assert!(here == fs::read(dist.join(file)).unwrap(), "{file}");
    }
    let toml: toml::Value = toml::from_str(&fs::read_to_string(dist.join("netboot.toml")).unwrap()).unwrap();
    let described = toml["file"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap());
    assert_eq!(described.filter(|name| *name == "server-cards.img").count(), 1);

    for more in [["--modules", "+mlx5_core"].as_slice(), &["--all-in-one"]] {
        let dist = tree.packed("dist", more);
        let (root, _) = unpack(&tree, &dist);
        assert!(root.join("lib/ezio/modules").join(mellanox).is_file(), "{more:?}");
        assert!(!second.exists(), "{more:?}");
    }
}

#[test]
fn a_kernel_that_undoes_a_compression_itself_is_served_modules_under_it() {
    let tree = Tree::new();
    let modules = tree.path(&format!("lib/modules/{VERSION}/kernel"));
    compress(&modules.join("drivers/scsi/big-hba.ko"), "xz", &[]);
    let packaged = fs::read(modules.join("drivers/scsi/big-hba.ko.xz")).unwrap();
    let dist = tree.packed("dist", &[]);
    assert!(fs::read(dist.join("modules/big-hba.ko")).unwrap().ends_with(b"~Module signature appended~\n"));
    tree.write(
        &format!("boot/config-{VERSION}"),
        b"CONFIG_MODULE_COMPRESS_XZ=y\nCONFIG_MODULE_DECOMPRESS=y\n",
    );
    let dist = tree.packed("dist", &[]);
    assert!(fs::read(dist.join("modules/big-hba.ko.xz")).unwrap() == packaged);
    assert!(!dist.join("modules/big-hba.ko").exists());
}

#[test]
fn cards_that_may_lack_firmware_are_named() {
    let tree = Tree::new();
    let output = tree.netboot(&tree.path("dist"), &[]);
    let said = text(&output.stdout);
    assert!(said.contains("acme") && said.contains("acme/one.fw and 1 more"), "{said}");
    let firmware = tree.path("firmware");
    let output = tree.netboot(&tree.path("dist"), &["--firmware", firmware.to_str().unwrap()]);
    let said = text(&output.stdout);
    assert!(said.contains("acme/two.fw\n") && !said.contains("one.fw"), "{said}");
}

/// Replaces a module by what a program makes of it.
fn compress(module: &Path, program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).arg(module).status().unwrap();
    assert!(done.success() && !module.exists(), "{program} {}", module.display());
}

#[test]
fn a_kernel_with_compressed_modules_gives_the_same_initrd() {
    let tree = Tree::new();
    let plain = fs::read(tree.packed("plain", &[]).join("initrd.img")).unwrap();
    let modules = tree.path(&format!("lib/modules/{VERSION}/kernel"));
    compress(
        &modules.join("drivers/net/ethernet/acme/acme.ko"),
        "xz",
        &["--check=crc32", "--lzma2=dict=1MiB"],
    );
    compress(&modules.join("drivers/scsi/big-hba.ko"), "xz", &[]);
    compress(&modules.join("drivers/net/mii.ko"), "zstd", &["--quiet", "--rm"]);
    compress(&modules.join("crypto/crc32c_generic.ko"), "gzip", &[]);
    assert!(fs::read(tree.packed("dist", &[]).join("initrd.img")).unwrap() == plain);

    let cut = modules.join("drivers/scsi/big-hba.ko.xz");
    let whole = fs::read(&cut).unwrap();
    fs::write(&cut, &whole[..whole.len() - 20]).unwrap();
    let output = tree.netboot(&tree.path("none"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let reason = text(&output.stderr);
    assert!(reason.contains("cannot decompress module") && reason.contains("big-hba.ko.xz"), "{reason}");
}

#[test]
fn kernel_and_boot_programs_are_found_below_a_root() {
    let tree = Tree::new();
    for (program, folder) in [
        ("shimx64.efi.signed", "shim"),
        ("grubnetx64.efi.signed", "grub/x86_64-efi-signed"),
        ("undionly.kpxe", "ipxe"),
    ] {
        tree.write(&format!("usr/lib/{folder}/{program}"), program.as_bytes());
    }
    let dist = tree.path("dist");
    let netboot = |root: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_image-builder"));
        command.args(["netboot", "-o"]).arg(&dist).arg("--init").arg(tree.path("ezio-init"));
        command.arg("--root").arg(root).output().unwrap()
    };
    let output = netboot(tree.folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read(dist.join("grubx64.efi")).unwrap(), b"grubnetx64.efi.signed");

    fs::remove_file(tree.path("usr/lib/ipxe/undionly.kpxe")).unwrap();
    let output = netboot(tree.folder.path());
    assert_eq!(output.status.code(), Some(1));
    let reason = text(&output.stderr);
    assert!(reason.contains("undionly.kpxe is not in") && reason.contains("package ipxe has it"), "{reason}");
}

/// The kernel says for what machines all of it is.
#[test]
fn a_kernel_for_arm64_brings_the_programs_of_arm64() {
    let tree = Tree::new();
    let mut kernel = vec![0u8; 0x1000];
    kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
    kernel.extend(format!("Linux version {VERSION} (made by us)").bytes());
    tree.write(&format!("boot/vmlinuz-{VERSION}"), &kernel);
    tree.write("ezio-init", &elf_for(Architecture::Aarch64, &[(".text", b"an init")]));
    for program in ["shimaa64.efi.signed", "grubnetaa64.efi.signed"] {
        tree.write(&format!("programs/{program}"), program.as_bytes());
    }
    let dist = tree.packed("dist", &[]);
    let mut names: Vec<_> = fs::read_dir(&dist).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["grubaa64.efi", "initrd.img", "modules", "netboot.toml", "shimaa64.efi", "vmlinuz"]);
    let toml = fs::read_to_string(dist.join("netboot.toml")).unwrap();
    assert!(toml.contains("arch = \"arm64\"\n"), "{toml}");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let tree = Tree::new();
    let (one, two) = (tree.packed("one", &[]), tree.packed("two", &[]));
    for file in ["vmlinuz", "initrd.img", "netboot.toml", "shimx64.efi", "grubx64.efi", "undionly.kpxe"] {
        assert!(fs::read(one.join(file)).unwrap() == fs::read(two.join(file)).unwrap(), "{file}");
    }
    assert_eq!(fs::read_dir(&one).unwrap().count(), 7, "and the modules on demand");
    assert!(
        fs::read(one.join("modules/big-hba.ko")).unwrap()
            == fs::read(two.join("modules/big-hba.ko")).unwrap()
    );
    let toml = fs::read_to_string(one.join("netboot.toml")).unwrap();
    let toml: toml::Value = toml::from_str(&toml).unwrap();
    assert_eq!(toml["kernel"].as_str(), Some(VERSION));
    let initrd =
        toml["file"].as_array().unwrap().iter().find(|f| f["name"].as_str() == Some("initrd.img")).unwrap();
    let sum = Command::new("sha256sum").arg(one.join("initrd.img")).output().unwrap();
    assert_eq!(text(&sum.stdout)[..64], *initrd["sha256"].as_str().unwrap());
}

#[test]
fn the_choice_of_modules_can_be_changed() {
    let tree = Tree::new();
    tree.write("list", b"# ours\n+card -big-hba\n");
    let list = format!("@{}", tree.path("list").display());
    for (changes, there, not_there) in [
        ("+card,-acme", &["card", "big_hba"][..], &["acme", "libacme"][..]),
        (&list, &["card", "acme"], &["big_hba"]),
        ("-all,drivers/gpu/", &["card"], &["acme", "big_hba"]),
        ("orphan", &["orphan", "acme"], &["card"]),
    ] {
        let output = tree.netboot(&tree.path("none"), &["--dry-run", "--modules", changes]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let listed = text(&output.stdout);
        let words: Vec<&str> = listed.split_whitespace().collect();
        assert!(there.iter().all(|name| words.contains(name)), "{changes}: {listed}");
        assert!(!not_there.iter().any(|name| words.contains(name)), "{changes}: {listed}");
    }
    assert!(!tree.path("none").exists());
    let output = tree.netboot(&tree.path("none"), &["--modules", "+nonsense"]);
    assert!(text(&output.stderr).contains("has no module \"nonsense\""), "{}", text(&output.stderr));
}

#[test]
fn key_conf_and_shell_are_embedded_and_wrong_ones_are_refused() {
    let tree = Tree::new();
    tree.write("ezio.conf", b"TORRENT=/images/a.torrent\nTARGET=/dev/sda1\n");
    tree.write("key.pub", b"a key");
    let (conf, key) = (tree.path("ezio.conf"), tree.path("key.pub"));
    tree.write("shell", &elf(&[(".text", b"a shell")]));
    let shell = tree.path("shell");
    let [conf, key, shell] = [&conf, &key, &shell].map(|path| path.to_str().unwrap());
    let dist = tree.packed("dist", &["--conf", conf, "--key", key, "--shell", shell]);
    let listing = cpio(&dist, &["-t", "--quiet"], tree.folder.path());
    assert!(listing.contains("etc/ezio/ezio.conf") && listing.contains("etc/ezio/key.pub"), "{listing}");
    let long = cpio(&dist, &["-tv", "--quiet"], tree.folder.path());
    assert!(long.lines().any(|line| line.starts_with("-rwxr-xr-x") && line.ends_with(" bin/sh")), "{long}");
    tree.write("ezio.conf", b"nonsense = 1\n");
    let output = tree.netboot(&dist, &["--conf", conf]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is no ezio.conf"), "{}", text(&output.stderr));
    tree.write("shell", &elf(&[(".interp", b"/lib64/ld-linux-x86-64.so.2\0")]));
    let output = tree.netboot(&dist, &["--shell", shell]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("shell cannot be used: it is not static"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn wrong_inputs_are_refused_with_a_reason() {
    let tree = Tree::new();
    let refused = |more: &[&str], reason: &str| {
        let output = tree.netboot(&tree.path("dist"), more);
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
        assert!(!tree.path("dist").exists());
    };
    tree.write("lib/modules/6.1.0-other/kernel/x.ko", &elf(&[(".modinfo", b"name=x\0")]));
    let other = tree.path("lib/modules/6.1.0-other");
    refused(&["--modules-dir", other.to_str().unwrap()], "but the modules are for 6.1.0-other");
    tree.modules(&[("drivers/ata/lost.ko", "name=lost\0depends=nowhere\0alias=x\0")]);
    refused(&[], "needs module nowhere");
    tree.modules(&[("drivers/ata/lost.ko", "name=lost\0depends=\0alias=x\0")]);
    tree.write("ezio-init", &elf(&[(".interp", b"/lib64/ld-linux-x86-64.so.2\0")]));
    refused(&[], "it is not static: it needs /lib64/ld-linux-x86-64.so.2");
    tree.write("ezio-init", b"#!/bin/sh\n");
    refused(&[], "it is not an ELF program");
    tree.write("ezio-init", &elf_for(Architecture::Aarch64, &[(".text", b"an init")]));
    refused(&[], "it is not for amd64, as the kernel is");
}
