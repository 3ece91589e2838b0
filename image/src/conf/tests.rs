use std::path::PathBuf;
use std::time::Duration;

use ezio_contract::FirmwareIdentity;
use proptest::prelude::*;

use super::*;

fn machine(mac: &str) -> MachineId {
    let said = FirmwareIdentity {
        uuid: Some("4c4c4544-0042-3510-8052-b4c04f4d3032".into()),
        serial: Some("B5BMM02".into()),
        product: Some("OptiPlex 7060".into()),
        macs: vec![mac.into()],
    };
    said.into()
}

fn refused(text: &str) -> String {
    Conf::parse(text).expect_err(text).to_string()
}

#[test]
fn the_example_in_the_documentation_is_a_conf() {
    let conf = Conf::parse(
        r#"
image = "debian-12"
target = "disk"
[disk]
min-size = "100G"
bus = "sata"
model = ["Samsung*", "WDC ?*"]
[seed]
until-released = true
idle = "15m"
[[group]]
name = "room-2"
macs = ["52-54-00-*"]
[[machine]]
match.group = "room-2"
image = "windows-11"
end = "poweroff"
"#,
    )
    .unwrap();
    let first = conf.orders_for(&machine("aa:bb:cc:dd:ee:ff"), None).unwrap();
    assert_eq!(first.writes[0].image, ImageRef::Name("debian-12".into()));
    assert_eq!(first.writes[0].target, Target::WholeDisk { all: false });
    assert_eq!(
        (first.writes[0].disk.min_size, first.writes[0].disk.bus.clone()),
        (Some(100_000_000_000), vec![Bus::Ata])
    );
    assert!(first.writes[0].disk.model[0].matches("SAMSUNG SSD 870"));
    assert_eq!((first.end, first.on_error), (EndAction::Reboot, EndAction::Hold));
    let seed =
        SeedPolicy { ratio: None, idle: Some(Duration::from_secs(900)), time: None, until_released: true };
    assert_eq!(first.seed, seed);
    let second = conf.orders_for(&machine("52:54:00:12:34:56"), None).unwrap();
    assert_eq!(second.writes[0].image, ImageRef::Name("windows-11".into()));
    assert_eq!(second.end, EndAction::PowerOff);
    assert_eq!(second.writes[0].disk, first.writes[0].disk);
    let told = conf.orders_for(&machine("aa:bb:cc:dd:ee:ff"), Some("room-2")).unwrap();
    assert_eq!(told.writes[0].image, ImageRef::Name("windows-11".into()));
    assert!(matches!(
        conf.orders_for(&machine("aa:bb:cc:dd:ee:ff"), Some("room-9")),
        Err(NoOrders::UnknownGroup { .. })
    ));
}

#[test]
fn the_first_match_is_taken_and_all_conditions_must_hold() {
    let conf = Conf::parse(
        r#"
[[machine]]
match = { product = "optiplex*", serial = "X*" }
image = "one"
[[machine]]
match = { product = "optiplex*" }
image = "two"
[[machine]]
match.uuid = "4C4C4544-0042-3510-8052-B4C04F4D3032"
image = "three"
"#,
    )
    .unwrap();
    let orders = conf.orders_for(&machine("aa:bb:cc:dd:ee:ff"), None).unwrap();
    assert_eq!(orders.writes[0].image, ImageRef::Name("two".into()));
    assert_eq!(orders.chosen_by, "ezio.conf, its entry for product optiplex*");
    let unknown = MachineId::of_card("00:00:00:00:00:01".parse().unwrap());
    let error = conf.orders_for(&unknown, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ezio.conf has no image for this machine (MAC 00:00:00:00:00:01): no [[machine]] matches, \
         and no default image is set"
    );
}

#[test]
fn a_machine_in_two_groups_is_refused() {
    let conf = Conf::parse(
        "image = \"a\"\n[[group]]\nname = \"x\"\nproducts = [\"Opti*\"]\n[[group]]\nname = \"y\"\nserials = [\"B*\"]\n",
    )
    .unwrap();
    assert!(matches!(
        conf.orders_for(&machine("aa:bb:cc:dd:ee:ff"), None),
        Err(NoOrders::TwoGroups { first, second, .. }) if first == "x" && second == "y"
    ));
}

/// Each mistake with its line, its column, and words that must be in the message.
#[test]
fn mistakes_are_refused_by_line_and_column() {
    let cases: &[(&str, usize, usize, &[&str])] = &[
        ("image = \"a\"\nimagee = \"b\"\n", 2, 1, &["unknown field `imagee`", "`target`"]),
        ("image = \"a\"\n[disk]\nmin-size = \"100X\"\n", 3, 12, &["min-size", "not a size", "GiB"]),
        ("image = \"a\"\n[disk]\nremovable = \"no\"\n", 3, 13, &["removable", "boolean"]),
        ("image = \"a\"\n[disk]\nbus = \"pci\"\n", 3, 7, &["bus", "`pci`", "`nvme`"]),
        ("image = \"a\"\n[disk]\nbus = [\"ata\",\n  \"pci\"]\n", 4, 3, &["bus", "`pci`", "`nvme`"]),
        ("image = \"a\"\n[disk]\nmodel = []\n", 3, 9, &["model", "empty list"]),
        ("image = \"a\"\n[disk]\nsize = 1\n", 3, 1, &["unknown field `size`", "`min-size`"]),
        ("image = \"a\"\nend = \"halt\"\n", 2, 7, &["end", "`halt`", "`poweroff`"]),
        ("image = \"a\"\non-error = 5\n", 2, 12, &["on-error"]),
        ("image = \"a/b/c\"\n", 1, 9, &["image", "not an image"]),
        ("image = \"ftp://x/y\"\n", 1, 9, &["image", "http://"]),
        ("image = \"../x.torrent\"\n", 1, 9, &["not an image"]),
        ("image = \"a\"\ntarget = \"sda\"\n", 2, 10, &["target", "LABEL="]),
        ("image = \"a\"\nseed = \"sometimes\"\n", 2, 8, &["seed", "ratio=1.5"]),
        ("image = \"a\"\n[seed]\nidle = \"soon\"\n", 2, 1, &["soon", "15m"]),
        ("image = \"a\"\nreport = \"nowhere\"\n", 2, 10, &["report", "http://"]),
        ("image = \"a\"\nimage = \"b\"\n", 2, 1, &["duplicate key"]),
        ("image = \n", 1, 9, &[""]),
        ("end = \"reboot\"\n", 1, 1, &["no image"]),
        ("image = \"a\"\n[[machine]]\nimage = \"b\"\n", 2, 1, &["missing field `match`"]),
        ("image = \"a\"\n[[machine]]\nmatch = {}\nimage = \"b\"\n", 3, 9, &["no condition"]),
        ("[[machine]]\nmatch.mac = \"52:54:00:00:00:01\"\n", 1, 1, &["no image"]),
        ("image = \"a\"\n[[machine]]\nmatch.mac = \"52:54\"\n", 3, 13, &["mac", "not a MAC address"]),
        ("image = \"a\"\n[[machine]]\nmatch.group = \"x\"\n", 3, 1, &["no [[group]]", "\"x\""]),
        (
            "image = \"a\"\n[disk]\nall = true\n[[machine]]\nmatch.serial = \"1\"\ntarget = \"/dev/sda1\"\n",
            4,
            1,
            &["all = true"],
        ),
        ("image = \"a\"\n[disk]\nmin-size = \"2T\"\nmax-size = \"1T\"\n", 2, 1, &["min-size", "above"]),
        ("image = \"a\"\n[disk]\npath = \"sda\"\n", 2, 1, &["path", "/dev/"]),
        ("image = \"a\"\n[identity]\nhostname = \"{{mac\"\n", 3, 12, &["hostname", "without }}"]),
        ("image = \"a\"\n[identity]\nhostname = \"lab\"\n", 2, 1, &["every machine would be called \"lab\""]),
        ("image = \"a\"\n[identity]\nhosts = \"../h.csv\"\n", 2, 1, &["hosts", "leads out"]),
        ("image = \"a\"\n[identity]\nmachine-id = \"no\"\n", 3, 14, &["machine-id", "boolean"]),
        (
            "image = \"a\"\n[identity]\nregenerate = [\"mbr\"]\n",
            3,
            15,
            &["regenerate", "`mbr`", "`disk-guid`"],
        ),
        ("image = \"a\"\n[identity]\nhost = 1\n", 3, 1, &["unknown field `host`", "`hostname`"]),
        ("image = \"a\"\n[windows]\njoin = \"{{hostname}}\"\n", 2, 1, &["unattend = \"FILE\" is missing"]),
        (
            "image = \"a\"\n[windows]\nunattend = \"u\"\njoin = \"j\"\n",
            2,
            1,
            &["every machine would get \"j\""],
        ),
        ("image = \"a\"\n[windows]\nunattend = \"/u\"\n", 2, 1, &["unattend", "leads out"]),
        ("image = \"a\"\n[windows]\ndrivers = \"d\"\n", 2, 1, &["drivers is named", "unattend = \"FILE\""]),
        ("image = \"a\"\n[windows]\nunattend = \"u\"\ndrivers = \"../d\"\n", 2, 1, &["drivers", "leads out"]),
        ("image = \"ä\"\n", 1, 9, &["not an image"]),
        ("# ä\nimage = \"a\" ä\n", 2, 13, &[""]),
    ];
    for (text, line, column, words) in cases {
        let error = Conf::parse(text).expect_err(text);
        assert_eq!((error.line, error.column), (*line, *column), "{text}\n{error}");
        for word in *words {
            assert!(error.message.contains(word), "{text}\n{error}");
        }
        assert!(!error.message.contains('\n'), "{error}");
    }
}

#[test]
fn what_is_ambiguous_is_refused() {
    let twice = "image = \"a\"\n[[group]]\nname = \"x\"\nmacs = [\"52:54:00:00:00:01\"]\n[[group]]\nname = \"y\"\nmacs = [\"52-54-00-00-00-01\"]\n";
    assert!(refused(twice).contains("MAC 52:54:00:00:00:01 is in two groups"));
    let same = "image = \"a\"\n[[machine]]\nmatch.serial = \"1\"\n[[machine]]\nmatch.serial = \"1\"\nend = \"hold\"\n";
    assert!(refused(same).contains("never be used"));
    let name = "image = \"a\"\n[[group]]\nname = \"x\"\n[[group]]\nname = \"x\"\n";
    assert!(refused(name).contains("twice"));
    let paths = "image = \"a\"\ntarget = \"/dev/sda\"\n[disk]\npath = \"/dev/sdb\"\n";
    assert!(refused(paths).contains("keep one"));
    let partition = "image = \"a\"\npartition = \"sda1\"\n";
    assert!(refused(partition).contains("whole disk"));
}

#[test]
fn the_two_key_form_keeps_working() {
    let text = "# room 1\nTORRENT=/images/a.torrent   # the golden one\nTARGET='/dev/sda1'\n";
    let orders = Conf::parse(text).unwrap().orders_for(&MachineId::default(), None).unwrap();
    assert_eq!(orders.writes[0].image, ImageRef::TorrentPath("/images/a.torrent".into()));
    assert_eq!(orders.writes[0].target, Target::Partition(PartitionSelector::Path("/dev/sda1".into())));
    let whole = Conf::parse("TARGET=/dev/nvme0n1\r\nTORRENT=http://10.0.0.1/a.torrent\r\n").unwrap();
    let orders = whole.orders_for(&MachineId::default(), None).unwrap();
    assert_eq!(orders.writes[0].target, Target::WholeDisk { all: false });
    assert_eq!(orders.writes[0].disk.path, vec![PathBuf::from("/dev/nvme0n1")]);

    for (text, line, column, word) in [
        ("TORRENT=/a.torrent\n", 2, 1, "TARGET is missing"),
        ("TORRENT=/a.torrent\nTARGET=sda1\n", 2, 8, "no target"),
        ("TORRENT=/a.torrent\nTARGET=/dev/sda\nDISK=1\n", 3, 1, "unknown key \"DISK\""),
        ("TORRENT=/a.torrent\nTORRENT=/b.torrent\n", 2, 1, "twice"),
        ("TORRENT=/a b.torrent\nTARGET=/dev/sda\n", 1, 9, "quotes"),
        ("TORRENT=\"/a.torrent\nTARGET=/dev/sda\n", 1, 9, "closing"),
        ("TORRENT=a\nTARGET=/dev/sda\n", 1, 9, "not the path or URL"),
        ("TORRENT=/a.torrent\n  nonsense\nTARGET=/dev/sda\n", 2, 3, "not KEY=value"),
    ] {
        let error = Conf::parse(text).expect_err(text);
        assert_eq!((error.line, error.column), (line, column), "{text}\n{error}");
        assert!(error.message.contains(word), "{error}");
    }
}

#[test]
fn partitions_and_disks_are_told_apart_by_name() {
    for disk in [
        "/dev/sda",
        "/dev/nvme0n1",
        "/dev/mmcblk0",
        "/dev/vdb",
        "/dev/loop7",
        "/dev/md0",
        "/dev/sdaa",
        "/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001",
        "/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
    ] {
        assert!(!names_a_partition(disk), "{disk}");
    }
    for partition in [
        "/dev/sda1",
        "/dev/nvme0n1p12",
        "/dev/mmcblk0p1",
        "/dev/xvda3",
        "/dev/loop7p1",
        "/dev/vg/root",
        "/dev/mapper/vg-root",
        "/dev/dm-0",
        "/dev/disk/by-label/root",
        "/dev/disk/by-id/ata-X-part1",
    ] {
        assert!(names_a_partition(partition), "{partition}");
    }
}

#[test]
fn seeding_ends_at_the_first_bound() {
    let s = Duration::from_secs;
    let policy: SeedPolicy = "ratio=1.5,idle=15m".parse().unwrap();
    assert!(!policy.is_over(149, 100, s(9999), s(899), true));
    assert!(policy.is_over(150, 100, s(0), s(0), false));
    assert!(policy.is_over(0, 100, s(900), s(900), false));
    assert!(SeedPolicy::NONE.is_over(0, 100, s(0), s(0), false));
    assert!(!SeedPolicy::FOREVER.is_over(u64::MAX, 1, s(1 << 30), s(1 << 30), true));
    assert!(SeedPolicy::default().is_over(0, 100, s(0), s(0), true));
    assert!("".parse::<SeedPolicy>().is_err());
    assert!("ratio=-1".parse::<SeedPolicy>().is_err());
    assert!("ratio=nan".parse::<SeedPolicy>().is_err());
}

/// Where the examples lie, from this crate.
fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config-examples")
}

fn example(name: &str) -> Conf {
    let path = examples().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Conf::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn the_example_of_a_classroom() {
    let conf = example("classroom.conf");
    let orders = conf.orders_for(&machine("52:54:00:12:34:56"), None).unwrap();
    assert_eq!(orders.writes[0].image, ImageRef::Name("golden".into()));
    assert_eq!(orders.writes[0].disk.min_size, Some(100_000_000_000));
    assert!(orders.seed.until_released && orders.uefi.entries);
    let teacher = conf.orders_for(&machine("52:54:00:00:00:01"), None).unwrap();
    assert_eq!(teacher.end, EndAction::PowerOff);
    assert_eq!(teacher.writes[0].image, orders.writes[0].image);
}

#[test]
fn the_example_of_two_groups() {
    let conf = example("two-groups.conf");
    assert_eq!(conf.images().len(), 2);
    let office =
        FirmwareIdentity { product: Some("OptiPlex 7060".into()), ..FirmwareIdentity::default() }.into();
    let lab = MachineId::of_card("52:54:00:aa:00:01".parse().unwrap());
    let office = conf.orders_for(&office, None).unwrap();
    let lab = conf.orders_for(&lab, None).unwrap();
    assert_eq!(office.writes[0].image, ImageRef::Name("office".into()));
    assert_eq!(lab.writes[0].image, ImageRef::Name("lab".into()));
    assert_eq!(lab.writes[0].target, Target::WholeDisk { all: true });
    assert!(matches!(conf.orders_for(&MachineId::default(), None), Err(NoOrders::NotListed(_))));
    assert_eq!(
        conf.orders_for(&MachineId::default(), Some("lab")).unwrap().writes[0].image,
        lab.writes[0].image
    );
}

#[test]
fn the_example_of_two_disks() {
    let conf = example("two-disks.conf");
    let orders = conf.orders_for(&machine("52:54:00:12:34:56"), None).unwrap();
    let images: Vec<String> = orders.writes.iter().map(|write| write.image.to_string()).collect();
    assert_eq!(images, ["system", "data"]);
    assert_eq!(orders.writes[0].disk.bus, [Bus::Nvme]);
    assert_eq!(conf.images().len(), 2);
    assert_eq!(Conf::parse(&conf.to_toml()).unwrap(), conf);
}

#[test]
fn several_disks_are_whole_disks_with_an_image_each() {
    for (text, words) in [
        ("[[disk]]\nimage = \"a\"\n[[disk]]\nbus = \"usb\"\n", "no image"),
        ("target = \"/dev/sda1\"\n[[disk]]\nimage = \"a\"\n[[disk]]\nimage = \"b\"\n", "whole disk"),
        ("image = \"a\"\n[disk]\nimage = \"b\"\n", "[[disk]]"),
        ("image = \"a\"\ndisk = []\n", "empty list"),
        ("image = \"a\"\n[[disk]]\nmin-size = 2\nmax-size = 1\n", "no disk fits"),
    ] {
        assert!(refused(text).contains(words), "{text}: {}", refused(text));
    }
}

#[test]
fn the_example_of_one_partition() {
    let orders = example("one-partition.conf").orders_for(&MachineId::default(), None).unwrap();
    assert_eq!(orders.writes[0].target, Target::Partition(PartitionSelector::Label("root".into())));
    assert_eq!(orders.writes[0].partition.as_deref(), Some("sda2"));
}

#[test]
fn the_example_for_a_clonezilla_veteran() {
    let orders = example("clonezilla-veteran.conf").orders_for(&MachineId::default(), None).unwrap();
    assert_eq!(orders.writes[0].image, ImageRef::TorrentPath("/images/golden/sda1.torrent".into()));
    assert_eq!(orders.writes[0].target, Target::Partition(PartitionSelector::Path("/dev/sda1".into())));
}

#[test]
fn every_example_is_a_conf() {
    let mut count = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if matches!(
            name.as_str(),
            "classroom.conf"
                | "two-groups.conf"
                | "two-disks.conf"
                | "one-partition.conf"
                | "clonezilla-veteran.conf"
        ) {
            let conf = example(&name);
            assert_eq!(Conf::parse(&conf.to_toml()).unwrap(), conf, "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 5);
}

fn some_settings() -> impl Strategy<Value = Settings> {
    let end = prop_oneof![Just(EndAction::Reboot), Just(EndAction::PowerOff), Just(EndAction::Shell)];
    let target = prop_oneof![
        Just(TargetSetting::Disk),
        Just(TargetSetting::DiskPath("/dev/sda".into())),
        "[a-z\"\\\\ äß=]{1,8}"
            .prop_map(|l| TargetSetting::Partition(PartitionSelector::Label(l.trim().to_owned() + "x"))),
    ];
    let seed = (prop::option::of(0.0f64..100.0), prop::option::of(0u64..100_000), any::<bool>()).prop_map(
        |(ratio, idle, until_released)| SeedPolicy {
            ratio,
            idle: idle.map(Duration::from_secs),
            time: None,
            until_released,
        },
    );
    let disk = (prop::option::of(0u64..1 << 50), prop::option::of(any::<bool>())).prop_map(
        |(min_size, removable)| DiskSetting {
            min_size,
            removable,
            bus: vec![Bus::Nvme, Bus::Mmc],
            ..DiskSetting::default()
        },
    );
    let hooks =
        prop::collection::vec("\\PC{0,20}", 0..3).prop_map(|after| Hooks { before: Vec::new(), after });
    (
        prop::option::of(target),
        prop::option::of(end),
        prop::option::of(seed),
        prop::option::of(disk),
        prop::option::of(hooks),
        prop::option::of(prop::sample::select(vec![Grow::None, Grow::Last, Grow::Partition("sda2".into())])),
        prop::option::of(any::<bool>().prop_map(|entries| Uefi { entries })),
        prop::option::of((
            prop::sample::select(vec![Reuse::Auto, Reuse::Never, Reuse::Always]),
            prop::option::of(prop::sample::select(vec![Verify::ReadBack, Verify::Written])),
        )),
    )
        .prop_map(|(target, end, seed, disk, hooks, grow, uefi, writing)| Settings {
            target,
            grow,
            end,
            seed,
            disk: disk.map(|disk| vec![disk]),
            hooks,
            uefi,
            write: writing.map(|(reuse, verify)| Writing { reuse, verify }),
            on_error: end,
            image: None,
            partition: None,
            identity: None,
            windows: None,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(settings in some_settings()) {
        let report = Some("http://10.0.0.1:8080/api/report".into());
        let conf = Conf { report, ..Conf::for_image(ImageRef::Name("golden".into()), settings) };
        let text = conf.to_toml();
        let read = Conf::parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(read, conf, "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,60}") {
        let _ = Conf::parse(&text);
    }

    #[test]
    fn no_mixture_of_lines_makes_the_reader_panic(lines in prop::collection::vec(prop::sample::select(vec![
        "image = \"a\"", "[disk]", "[[machine]]", "match = {", "mac = \"", "[\"ä\"]", "TORRENT=", "=", "[seed]", "idle = [",
    ]), 0..8)) {
        let _ = Conf::parse(&lines.join("\n"));
    }
}

#[test]
fn what_grows_is_none_the_last_or_a_partition_of_the_image() {
    let grow = |value: &str| Conf::parse(&format!("image = \"a\"\ngrow = \"{value}\"\n"));
    let orders = |value: &str| grow(value).unwrap().orders_for(&MachineId::default(), None).unwrap();
    assert_eq!(orders("none").grow, Grow::None);
    assert_eq!(orders("last").grow, Grow::Last);
    assert_eq!(orders("nvme0n1p2").grow, Grow::Partition("nvme0n1p2".into()));
    let volume = |partition: Option<&str>, volume: &str| Grow::Volume {
        partition: partition.map(str::to_owned),
        volume: volume.to_owned(),
    };
    assert_eq!(orders("sda3/root").grow, volume(Some("sda3"), "root"));
    assert_eq!(orders("last/home+1").grow, volume(None, "home+1"));
    for text in ["sda3/root", "last/root"] {
        assert_eq!(orders(text).grow.to_string(), text);
    }
    assert!(grow("sda3/vg0/root").is_err() && grow("sda3/").is_err());
    let refused = grow("/dev/sda2").unwrap_err().to_string();
    assert!(refused.contains("name of a partition in the image"), "{refused}");
    assert_eq!(
        Conf::parse("image = \"a\"").unwrap().orders_for(&MachineId::default(), None).unwrap().grow,
        Grow::None
    );
}

#[test]
fn what_may_be_overwritten_is_said_for_each_disk_and_is_ours_where_it_is_not() {
    let overwrites = |text: &str| -> Vec<Overwrite> {
        let conf = Conf::parse(text).unwrap();
        assert_eq!(Conf::parse(&conf.to_toml()).unwrap(), conf);
        let orders = conf.orders_for(&MachineId::default(), None).unwrap();
        orders.writes.iter().map(|write| write.overwrite).collect()
    };
    assert_eq!(overwrites("image = \"a\"\n"), [Overwrite::Ours]);
    assert_eq!(overwrites("image = \"a\"\n[disk]\noverwrite = \"any\"\n"), [Overwrite::Any]);
    let two = "image = \"a\"\n[[disk]]\nbus = \"nvme\"\noverwrite = \"blank\"\n[[disk]]\nimage = \"b\"\n";
    assert_eq!(overwrites(two), [Overwrite::Blank, Overwrite::Ours]);
    assert!(Conf::parse("image = \"a\"\n[disk]\noverwrite = \"all\"\n").is_err());
}
