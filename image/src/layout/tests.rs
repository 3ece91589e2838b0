use proptest::prelude::*;

use super::*;

const GUID: Uuid = Uuid::from_u128(0x0FC6_3DAF_8483_4772_8E79_3D69_D847_7DE4);

fn gpt(number: u32, start: u64, size: u64) -> Partition {
    let entry = Entry::Gpt {
        type_guid: GUID,
        uuid: Uuid::from_u128(u128::from(number)),
        name: format!("part {number}"),
        attributes: 0,
    };
    Partition { number, start, size, entry }
}

fn dos(number: u32, start: u64, size: u64, type_id: u8) -> Partition {
    Partition { number, start, size, entry: Entry::Dos { type_id, bootable: number == 1 } }
}

const fn gpt_table() -> Table {
    Table::Gpt { disk_guid: GUID, first_lba: 34, last_lba: 20446, entries: 128 }
}

const DOS: Table = Table::Dos { disk_id: 0xdead_beef };

fn layout(table: Table, partitions: Vec<Partition>) -> Result<Layout, LayoutError> {
    Layout::new(table, "/dev/sda", 512, partitions)
}

/// What the target holds once the table is written on it.
fn apply(image: &TableImage, size: u64) -> Vec<u8> {
    let mut disk = vec![0; size as usize];
    for (offset, bytes) in image.writes() {
        disk[*offset as usize..*offset as usize + bytes.len()].copy_from_slice(bytes);
    }
    disk
}

#[test]
fn a_gpt_is_printed_as_sfdisk_prints_it() {
    let mut special = gpt(2, 6144, 2048);
    special.entry = Entry::Gpt {
        type_guid: GUID,
        uuid: Uuid::from_u128(2),
        name: "ä \"$x\"".into(),
        attributes: 0b101 | 1 << 60 | 1 << 63,
    };
    let layout = layout(gpt_table(), vec![special, gpt(1, 2048, 4096)]).unwrap();
    let text = "label: gpt\n\
        label-id: 0FC63DAF-8483-4772-8E79-3D69D8477DE4\n\
        device: /dev/sda\n\
        unit: sectors\n\
        first-lba: 34\n\
        last-lba: 20446\n\
        sector-size: 512\n\
        \n\
        /dev/sda1 : start=        2048, size=        4096, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
        uuid=00000000-0000-0000-0000-000000000001, name=\"part 1\"\n\
        /dev/sda2 : start=        6144, size=        2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
        uuid=00000000-0000-0000-0000-000000000002, name=\"\\xc3\\xa4 \\x22\\x24x\\x22\", \
        attrs=\"RequiredPartition LegacyBIOSBootable GUID:60,63\"\n";
    assert_eq!(layout.to_sfdisk(), text);
    assert_eq!(Layout::parse_sfdisk(text).unwrap(), layout);
}

#[test]
fn old_dumps_and_clonezillas_are_read() {
    // sfdisk before 2.26, as in old Clonezilla images: no label, `Id=`, lines for empty entries.
    let old = "# partition table of /dev/sda\nunit: sectors\n\n\
        /dev/sda1 : start=     2048, size=   497664, Id=83, bootable\n\
        /dev/sda2 : start=   501758, size= 16275458, Id= 5\n\
        /dev/sda3 : start=        0, size=        0, Id= 0\n\
        /dev/sda4 : start=        0, size=        0, Id= 0\n\
        /dev/sda5 : start=   501760, size= 16275456, Id=8e\n";
    let read = Layout::parse_sfdisk(old).unwrap();
    assert_eq!(read.partitions().iter().map(|p| p.number).collect::<Vec<_>>(), [1, 2, 5]);
    assert_eq!(read.partition(1).unwrap().entry, Entry::Dos { type_id: 0x83, bootable: true });
    assert!(read.partition(2).unwrap().is_extended());
    // Today's, from an NVMe disk.
    let new = "label: gpt\nlabel-id: 6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C11\ndevice: /dev/nvme0n1\nunit: sectors\n\
        first-lba: 34\nlast-lba: 976773134\nsector-size: 512\n\n\
        /dev/nvme0n1p1 : start=        2048, size=      204800, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, \
        uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A01, name=\"EFI system partition\", attrs=\"GUID:63\"\n";
    let read = Layout::parse_sfdisk(new).unwrap();
    let misspelt = new.replace("GUID:63", "RequiredPartiton GUID:63,60");
    let Entry::Gpt { attributes, .. } = Layout::parse_sfdisk(&misspelt).unwrap().partitions[0].entry else {
        panic!("no GPT")
    };
    assert_eq!(attributes, 1 | 1 << 60 | 1 << 63);
    assert_eq!(read.partition_name(1), "nvme0n1p1");
    assert_eq!(read.to_sfdisk(), new);
}

#[test]
fn dumps_that_cannot_be_read_are_refused_by_line() {
    for (text, line, words) in [
        ("", 0, "no partition table"),
        ("label: sun\n/dev/sda1 : start=1, size=2, type=83\n", 2, "type \"sun\""),
        ("label: dos\nunit: cylinders\n", 2, "cylinders"),
        ("label: dos\nnonsense\n", 2, "neither"),
        ("label: dos\n/dev/sda1 : start=x, size=2, type=83\n", 2, "start"),
        ("label: dos\n/dev/sda1 : start=1, size=2, type=zz\n", 2, "hexadecimal"),
        ("label: dos\n/dev/sda1 : start=1, size=2, type=83, colour=red\n", 2, "colour"),
        ("label: dos\n/dev/sda1 : size=2, type=83\n", 2, "start= is missing"),
        ("label: gpt\nlabel-id: x\n", 2, "GUID"),
        ("label: gpt\nfirst-lba: -1\n", 2, "number"),
    ] {
        match Layout::parse_sfdisk(text) {
            Err(LayoutError::Dump { line: at, what }) => {
                assert_eq!(at, line, "{text}: {what}");
                assert!(what.contains(words), "{text}: {what}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let overlap = layout(gpt_table(), vec![gpt(1, 2048, 100), gpt(2, 2147, 10)]);
    assert_eq!(overlap, Err(LayoutError::Overlap { first: 1, second: 2, sector: 2147 }));
    for (table, partitions, words) in [
        (gpt_table(), vec![gpt(1, 33, 10)], "table itself"),
        (gpt_table(), vec![gpt(129, 2048, 10)], "room for 128"),
        (gpt_table(), vec![gpt(0, 2048, 10)], "room for 128"),
        (gpt_table(), vec![gpt(1, 2048, 0)], "cannot begin"),
        (gpt_table(), vec![gpt(1, u64::MAX, 2)], "cannot begin"),
        (gpt_table(), vec![gpt(1, 2048, 1), gpt(1, 4096, 1)], "twice"),
        (gpt_table(), vec![dos(1, 2048, 1, 0x83)], "no GPT entry"),
        (DOS, vec![gpt(1, 2048, 1)], "no MBR entry"),
        (DOS, vec![dos(1, 0, 10, 0x83)], "sector 0"),
        (DOS, vec![dos(1, 2048, 1 << 32, 0x83)], "beyond"),
        (DOS, vec![dos(0, 2048, 10, 0x83)], "no number"),
        (DOS, vec![dos(5, 2048, 10, 0x83)], "no extended"),
        (DOS, vec![dos(1, 2048, 10, 5), dos(2, 4096, 10, 15)], "second extended"),
        (DOS, vec![dos(1, 2048, 1000, 5), dos(5, 2048, 10, 0x83)], "inside"),
        (DOS, vec![dos(1, 2048, 1000, 5), dos(5, 3000, 100, 0x83)], "inside"),
        (DOS, vec![dos(1, 2048, 1000, 5), dos(6, 2100, 10, 0x83)], "gaps"),
        (DOS, vec![dos(1, 2048, 1000, 5), dos(5, 2049, 10, 0x83), dos(6, 2059, 10, 0x83)], "free sector"),
    ] {
        let error = layout(table, partitions.clone()).expect_err("refused").to_string();
        assert!(error.contains(words), "{partitions:?}: {error}");
    }
}

#[test]
fn a_target_that_is_too_small_is_refused_by_how_much() {
    let gpt = layout(gpt_table(), vec![gpt(1, 2048, 10000)]).unwrap();
    // 12048 sectors, 32 of entries, one of the header.
    assert_eq!(gpt.minimum_size(), 12081 * 512);
    let error = gpt.encode(12081 * 512 - 100, 512).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the disk is too small by 100 bytes: it has 6185372, the partition table needs 6185472"
    );
    assert_eq!(gpt.encode(1 << 30, 4096), Err(LayoutError::SectorSize { disk: 4096, image: 512 }));
    let dos = layout(DOS, vec![dos(1, 2048, 10, 0x83)]).unwrap();
    assert_eq!(dos.minimum_size(), 2058 * 512);
}

#[test]
fn what_makes_a_table_known_is_written_last() {
    let gpt = layout(gpt_table(), vec![gpt(1, 2048, 100)]).unwrap().encode(16 << 20, 512).unwrap();
    let offsets: Vec<u64> = gpt.writes().iter().map(|(offset, _)| *offset).collect();
    let last = 16 << 20;
    assert_eq!(offsets, [last - 33 * 512, last - 512, 1024, 512, 0]);
    let chain = layout(DOS, vec![dos(2, 2048, 8000, 5), dos(5, 4096, 100, 0x83), dos(6, 6144, 100, 0x83)]);
    let image = chain.unwrap().encode(16 << 20, 512).unwrap();
    let places: Vec<(u64, usize)> =
        image.writes().iter().map(|(offset, bytes)| (*offset, bytes.len())).collect();
    // Of an EBR the entries and the magic number: the code before them is the image's.
    assert_eq!(places, [(2048 * 512 + 446, 66), (4196 * 512 + 446, 66), (0, 512)]);
}

#[test]
fn boot_code_leaves_the_table_alone() {
    let image = layout(DOS, vec![dos(1, 2048, 10, 0x83)]).unwrap().encode(1 << 21, 512).unwrap();
    let plain = apply(&image, 1 << 21);
    let disk = apply(&image.with_boot_code(&[0x90; 512]), 1 << 21);
    assert_eq!(disk[..BOOT_CODE_LENGTH], [0x90; BOOT_CODE_LENGTH]);
    assert_eq!(disk[BOOT_CODE_LENGTH..], plain[BOOT_CODE_LENGTH..]);
}

#[test]
fn a_damaged_primary_gpt_is_read_from_its_backup() {
    let size = 16 << 20;
    let layout = layout(gpt_table(), vec![gpt(3, 2048, 100)]).unwrap();
    let good = apply(&layout.encode(size, 512).unwrap(), size);
    let read = |disk: &Vec<u8>| Layout::read_from_disk(disk, size, 512, "/dev/sda");
    let expected = read(&good).unwrap();
    assert_eq!(expected.partitions(), layout.partitions());
    for broken_byte in [512 + 60, 1024 + 2 * 128] {
        let mut disk = good.clone();
        disk[broken_byte] ^= 1;
        assert_eq!(read(&disk).unwrap(), expected);
        disk[size as usize - 512 + 60] ^= 1;
        assert!(matches!(read(&disk), Err(LayoutError::DamagedGpt { .. })));
    }
}

#[test]
fn disks_without_a_table_say_so() {
    let read = |disk: &Vec<u8>| Layout::read_from_disk(disk, disk.len() as u64, 512, "x");
    assert_eq!(read(&vec![0; 1 << 20]), Err(LayoutError::NoTable));
    assert_eq!(read(&vec![]), Err(LayoutError::NoTable));
    let mut fat = vec![0; 1 << 20];
    fat[446..510].copy_from_slice(&[0x41; 64]);
    fat[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(read(&fat), Err(LayoutError::NoTable));
}

#[test]
fn a_chain_that_runs_in_circles_ends() {
    let size = 16 << 20;
    let chain = layout(DOS, vec![dos(2, 2048, 8000, 5), dos(5, 4096, 100, 0x83), dos(6, 6144, 100, 0x83)]);
    let good = apply(&chain.unwrap().encode(size, 512).unwrap(), size);
    // The link in the second record leads back to the first.
    let mut disk = good.clone();
    let second = 4196 * 512;
    disk.copy_within(2048 * 512 + 462..2048 * 512 + 478, second + 462);
    disk[second + 470..second + 474].fill(0);
    let error = Layout::read_from_disk(&disk, size, 512, "x").unwrap_err().to_string();
    assert!(error.contains("does not end"), "{error}");
    let mut disk = good;
    disk[second + 510] = 0;
    let error = Layout::read_from_disk(&disk, size, 512, "x").unwrap_err().to_string();
    assert!(error.contains("sector 4196: there is no boot record"), "{error}");
}

/// Partitions with gaps before them, in any order of numbers.
fn some_gpt() -> impl Strategy<Value = Layout> {
    let part = (0u64..100, 1u64..500, "[a-zä\"\\\\$ 😀]{0,18}", any::<u64>());
    (prop::collection::vec(part, 0..8), any::<u128>(), prop::sample::select(vec![512u32, 4096]), Just(()))
        .prop_flat_map(|(parts, id, sector_size, ())| {
            let numbers = Just((1..=128).collect::<Vec<u32>>()).prop_shuffle();
            (Just(parts), Just(id), Just(sector_size), numbers)
        })
        .prop_map(|(parts, id, sector_size, numbers)| {
            let mut next = 40;
            let partitions = parts
                .into_iter()
                .zip(numbers)
                .map(|((gap, size, name, attributes), number)| {
                    let start = next + gap;
                    next = start + size;
                    // Bits 3 to 47 are reserved, and no dump shows them.
                    let attributes = attributes & !0x0000_ffff_ffff_fff8;
                    let uuid = Uuid::from_u128(id ^ u128::from(number));
                    let entry = Entry::Gpt { type_guid: GUID, uuid, name, attributes };
                    Partition { number, start, size, entry }
                })
                .collect();
            let last_lba = TARGET / u64::from(sector_size) - gpt::entry_sectors(128, sector_size) - 2;
            let table = Table::Gpt { disk_guid: Uuid::from_u128(id), first_lba: 34, last_lba, entries: 128 };
            Layout::new(table, "/dev/sda", sector_size, partitions).unwrap()
        })
}

const TARGET: u64 = 24 << 20;

fn some_dos() -> impl Strategy<Value = Layout> {
    let part = (1u64..100, 1u64..500, 1u8..=255, any::<bool>());
    let logical = (2u64..3000, 1u64..500, 1u8..=255, any::<bool>());
    (prop::collection::vec(part, 0..4), prop::collection::vec(logical, 0..6), any::<u32>()).prop_map(
        |(primary, logical, disk_id)| {
            let mut next = 1;
            let mut partitions = Vec::new();
            let data =
                |type_id: u8| if mbr::is_extended_type(type_id) || type_id == 0xee { 0x83 } else { type_id };
            for (number, (gap, size, type_id, bootable)) in (1..).zip(primary) {
                let entry = Entry::Dos { type_id: data(type_id), bootable };
                partitions.push(Partition { number, start: next + gap, size, entry });
                next += gap + size;
            }
            let container = next + 1;
            next = container;
            for (number, (gap, size, type_id, bootable)) in (5..).zip(&logical) {
                let entry = Entry::Dos { type_id: data(*type_id), bootable: *bootable };
                partitions.push(Partition { number, start: next + gap, size: *size, entry });
                next += gap + size;
            }
            let entry = Entry::Dos { type_id: 0x0f, bootable: false };
            partitions.push(Partition { number: 4, start: container, size: next - container + 10, entry });
            Layout::new(Table::Dos { disk_id }, "/dev/sda", 512, partitions).unwrap()
        },
    )
}

proptest! {
    #[test]
    fn tables_survive_the_disk_and_the_dump(layout in prop_oneof![some_gpt(), some_dos()]) {
        let disk = apply(&layout.encode(TARGET, layout.sector_size()).unwrap(), TARGET);
        let read = Layout::read_from_disk(&disk, TARGET, layout.sector_size(), "/dev/sda").unwrap();
        prop_assert_eq!(&read, &layout);
        let parsed = Layout::parse_sfdisk(&layout.to_sfdisk()).unwrap();
        prop_assert_eq!(&parsed, &layout);
    }

    #[test]
    fn nothing_is_written_where_a_partition_has_its_data(layout in prop_oneof![some_gpt(), some_dos()]) {
        let image = layout.encode(TARGET, layout.sector_size()).unwrap();
        for (offset, bytes) in image.writes() {
            for p in layout.partitions().iter().filter(|p| !p.is_extended()) {
                let range = layout.byte_range(p);
                let end = offset + bytes.len() as u64;
                prop_assert!(end <= range.start || *offset >= range.end, "{} at {}", p.number, offset);
            }
            prop_assert!(offset + bytes.len() as u64 <= TARGET);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        layout in prop_oneof![some_gpt(), some_dos()],
        damage in prop::collection::vec((0usize..8192, any::<u8>()), 0..20),
        tail in prop::collection::vec((1usize..600, any::<u8>()), 0..4),
    ) {
        let mut disk = apply(&layout.encode(TARGET, layout.sector_size()).unwrap(), TARGET);
        for (at, byte) in damage {
            disk[at] = byte;
        }
        for (at, byte) in tail {
            disk[TARGET as usize - at] = byte;
        }
        let _ = Layout::read_from_disk(&disk, TARGET, layout.sector_size(), "x");
    }

    #[test]
    fn no_text_makes_the_dump_reader_panic(text in "(label: (dos|gpt)\n)?([a-z/]{0,9}:? ?(start|size|type)=\\PC{0,12},? ?){0,3}") {
        let _ = Layout::parse_sfdisk(&text);
    }
}

#[test]
fn dumps_of_debian_13_are_read_and_printed_alike() {
    // As sfdisk of util-linux 2.41.5 printed them.
    let dumps = [
        r#"label: gpt
label-id: 73187000-3B0C-4ED1-B8EE-BBB4230993AC
device: g.img
unit: sectors
first-lba: 2048
last-lba: 131038
sector-size: 512

g.img1 : start=        2048, size=       10240, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=3B70CEDD-00CD-4801-A867-54D55DEFE324, name="a \x22x\x22 \xc3\xa4,b", attrs="RequiredPartition NoBlockIOProtocol LegacyBIOSBootable GUID:48,60,63"
g.img2 : start=       12288, size=       10240, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=55ABC827-5EB6-4DF7-BF8E-09CFF9343C80
g.img3 : start=       22528, size=       10240, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, uuid=203C3BA1-30EA-4E54-AC20-F3A5815B4C9C, attrs="GUID:60"
"#,
        "label: dos
label-id: 0xc0142d98
device: m.img
unit: sectors
sector-size: 512

m.img1 : start=        2048, size=       10240, type=c, bootable
m.img2 : start=       12288, size=       40960, type=5
m.img3 : start=       53248, size=       10240, type=83
",
    ];
    for dump in dumps {
        let layout = Layout::parse_sfdisk(dump).unwrap();
        assert_eq!(layout.to_sfdisk(), dump);
    }
    let gpt = Layout::parse_sfdisk(dumps[0]).unwrap();
    let Entry::Gpt { name, attributes, .. } = &gpt.partitions()[0].entry else { panic!("{gpt:?}") };
    assert_eq!((name.as_str(), *attributes), ("a \"x\" ä,b", 1 << 63 | 1 << 60 | 1 << 48 | 0b111));
}
