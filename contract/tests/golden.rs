//! What goes over the wire, as files: each is what the present code writes, to the byte, and what it reads. A change
//! here is a change of the contract: programs of another version are out there in initrds.

use std::path::PathBuf;

use ezio_contract::FirmwareIdentity;
use ezio_contract::health::Health;
use ezio_contract::inventory::{
    Computer, DiskId, Holds, InventoryCard, InventoryDisk, Mark, Overwrite, Wanted,
};
use ezio_contract::report::{Directive, Event, FORMAT, Leave, Progress, Report, ReportError, StepTimes};

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/golden"].iter().collect()
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect(name)
}

/// The file of an event. A new event needs one.
fn file_of(event: &Event) -> &'static str {
    match event {
        Event::Started { .. } => "started.json",
        Event::Inventory { .. } => "inventory.json",
        Event::Asks { .. } => "asks.json",
        Event::Planned { .. } => "planned.json",
        Event::FirstByte => "first-byte.json",
        Event::Progress(_) => "progress.json",
        Event::LastByte(_) => "last-byte.json",
        Event::Verified(_) => "verified.json",
        Event::Deployed(_) => "deployed.json",
        Event::Seeding(_) => "seeding.json",
        Event::Proved => "proved.json",
        Event::Step { .. } => "step.json",
        Event::Console { .. } => "console.json",
        Event::Done { .. } => "done.json",
        Event::Failed { .. } => "failed.json",
    }
}

fn events() -> Vec<Event> {
    let progress = Progress {
        done_bytes: 1,
        total_bytes: 2,
        down_bytes_per_s: 3,
        up_bytes_per_s: 4,
        from_server_bytes: 5,
        from_peers_bytes: 6,
        sent_bytes: 7,
        peers: 8,
        zero_bytes: 9,
        kept_bytes: 10,
    };
    vec![
        Event::Started {
            version: "0.1.0".into(),
            firmware: "uefi+secureboot".into(),
            address: "10.77.0.64".into(),
        },
        Event::Inventory {
            disks: vec![InventoryDisk {
                path: "/dev/sda".into(),
                id: disk(),
                sector_size: 512,
                bus: Some("ata".into()),
                removable: true,
                read_only: true,
                boot_medium: true,
                in_use: Some("/dev/sda1 is mounted at /".into()),
                holds: holds(),
                health: Some(health()),
            }],
            cards: vec![InventoryCard {
                mac: "52:54:00:12:34:56".parse().expect("an address"),
                link: true,
                speed_mbps: Some(1000),
            }],
            computer: Some(Computer {
                processor: Some("Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz".into()),
                threads: 6,
                memory_bytes: 8_200_000_000,
            }),
        },
        Event::Asks {
            image: "debian-13".into(),
            wanted: vec![Wanted {
                name: "/dev/sda ATA QEMU HARDDISK 8.0 GiB".into(),
                id: disk(),
                overwrite: Overwrite::Ours,
                holds: holds(),
                becomes: Some(Mark::Gpt("c12a7328-f81f-11d2-ba4b-00a0c93ec93b".parse().expect("an id"))),
            }],
        },
        Event::Planned {
            image: "debian-13".into(),
            disks: vec!["/dev/sda ATA QEMU HARDDISK 8.0 GiB".into()],
            total_bytes: 2,
            notes: vec!["sda3: is encrypted by LUKS: copied whole".into()],
        },
        Event::FirstByte,
        Event::Progress(progress),
        Event::LastByte(progress),
        Event::Verified(progress),
        Event::Deployed(progress),
        Event::Seeding(progress),
        Event::Proved,
        Event::Step { step: "identity: /dev/sda2: machine-id: new".into() },
        Event::Console { console: vec!["[   12.50] ezio: disk: clearing /dev/sda".into()] },
        Event::Done { end: "reboot".into() },
        Event::Failed {
            step: "choose disk".into(),
            error: "no disk fits: it is too small".into(),
            next: "hold".into(),
            console: vec!["[   12.50] ezio: failed: choose disk: no disk fits".into()],
        },
    ]
}

fn disk() -> DiskId {
    DiskId {
        model: Some("QEMU HARDDISK".into()),
        serial: Some("QM00001".into()),
        wwn: Some("naa.5002538f4243434c".into()),
        size: 8 << 30,
        start: Some(1 << 20),
    }
}

fn holds() -> Holds {
    Holds {
        blank: false,
        mark: Some(Mark::Mbr(0x1234_abcd)),
        lines: vec!["Windows".into(), "NTFS \"Daten\" 412 GiB used".into()],
    }
}

fn health() -> Health {
    Health {
        failing: vec!["128 sectors wait for reallocation".into()],
        power_on_hours: Some(12_345),
        temperature_celsius: Some(41),
        endurance_used_percent: Some(3),
        spare_percent: Some(100),
        spare_threshold_percent: Some(10),
        media_errors: Some(0),
        reallocated_sectors: Some(8),
        pending_sectors: Some(128),
        uncorrectable_sectors: Some(0),
    }
}

fn report(event: Event) -> Report {
    let said = FirmwareIdentity {
        uuid: Some("4c4c4544-0042-3510-8052-b4c04f4d3032".into()),
        serial: Some("B5BMM02".into()),
        product: Some("OptiPlex 7060".into()),
        macs: vec!["52:54:00:12:34:56".into(), "52:54:00:12:34:57".into()],
    };
    let steps = StepTimes {
        init_s: Some(0.5),
        link_s: Some(1.25),
        lease_s: Some(2.0),
        conf_s: Some(2.25),
        disks_s: Some(2.5),
        first_piece_s: Some(3.0),
    };
    Report {
        format: FORMAT,
        machine: said.into(),
        run: "0123456789abcdef0123456789abcdef".into(),
        sequence: 9,
        uptime_s: 12.5,
        steps,
        event,
    }
}

#[test]
fn each_event_is_its_file_both_ways() {
    for event in events() {
        let name = file_of(&event);
        let report = report(event);
        assert_eq!(serde_json::to_string_pretty(&report).unwrap() + "\n", file(name), "{name}");
        assert_eq!(Report::from_json(file(name).as_bytes()).unwrap(), report, "{name}");
    }
}

#[test]
fn no_event_and_no_file_is_left_out() {
    let mut tested: Vec<String> = events().iter().map(|event| file_of(event).to_owned()).collect();
    tested.extend(["directive.json", "first-format.json", "third-format.json"].map(str::to_owned));
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    tested.sort();
    files.sort();
    assert_eq!(files, tested);
}

#[test]
fn the_directive_is_its_file_both_ways() {
    let directive = Directive {
        release: true,
        done: true,
        console: true,
        go: true,
        waits_for: vec!["/dev/sda: Windows".into()],
        leave: Some(Leave::PowerOff),
    };
    assert_eq!(serde_json::to_string_pretty(&directive).unwrap() + "\n", file("directive.json"));
    assert_eq!(serde_json::from_str::<Directive>(&file("directive.json")).unwrap(), directive);
    // As servers said it before there was "done", and still do where a machine is not.
    let before = Directive { release: true, ..Directive::default() };
    assert_eq!(serde_json::to_string(&before).unwrap(), "{\"release\":true}");
    assert_eq!(serde_json::from_str::<Directive>("{\"release\":true}").unwrap(), before);
}

/// An init from before there were versions, with words of a kind that we do not know.
#[test]
fn reports_of_the_first_format_are_read() {
    let read = Report::from_json(file("first-format.json").as_bytes()).unwrap();
    let expected = Report { format: 1, steps: StepTimes::default(), ..report(events().remove(0)) };
    assert_eq!(read, expected);
}

/// An init from when steps were those of its identity alone.
#[test]
fn steps_of_the_third_format_are_read() {
    let read = Report::from_json(file("third-format.json").as_bytes()).unwrap();
    let event = Event::Step { step: "/dev/sda2: machine-id: new".into() };
    assert_eq!(read, Report { format: 3, ..report(event) });
}

#[test]
fn what_is_newer_or_no_report_is_refused_with_a_word() {
    let newer = file("done.json").replace("\"format\": 7", "\"format\": 8");
    let error = Report::from_json(newer.as_bytes()).unwrap_err();
    assert!(
        matches!(error, ReportError::Newer(8)) && error.to_string().contains("knows formats up to 7"),
        "{error}"
    );
    for wrong in ["", "{}", "[]", "{\"format\": \"x\"}", &file("done.json").replace("\"done\"", "\"dance\"")]
    {
        assert!(matches!(Report::from_json(wrong.as_bytes()), Err(ReportError::Syntax(_))), "{wrong}");
    }
}
