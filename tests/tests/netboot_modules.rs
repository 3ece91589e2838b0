//! The module index of a real initrd against kmod: `modprobe --show-depends` and `modprobe --resolve-alias`
//! are asked about Debian's kernel, from which `make netboot` packed it.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::collections::BTreeSet;
use std::process::Command;

use ezio_contract::initrd::MODULE_INDEX;
use ezio_contract::modules::ModuleIndex;
use ezio_contract::netboot::INITRD;
use ezio_tests::programs;
use ezio_tests::vm::material;

fn index() -> ModuleIndex {
    programs::need(&["modprobe", "zstd", "cpio"]).unwrap();
    let initrd = material::netboot().unwrap().join(INITRD);
    let script = "zstd -dc \"$1\" | cpio --extract --to-stdout --quiet \"$2\"";
    let name = MODULE_INDEX.trim_start_matches('/');
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .arg(initrd)
        .arg(name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ModuleIndex::parse(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

/// What modprobe prints about a name, without any configuration of this machine's.
fn modprobe(index: &ModuleIndex, question: &str, name: &str) -> String {
    let output = Command::new("/sbin/modprobe")
        .args(["--set-version", &index.kernel, "--config", "/dev/null", "--dirname"])
        .arg(material::chain().unwrap())
        .args([question, name])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Names of the modules that a list of files of ours means.
fn names(files: &[&str]) -> Vec<String> {
    let name = |file: &&str| file.rsplit('/').next().unwrap().split(".ko").next().unwrap().replace('-', "_");
    files.iter().map(name).collect()
}

#[test]
fn every_module_brings_what_modprobe_would_load_before_it() {
    let index = index();
    assert!(index.modules.len() > 300, "{} modules", index.modules.len());
    for (name, module) in &index.modules {
        let shown = modprobe(&index, "--show-depends", name);
        let files: Vec<&str> =
            shown.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim).collect();
        let wanted: BTreeSet<String> = names(&files).into_iter().collect();
        let companions: BTreeSet<&String> = module.after.iter().collect();
        let ours: BTreeSet<String> =
            module.before.iter().chain([name]).filter(|n| !companions.contains(n)).cloned().collect();
        let missing: Vec<_> = wanted.difference(&ours).filter(|n| !companions.contains(n)).collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
        // Each module comes after all that it needs itself.
        for (i, need) in module.before.iter().enumerate() {
            let earlier = &module.before[..i];
            let needs = &index.modules[need].before;
            // Soft dependencies may go round in a circle.
            assert!(
                needs.iter().all(|n| earlier.contains(n) || n == name),
                "{need} comes too early for {name}"
            );
        }
    }
}

#[test]
fn devices_of_real_and_virtual_machines_find_the_drivers_that_modprobe_names() {
    let index = index();
    for (device, modalias) in [
        ("Intel 82574L", "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00"),
        ("Intel I219-LM", "pci:v00008086d000015B7sv00001028sd000007A1bc02sc00i00"),
        ("Intel I225-V", "pci:v00008086d000015F3sv00001043sd000087D2bc02sc00i00"),
        ("Realtek RTL8168", "pci:v000010ECd00008168sv00001043sd000085C8bc02sc00i00"),
        ("Realtek RTL8125", "pci:v000010ECd00008125sv00001458sd0000E000bc02sc00i00"),
        ("Broadcom BCM5720", "pci:v000014E4d0000165Fsv00001028sd000004F7bc02sc00i00"),
        ("Intel X710", "pci:v00008086d00001572sv00008086sd00000007bc02sc00i00"),
        ("Mellanox ConnectX-4", "pci:v000015B3d00001013sv000015B3sd00000050bc02sc00i00"),
        ("Mellanox ConnectX-3", "pci:v000015B3d00001003sv000015B3sd00000055bc02sc00i00"),
        ("ASIX USB adapter", "usb:v0B95p1790d0100dcFFdscFFdp00icFFiscFFip00in00"),
        ("Realtek USB adapter", "usb:v0BDAp8153d3000dc00dsc00dp00icFFiscFFip00in00"),
        ("virtio network card", "virtio:d00000001v00001AF4"),
        ("virtio disk", "virtio:d00000002v00001AF4"),
        ("virtio SCSI", "virtio:d00000008v00001AF4"),
        ("VMware network card", "pci:v000015ADd000007B0sv000015ADsd000007B0bc02sc00i00"),
        ("VMware SCSI", "pci:v000015ADd000007C0sv000015ADsd000007C0bc01sc07i00"),
        ("Hyper-V disk", "vmbus:d96361baa104294db60572e2ffb1dc7f"),
        ("Hyper-V network card", "vmbus:635161f83edfc546913ff2d2f965ed0e"),
        ("AHCI", "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"),
        ("NVMe", "pci:v0000144Dd0000A808sv0000144Dsd0000A801bc01sc08i02"),
        ("Intel VMD", "pci:v00008086d00009A0Bsv00001028sd00000A5Ebc01sc04i00"),
        ("Dell PERC", "pci:v00001000d0000005Dsv00001028sd00001F49bc01sc04i00"),
        ("LSI SAS3008", "pci:v00001000d00000097sv00001000sd00003090bc01sc07i00"),
        ("HP Smart Array", "pci:v0000103Cd00003239sv0000103Csd000021BDbc01sc04i00"),
        ("Adaptec SmartRAID", "pci:v00009005d0000028Fsv0000103Csd00000600bc01sc07i00"),
        ("eMMC", "pci:v00008086d000034C4sv00008086sd00007270bc08sc05i01"),
        ("a disk", "scsi:t-0x00"),
        ("USB 3", "pci:v00008086d0000A12Fsv00001028sd000007A1bc0Csc03i30"),
        ("USB disk", "usb:v0781p5581d0100dc00dsc00dp00ic08isc06ip50in00"),
        ("USB keyboard", "usb:v046DpC31Cd4920dc00dsc00dp00ic03isc01ip01in00"),
        ("transceiver", "mdio:00000000000111001100100100010110"),
        ("EFI variables", "fs-efivarfs"),
    ] {
        let ours = names(&index.files_for(modalias));
        let resolved = modprobe(&index, "--resolve-alias", modalias);
        let drivers: Vec<&str> = resolved.split_whitespace().collect();
        assert!(!drivers.is_empty(), "kmod knows no driver for {device}");
        for driver in drivers {
            assert!(ours.iter().any(|name| name == driver), "{device}: {driver} is not in {ours:?}");
        }
    }
}
