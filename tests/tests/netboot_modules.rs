//! The module index of a real initrd against kmod: `modprobe --show-depends` and `modprobe --resolve-alias`
//! are asked about Debian's kernel, from which `make netboot` packed it.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use ezio_contract::initrd::MODULE_INDEX;
use ezio_contract::modules::{Module, ModuleIndex};
use ezio_contract::netboot::{INITRD, SERVER_CARDS};
use ezio_image::checksums::sha256_hex;
use ezio_tests::programs;
use ezio_tests::vm::material;

fn index() -> ModuleIndex {
    programs::need(&["modprobe", "xz", "cpio"]).unwrap();
    let name = MODULE_INDEX.trim_start_matches('/');
    let index = cpio(INITRD, &["--extract", "--to-stdout", "--quiet", name]);
    ModuleIndex::parse(&index).unwrap()
}

/// What cpio says of an initrd.
fn cpio(initrd: &str, arguments: &[&str]) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", "xz -dc \"$1\" | cpio \"${@:2}\"", "bash"])
        .arg(material::netboot().unwrap().join(initrd))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn modprobe(index: &ModuleIndex, question: &str, name: &str) -> String {
    let output = Command::new("/sbin/modprobe")
        .args(["--set-version", &index.kernel, "--config", "/dev/null", "--dirname"])
        .arg(material::chain().unwrap())
        .args([question, name])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Names of the modules that files mean.
fn names<'a>(files: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let name = |file: &str| file.rsplit('/').next().unwrap().split(".ko").next().unwrap().replace('-', "_");
    files.into_iter().map(name).collect()
}

fn files<'a>(modules: &[&'a Module]) -> Vec<&'a str> {
    modules.iter().map(|module| module.file.as_str()).collect()
}

#[test]
fn every_module_brings_what_modprobe_would_load_before_it() {
    let index = index();
    assert!(index.modules.len() > 300, "{} modules", index.modules.len());
    for (name, module) in &index.modules {
        let shown = modprobe(&index, "--show-depends", name);
        let files: Vec<&str> =
            shown.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim).collect();
        let wanted: BTreeSet<String> = names(files).into_iter().collect();
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
        ("Intel I226-V", "pci:v00008086d0000125Csv00001462sd00007D97bc02sc00i00"),
        ("Intel I219-V of 2024", "pci:v00008086d0000550Bsv00001043sd00008672bc02sc00i00"),
        ("Intel I210", "pci:v00008086d00001533sv00001043sd000085C8bc02sc00i00"),
        ("Intel X550", "pci:v00008086d00001563sv000015D9sd000009D0bc02sc00i00"),
        ("Intel E810", "pci:v00008086d0000159Bsv00008086sd00000003bc02sc00i00"),
        ("Intel 82575 to I350", "pci:v00008086d00001521sv00001028sd00001F60bc02sc00i00"),
        ("Intel 82567LM", "pci:v00008086d000010F5sv000017AAsd000020EEbc02sc00i00"),
        ("Intel PRO/1000 MT", "pci:v00008086d0000100Esv00008086sd0000001Ebc02sc00i00"),
        ("Intel PRO/100", "pci:v00008086d00001229sv00001014sd0000305Cbc02sc00i00"),
        ("Intel of Elkhart Lake", "pci:v00008086d00004BA0sv00008086sd00007270bc02sc00i00"),
        ("Realtek RTL8126", "pci:v000010ECd00008126sv00001043sd000088C3bc02sc00i00"),
        ("Realtek RTL8101E", "pci:v000010ECd00008136sv0000103Csd0000820Dbc02sc00i00"),
        ("Killer E3000", "pci:v000010ECd00003000sv00001458sd0000E000bc02sc00i00"),
        ("Killer E2500", "pci:v00001969d0000E0B1sv00001458sd0000E000bc02sc00i00"),
        ("Atheros AR8161", "pci:v00001969d00001091sv00001043sd00008568bc02sc00i00"),
        ("Marvell AQC113", "pci:v00001D6Ad000014C0sv00001043sd00008815bc02sc00i00"),
        ("Marvell 88E8056", "pci:v000011ABd00004364sv00001043sd000081F8bc02sc00i00"),
        ("NVIDIA nForce", "pci:v000010DEd00000057sv00001043sd0000816Abc06sc80i00"),
        ("VIA Velocity", "pci:v00001106d00003119sv00001043sd000080F4bc02sc00i00"),
        ("SiS 191", "pci:v00001039d00000191sv00001043sd00008139bc02sc00i00"),
        ("JMicron JMC250", "pci:v0000197Bd00000250sv00001043sd000082ABbc02sc00i00"),
        ("Broadcom BCM5761", "pci:v000014E4d00001681sv00001028sd000002B5bc02sc00i00"),
        ("Broadcom BCM5709", "pci:v000014E4d00001639sv00001028sd00000235bc02sc00i00"),
        ("Broadcom BCM57810", "pci:v000014E4d0000168Esv00001028sd00001F67bc02sc00i00"),
        ("Broadcom BCM57414", "pci:v000014E4d000016D7sv000014E4sd00001402bc02sc00i00"),
        ("Mellanox ConnectX-6 Lx", "pci:v000015B3d0000101Fsv000015B3sd00000001bc02sc00i00"),
        ("QLogic FastLinQ", "pci:v00001077d00001656sv00001077sd00000002bc02sc00i00"),
        ("Emulex OneConnect", "pci:v000019A2d00000710sv0000103Csd0000337Bbc02sc00i00"),
        ("Cisco VIC", "pci:v00001137d00000043sv00001137sd0000012Ebc02sc00i00"),
        ("Solarflare", "pci:v00001924d00000A03sv00001924sd00008021bc02sc00i00"),
        ("Amazon ENA", "pci:v00001D0Fd0000EC20sv00001D0Fsd0000EC20bc02sc00i00"),
        ("Google gVNIC", "pci:v00001AE0d00000042sv00001AE0sd00000058bc02sc00i00"),
        ("Microsoft MANA", "pci:v00001414d000000BAsv00001414sd000000BAbc02sc00i00"),
        ("Xen network card", "xen:vif"),
        ("Xen disk", "xen:vbd"),
        ("Realtek USB adapter, 2.5 Gbit/s", "usb:v0BDAp8156d3104dc00dsc00dp00icFFiscFFip00in00"),
        ("Lenovo dock", "usb:v17EFpA387d3100dc00dsc00dp00icFFiscFFip00in00"),
        ("Aquantia USB adapter", "usb:v2ECApC101d0101dc00dsc00dp00icFFiscFFip00in00"),
        ("SMSC USB adapter", "usb:v0424pEC00d0200dcFFdsc00dp01icFFisc00ipFFin00"),
        ("Microchip USB adapter", "usb:v0424p7800d0300dcFFdsc00dpFFicFFisc00ipFFin00"),
        ("USB adapter by CDC NCM", "usb:v1A2Bp3C4Dd0100dcEFdsc02dp01ic02isc0Dip00in00"),
        ("USB adapter by CDC Ethernet", "usb:v1A2Bp3C4Dd0100dc02dsc00dp00ic02isc06ip00in00"),
        ("USB network by RNDIS", "usb:v1A2Bp3C4Dd0100dcE0dsc00dp00icE0isc01ip03in00"),
        ("NVMe of Samsung, Micron, others", "pci:v00001344d00005410sv00001344sd00001100bc01sc08i02"),
        ("Intel SATA in RAID mode", "pci:v00008086d0000282Asv00001028sd000007A1bc01sc04i00"),
        ("Intel VMD of 2023", "pci:v00008086d0000A77Fsv00001043sd00008882bc01sc04i00"),
        ("PATA", "pci:v00008086d000024DBsv00001028sd0000015Dbc01sc01i8A"),
        ("LSI SAS 1068E", "pci:v00001000d00000058sv00001028sd00001F10bc01sc00i00"),
        ("LSI SAS3508", "pci:v00001000d00000016sv00001028sd00001FC7bc01sc04i00"),
        ("LSI SAS3816", "pci:v00001000d000000E6sv00001000sd000040B0bc01sc07i00"),
        ("LSI 53C1030", "pci:v00001000d00000030sv00001028sd00000123bc01sc00i00"),
        ("Adaptec AIC-7902", "pci:v00009005d0000801Dsv00009005sd0000005Ebc01sc00i00"),
        ("Marvell 88SE9485", "pci:v00001B4Bd00009485sv00001B4Bsd00009480bc01sc07i00"),
        ("Cisco FCoE", "pci:v00001137d00000045sv00001137sd0000012Ebc0Csc04i00"),
        ("UFS", "pci:v00008086d000054FFsv00008086sd00007270bc01sc09i01"),
        ("SD slot", "pci:v000010ECd0000522Asv000017AAsd00002258bcFFsc00i00"),
        ("eMMC by ACPI", "acpi:INT33BB:80860F14:"),
        ("USB 2", "pci:v00008086d00001E26sv00001028sd0000052Cbc0Csc03i20"),
        ("USB 1, UHCI", "pci:v00008086d00002934sv00001028sd00000211bc0Csc03i00"),
        ("USB 1, OHCI", "pci:v000010DEd0000005Asv00001043sd0000815Abc0Csc03i10"),
        ("USB disk that takes several commands", "usb:v174Cp55AAd0100dc00dsc00dp00ic08isc06ip62in00"),
        ("a zoned disk", "scsi:t-0x14"),
        ("EFI variables", "fs-efivarfs"),
    ] {
        let ours = names(files(&index.modules_for(modalias)));
        let resolved = modprobe(&index, "--resolve-alias", modalias);
        let drivers: Vec<&str> = resolved.split_whitespace().collect();
        assert!(!drivers.is_empty(), "kmod knows no driver for {device}");
        for driver in drivers {
            assert!(ours.iter().any(|name| name == driver), "{device}: {driver} is not in {ours:?}");
        }
    }
}

/// `modinfo` tells which files a driver names; each driver that names some has its row on the page for people.
#[test]
fn every_driver_that_wants_firmware_is_on_the_page() {
    programs::need(&["modinfo"]).unwrap();
    let index = index();
    let page = std::fs::read_to_string(material::workspace().join("image-builder/FIRMWARE.md")).unwrap();
    let output = Command::new("/sbin/modinfo")
        .args(["-k", &index.kernel, "--basedir"])
        .arg(material::chain().unwrap())
        .args(index.modules.keys())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut wanting, mut names_firmware) = (0, false);
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or_default();
        match field {
            "filename" => names_firmware = false,
            "firmware" => names_firmware = true,
            "name" if names_firmware => {
                wanting += 1;
                assert!(page.contains(&format!("| {} |", value.trim())), "{} has no row", value.trim());
            }
            _ => {}
        }
    }
    assert!(wanting > 20, "only {wanting} drivers name firmware files");
}

/// Before there is a network nothing can be fetched: each card's driver, and all it needs, is in one of the two initrds.
#[test]
fn the_initrds_hold_all_that_network_cards_need_and_the_server_the_rest() {
    let index = index();
    let dist = material::netboot().unwrap();
    let second = cpio(SERVER_CARDS, &["--list", "--quiet"]);
    let second: BTreeSet<&str> = second.lines().filter_map(|path| path.strip_prefix("lib/ezio/")).collect();
    let is_first = |name: &str| !index.remote.contains_key(&index.modules[name].file);
    let is_second = |name: &str| second.contains(&*index.modules[name].file);
    for (name, module) in &index.modules {
        for need in module.before.iter().chain(&module.after) {
            assert!(!is_first(name) || is_first(need), "{name} is in the initrd, but not {need}");
            assert!(!is_second(name) || is_first(need) || is_second(need), "{need}, for {name}");
        }
    }
    let cards = modules_below(&material::chain().unwrap().join("lib/modules"), "/kernel/drivers/net/");
    let cards: Vec<&String> = cards.iter().filter(|name| index.modules.contains_key(*name)).collect();
    assert!(cards.len() > 150, "{}", cards.len());
    for card in cards {
        assert!(is_first(card) != is_second(card), "{card}");
    }
    for disk in ["ahci", "nvme", "megaraid_sas", "usb_storage", "virtio_blk", "usbhid", "vfat", "efivarfs"] {
        assert!(!is_first(disk) && !is_second(disk), "{disk} is in an initrd");
    }
    for card in ["e1000e", "r8169", "igc", "tg3", "ixgbe", "virtio_net", "vmxnet3", "hv_netvsc", "r8152"] {
        assert!(is_first(card), "{card}");
    }
    for card in ["mlx5_core", "mlx4_en", "ice", "i40e", "bnx2x", "bnxt_en", "qede", "ena"] {
        assert!(is_second(card), "{card}");
    }
    for (file, remote) in &index.remote {
        let content = std::fs::read(dist.join(file)).unwrap();
        assert_eq!(
            (content.len() as u64, sha256_hex(&content)),
            (remote.size, remote.sha256.clone()),
            "{file}"
        );
    }
}

/// Names of the modules below folders whose paths have `part`.
fn modules_below(root: &Path, part: &str) -> BTreeSet<String> {
    let output = Command::new("find").arg(root).args(["-name", "*.ko*"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    names(text.lines().filter(|path| path.contains(part))).into_iter().collect()
}
