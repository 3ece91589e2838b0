use super::*;

const GIB: u64 = 1 << 30;

pub(crate) fn disk(name: &str, size: u64, bus: Bus) -> Disk {
    Disk {
        path: format!("/dev/{name}").into(),
        name: name.into(),
        size,
        sector_size: 512,
        model: Some("QEMU HARDDISK".into()),
        serial: Some(format!("QM-{name}")),
        wwn: None,
        bus: Some(bus),
        removable: false,
        read_only: false,
        is_virtual: false,
        is_boot_medium: false,
        in_use: None,
        partitions: Vec::new(),
        links: Vec::new(),
    }
}

fn names(result: Result<Vec<Disk>, ChooseError>) -> Vec<String> {
    result.unwrap().into_iter().map(|d| d.name).collect()
}

fn refusal(disks: &[Disk], rule: &DiskRule, needed: u64) -> String {
    choose(disks, rule, needed, false).expect_err("refused").to_string()
}

#[test]
fn the_only_disk_is_taken() {
    assert_eq!(names(choose(&[disk("sda", GIB, Bus::Ata)], &DiskRule::default(), GIB, false)), ["sda"]);
}

#[test]
fn two_disks_that_fit_are_refused_and_listed() {
    let disks = [disk("sda", GIB, Bus::Ata), disk("sdb", GIB, Bus::Ata), disk("sdc", GIB / 2, Bus::Ata)];
    assert_eq!(
        refusal(&disks, &DiskRule::default(), GIB),
        "2 disks fit, and only one may: make the rules in [disk] narrower, or set all = true to write every one\n  \
         /dev/sda QEMU HARDDISK 1.0 GiB ata serial QM-sda: fits\n  \
         /dev/sdb QEMU HARDDISK 1.0 GiB ata serial QM-sdb: fits\n  \
         /dev/sdc QEMU HARDDISK 512.0 MiB ata serial QM-sdc: too small by 536870912 bytes (512.0 MiB): \
         has 512.0 MiB, needs 1.0 GiB"
    );
    let mut reversed = disks.to_vec();
    reversed.reverse();
    assert!(matches!(
        choose(&reversed, &DiskRule::default(), GIB, false),
        Err(ChooseError::SeveralFit { .. })
    ));
}

#[test]
fn a_disk_that_is_too_small_says_by_how_much() {
    let text = refusal(&[disk("sda", GIB - 1, Bus::Ata)], &DiskRule::default(), GIB);
    assert!(text.starts_with("no disk fits\n") && text.contains("too small by 1 bytes"), "{text}");
}

#[test]
fn every_rule_narrows_the_choice() {
    let pattern = |text: &str| vec![Pattern::new(text).unwrap()];
    let mut nvme = disk("nvme0n1", 500 * GIB, Bus::Nvme);
    nvme.model = Some("Samsung SSD 980".into());
    nvme.wwn = Some("eui.0025388".into());
    nvme.links = vec!["/dev/disk/by-path/pci-1".into()];
    let disks = [disk("sda", 100 * GIB, Bus::Ata), nvme];
    let any = DiskRule::default;
    for (rule, expected) in [
        (DiskRule { min_size: Some(200 * GIB), ..any() }, "nvme0n1"),
        (DiskRule { max_size: Some(200 * GIB), ..any() }, "sda"),
        (DiskRule { bus: vec![Bus::Nvme], ..any() }, "nvme0n1"),
        (DiskRule { model: pattern("samsung*"), ..any() }, "nvme0n1"),
        (DiskRule { serial: pattern("QM-sd?"), ..any() }, "sda"),
        (DiskRule { wwn: pattern("eui.*"), ..any() }, "nvme0n1"),
        (DiskRule { path: vec!["/dev/sda".into()], ..any() }, "sda"),
        (DiskRule { path: vec!["/dev/disk/by-path/pci-1".into()], ..any() }, "nvme0n1"),
    ] {
        assert_eq!(names(choose(&disks, &rule, GIB, false)), [expected], "{rule:?}");
    }
    let rule = DiskRule { model: pattern("WDC*"), bus: vec![Bus::Scsi], min_size: Some(101 * GIB), ..any() };
    let text = refusal(&disks[..1], &rule, GIB);
    for words in ["is below min-size", "bus is ata, not scsi", "model is \"QEMU HARDDISK\", not WDC*"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn what_must_never_be_written_is_not() {
    let mut used = disk("sda", GIB, Bus::Ata);
    used.in_use = Some("/dev/sda1 is mounted at /".into());
    let mut read_only = disk("sda", GIB, Bus::Ata);
    read_only.read_only = true;
    let empty = disk("sda", 0, Bus::Ata);
    let named = DiskRule { path: vec!["/dev/sda".into()], removable: None, ..DiskRule::default() };
    for (bad, words) in [(used, "mounted at /"), (read_only, "read-only"), (empty, "no medium")] {
        // Not even when the rule names it.
        for rule in [&DiskRule::default(), &named] {
            let text = refusal(std::slice::from_ref(&bad), rule, 0);
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn removable_disks_are_taken_only_when_asked_for() {
    let usb = disk("sdb", GIB, Bus::Usb);
    let mut card = disk("mmcblk1", GIB, Bus::Mmc);
    card.removable = true;
    let rule = DiskRule::default;
    for bad in [&usb, &card] {
        assert!(refusal(std::slice::from_ref(bad), &rule(), GIB).contains("is removable"));
        let fixed = disk("sda", GIB, Bus::Ata);
        assert_eq!(names(choose(&[fixed, bad.clone()], &rule(), GIB, false)), ["sda"]);
        for asked in [
            DiskRule { removable: Some(true), ..rule() },
            DiskRule { path: vec![bad.path.clone()], ..rule() },
        ] {
            assert!(choose(std::slice::from_ref(bad), &asked, GIB, false).is_ok(), "{asked:?}");
        }
    }
    assert!(choose(&[usb], &DiskRule { bus: vec![Bus::Usb], ..rule() }, GIB, false).is_ok());
    assert!(choose(&[card], &DiskRule { bus: vec![Bus::Mmc], ..rule() }, GIB, false).is_err());
}

#[test]
fn virtual_disks_are_taken_only_by_path() {
    let mut device = disk("loop0", GIB, Bus::Ata);
    device.bus = None;
    device.is_virtual = true;
    assert_eq!(
        choose(std::slice::from_ref(&device), &DiskRule::default(), GIB, false),
        Err(ChooseError::NoDisks)
    );
    assert_eq!(choose(&[], &DiskRule::default(), GIB, false), Err(ChooseError::NoDisks));
    let named = DiskRule { path: vec!["/dev/loop0".into()], ..DiskRule::default() };
    assert_eq!(names(choose(&[device], &named, GIB, false)), ["loop0"]);
}

#[test]
fn all_disks_that_fit_or_none() {
    let rule = DiskRule { bus: vec![Bus::Ata], ..DiskRule::default() };
    let disks = [disk("sda", GIB, Bus::Ata), disk("sdb", GIB, Bus::Ata), disk("nvme0n1", GIB / 2, Bus::Nvme)];
    assert_eq!(names(choose(&disks, &rule, GIB, true)), ["sda", "sdb"]);
    let one_small = [disk("sda", GIB, Bus::Ata), disk("sdb", GIB - 1, Bus::Ata)];
    let error = choose(&one_small, &rule, GIB, true).unwrap_err();
    assert!(matches!(&error, ChooseError::SomeTooSmall(list) if list.len() == 1), "{error}");
    assert!(matches!(choose(&disks[2..], &rule, 0, true), Err(ChooseError::NoneFits(_))));
}

#[test]
fn a_world_wide_name_fits_as_sysfs_and_as_lsblk_spell_it() {
    let mut sda = disk("sda", GIB, Bus::Ata);
    sda.wwn = Some("naa.5002538f4243434b".into());
    for spelling in ["naa.5002538f4243434b", "0x5002538f4243434b", "0x5002538F4243434B", "0x5002538f*"] {
        let rule = DiskRule { wwn: vec![Pattern::new(spelling).unwrap()], ..DiskRule::default() };
        assert_eq!(names(choose(&[sda.clone()], &rule, GIB, false)), ["sda"], "{spelling}");
    }
    let rule = DiskRule { wwn: vec![Pattern::new("0x5002538f4243434c").unwrap()], ..DiskRule::default() };
    assert!(refusal(&[sda], &rule, GIB).contains("wwn is \"naa.5002538f4243434b\", not 0x5002538f4243434c"));
}

#[test]
fn a_model_fits_as_the_disk_and_as_lsblk_spell_it() {
    let mut sda = disk("sda", GIB, Bus::Ata);
    sda.model = Some("HGST  HTS721010A9E630".into());
    for spelling in ["HGST  HTS721010A9E630", "HGST HTS721010A9E630", "hgst hts*"] {
        let rule = DiskRule { model: vec![Pattern::new(spelling).unwrap()], ..DiskRule::default() };
        assert_eq!(names(choose(&[sda.clone()], &rule, GIB, false)), ["sda"], "{spelling}");
    }
    let rule = DiskRule { model: vec![Pattern::new("HGST").unwrap()], ..DiskRule::default() };
    assert!(refusal(&[sda], &rule, GIB).contains("model is \"HGST  HTS721010A9E630\", not HGST"));
}

#[test]
fn a_rule_allows_usb_exactly_where_a_disk_on_usb_can_fit() {
    let usb = disk("sdu", GIB, Bus::Usb);
    for bus in [vec![], vec![Bus::Ata], vec![Bus::Usb], vec![Bus::Ata, Bus::Usb]] {
        for path in [vec![], vec![usb.path.clone()]] {
            for removable in [None, Some(false), Some(true)] {
                let rule =
                    DiskRule { bus: bus.clone(), path: path.clone(), removable, ..DiskRule::default() };
                assert_eq!(allows_usb(&rule), objections(&usb, &rule).is_empty(), "{rule:?}");
            }
        }
    }
}

#[test]
fn the_boot_medium_is_never_taken_whatever_the_rules_say() {
    let stick = Disk { is_boot_medium: true, ..disk("sdb", GIB, Bus::Usb) };
    let named = DiskRule { path: vec![stick.path.clone()], ..DiskRule::default() };
    let removable = DiskRule { removable: Some(true), bus: vec![Bus::Usb], ..DiskRule::default() };
    for rule in [named, removable, DiskRule::default()] {
        let text = refusal(std::slice::from_ref(&stick), &rule, GIB);
        assert!(text.contains("is the medium that this machine was started from"), "{text}");
    }
    let disks = [stick, disk("sda", GIB, Bus::Ata), disk("sdc", GIB, Bus::Usb)];
    let removable = DiskRule { removable: Some(true), ..DiskRule::default() };
    assert_eq!(names(choose(&disks, &DiskRule::default(), GIB, false)), ["sda"]);
    assert_eq!(names(choose(&disks, &removable, GIB, true)), ["sdc"]);
}
