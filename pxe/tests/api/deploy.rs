//! Orders that lie over ezio.conf: seen beforehand, given, kept over a kill, taken back, and carried out later.

use std::net::UdpSocket;
use std::time::{Duration, SystemTime};

use ezio_contract::inventory::{DiskId, Holds, InventoryDisk};
use ezio_contract::report::Event;
use ezio_contract::{FirmwareIdentity, MachineId};
use ezio_image::conf::{Conf, EndAction};
use serde_json::Value;
use tempfile::TempDir;

use crate::room::{Image, Server};
use crate::{MAC, fleet, report, send, text};

const BOUND: Duration = Duration::from_secs(20);

/// A room with two images, a conf with a group, and one machine that has a disk with data.
struct Room {
    golden: Image,
    other: Image,
    folder: TempDir,
    port: String,
}

impl Room {
    fn make() -> (Self, UdpSocket) {
        let card = UdpSocket::bind("0.0.0.0:0").unwrap();
        card.set_read_timeout(Some(BOUND)).unwrap();
        let port = card.local_addr().unwrap().port().to_string();
        let folder = tempfile::tempdir().unwrap();
        let conf = format!("# as it is\nimage = \"golden\"\n[[group]]\nname = \"lab\"\nmacs = [\"{MAC}\"]\n");
        std::fs::write(folder.path().join("ezio.conf"), conf).unwrap();
        (Self { golden: Image::make("golden"), other: Image::make("other"), folder, port }, card)
    }

    fn serve(&self) -> Server {
        let (conf, state) = (self.folder.path().join("ezio.conf"), self.folder.path().join("state"));
        let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let args = [
            path(&self.other.dir),
            "--conf".into(),
            path(&conf),
            "--state".into(),
            path(&state),
            "--wake-port".into(),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).chain([self.port.as_str()]).collect();
        Server::start(&self.golden, &args)
    }
}

async fn appear(server: &Server) {
    let holds = Holds { blank: false, mark: None, lines: vec!["NTFS \"Daten\"".into()] };
    let id = DiskId { model: Some("Disk".into()), size: 1 << 30, ..DiskId::default() };
    let disk =
        InventoryDisk { path: "/dev/sda".into(), id, sector_size: 512, holds, ..InventoryDisk::default() };
    send(server, &report("r", 0, Event::Inventory { disks: vec![disk], cards: Vec::new(), computer: None }))
        .await;
    let failed = Event::Failed {
        step: "test".into(),
        error: "ends".into(),
        next: "reboot".into(),
        console: Vec::new(),
    };
    send(server, &report("r", 1, failed)).await;
}

/// Image and end that a machine reads in the conf that is served.
async fn orders(server: &Server, mac: &str) -> (String, EndAction) {
    let said = FirmwareIdentity { macs: vec![mac.into()], ..FirmwareIdentity::default() };
    let conf = Conf::parse(&text(server, "/ezio.conf").await).unwrap();
    let orders = conf.orders_for(&MachineId::from(said), None).unwrap();
    (orders.writes[0].image.to_string(), orders.end)
}

fn is_magic(card: &UdpSocket) -> bool {
    let mut packet = [0; 200];
    card.recv_from(&mut packet).is_ok_and(|(length, _)| length == 102)
}

#[tokio::test]
async fn an_order_is_seen_given_kept_and_taken_back() {
    let (room, card) = Room::make();
    let server = room.serve();
    appear(&server).await;
    let as_it_is = text(&server, "/ezio.conf").await;
    let wish = ["deploy", "--group", "lab", "--image", "other", "--then", "poweroff", "--wake"];
    let seen = server.command(&[wish.as_slice(), &["--dry-run"]].concat());
    assert!(seen.contains("/dev/sda Disk 1.0 GiB <- other: NTFS \"Daten\""), "{seen}");
    assert!(
        seen.contains("WAITS (the order of this server, ")
            && seen.contains("over ezio.conf, its top for all machines"),
        "{seen}"
    );
    assert!(seen.contains("1 of their disks hold something"), "{seen}");
    let approved = server.command(&[wish.as_slice(), &["--dry-run", "--approve"]].concat());
    assert!(approved.contains("is written") && approved.contains("it is approved"), "{approved}");
    assert!(server.command_error(&wish).contains("--yes"), "nobody is there to be asked");
    assert_eq!(text(&server, "/ezio.conf").await, as_it_is, "so far it was only looked at");

    let done = server.command(&[wish.as_slice(), &["--yes"]].concat());
    assert!(done.contains("will be deployed at its next network boot"), "{done}");
    assert!(is_magic(&card));
    let ordered = ("other".to_owned(), EndAction::PowerOff);
    assert_eq!(orders(&server, MAC).await, ordered);
    assert_eq!(orders(&server, "52:54:00:00:00:99").await, ("golden".to_owned(), EndAction::Reboot));
    // Dropped, it is killed.
    drop(server);
    let server = room.serve();
    assert_eq!(orders(&server, MAC).await, ordered);
    let room = fleet(&server).await;
    assert_eq!(
        (&room["machines"][0]["order"]["image"], &room["machines"][0]["group"]),
        (&"other".into(), &"lab".into())
    );
    server.command(&["cancel", MAC]);
    assert_eq!(
        text(&server, "/ezio.conf").await.lines().skip(1).collect::<Vec<_>>(),
        as_it_is.lines().skip(1).collect::<Vec<_>>()
    );
    assert!(server.command_error(&["cancel", MAC]).contains("1 machines stay"));
    let error = server.command_error(&["deploy", MAC, "--image", "nothing", "--dry-run"]);
    assert!(error.contains("served: golden, other"), "{error}");
    assert!(server.command_error(&["deploy", "--group", "office", "--yes"]).contains("office"));
}

#[tokio::test]
async fn what_is_for_later_outlives_a_kill_and_is_carried_out() {
    let (room, card) = Room::make();
    let server = room.serve();
    appear(&server).await;
    let nightly = ["schedule", "add", "all", "--schedule", "0 3 * * *", "--yes", "--json"];
    let kept: Value = serde_json::from_str(server.command(&nightly).lines().last().unwrap()).unwrap();
    assert_eq!((kept["id"].as_u64(), kept["machines"].as_str()), (Some(1), Some("all")));
    assert!(
        server
            .command_error(&["schedule", "add", "all", "--schedule", "0 3 * *", "--yes"])
            .contains("4 fields")
    );
    // Late enough that the server is back by then, on a computer that does other things too.
    let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64 + 8;
    let soon = chrono::DateTime::from_timestamp(soon, 0).unwrap().to_rfc3339();
    server.command(&["deploy", MAC, "--image", "other", "--at", &soon, "--wake", "--yes"]);
    drop(server);
    let server = room.serve();
    assert_eq!(server.command(&["schedule", "list"]).lines().count(), 2);
    assert!(is_magic(&card));
    // What the machine is called for was kept before; killed now, the server does neither again.
    drop(server);
    let server = room.serve();
    assert_eq!(orders(&server, MAC).await.0, "other");
    card.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(!is_magic(&card), "it is called twice");
    assert!(fleet(&server).await["machines"][0]["order"]["source"] == "schedule 2");
    let left = server.command(&["schedule", "list"]);
    assert!(left.starts_with("1: ") && left.contains(" 03:00 ") && left.lines().count() == 1, "{left}");
    server.command(&["schedule", "remove", "1"]);
    assert_eq!(server.command(&["schedule", "list"]), "");
    assert!(server.command_error(&["schedule", "remove", "1"]).contains("no schedule 1"));
}
