//! What the server says beforehand.

use ezio_contract::health::Health;
use ezio_contract::inventory::{DiskId, Holds, InventoryDisk, Wanted};
use ezio_contract::report::Event;
use serde_json::{Value, json};

use crate::room::{Image, Server};
use crate::{MAC, asked, report, seen, send};

async fn plan(server: &Server) -> Value {
    let plan: Value = serde_json::from_str(&seen(server, "/api/plan").await).unwrap();
    plan["machines"][0].clone()
}

#[tokio::test]
async fn the_plan_says_which_disk_gets_what_and_why_not() {
    let image = Image::make("golden");
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("ezio.conf");
    std::fs::write(
        &conf,
        "image = \"golden\"\n\n[[machine]]\nmatch.serial = \"S1\"\n[machine.disk]\nbus = \"ata\"\n",
    )
    .unwrap();
    let server = Server::start(&image, &["--conf", conf.to_str().unwrap()]);
    send(&server, &report("r", 0, Event::FirstByte)).await;
    assert_eq!(plan(&server).await["verdict"], "unknown");
    let list = async |sequence, bus: &str, holds| {
        let bus = Some(bus.to_owned());
        let Wanted { id, .. } = asked();
        let path = "/dev/sda".into();
        let disk = InventoryDisk { path, id, sector_size: 512, bus, holds, ..InventoryDisk::default() };
        send(
            &server,
            &report("r", sequence, Event::Inventory { disks: vec![disk], cards: Vec::new(), computer: None }),
        )
        .await
    };
    list(1, "ata", asked().holds).await;
    let waits = plan(&server).await;
    assert_eq!((&waits["verdict"], &waits["disks"][0]["verdict"]), (&json!("wait"), &json!("wait")));
    assert_eq!(waits["orders"], "ezio.conf, its entry for serial number S1, line 3");
    assert_eq!((&waits["disks"][0]["image"], &waits["disks"][0]["blank"]), (&json!("golden"), &json!(false)));
    assert!(
        server
            .command(&["plan"])
            .contains("NTFS \"Daten\" 412.0 GiB used of 476.0 GiB: overwrite = \"ours\" keeps")
    );
    server.command(&["approve", MAC]);
    assert_eq!(plan(&server).await["verdict"], "write");
    list(2, "ata", Holds { blank: true, ..Holds::default() }).await;
    assert_eq!(plan(&server).await["disks"][0]["why"], "it is blank");
    let failing = Health { failing: vec!["2 sectors are beyond repair".into()], ..Health::default() };
    let disk = InventoryDisk {
        path: "/dev/sda".into(),
        bus: Some("ata".into()),
        holds: Holds { blank: true, ..Holds::default() },
        health: Some(failing),
        ..InventoryDisk::default()
    };
    let disks = vec![InventoryDisk { id: asked().id, ..disk }];
    send(&server, &report("r", 3, Event::Inventory { disks, cards: Vec::new(), computer: None })).await;
    let worn = plan(&server).await;
    assert_eq!((&worn["verdict"], &worn["disks"][0]["verdict"]), (&json!("write"), &json!("write")));
    let why = "/dev/sda 1.0 GiB ata serial D1 is failing: 2 sectors are beyond repair";
    assert_eq!(worn["why"], json!([why]));
    assert!(server.command(&["plan"]).contains(why));
    assert!(server.command(&["status"]).contains(&format!("disk {why}")));
    list(4, "nvme", Holds { blank: true, ..Holds::default() }).await;
    let refused = plan(&server).await;
    assert_eq!(refused["verdict"], "refuse");
    assert!(refused["why"][0].as_str().unwrap().contains("bus is nvme, not ata"), "{refused}");
    server.command(&["hold", MAC]);
    assert_eq!(plan(&server).await["why"][0], "an operator holds it");
}

/// The plan once the machine has these disks: their names, and how they are attached.
async fn plan_with(server: &Server, sequence: u64, disks: &[(&str, &str)]) -> Value {
    let disk = |(path, bus): &(&str, &str)| InventoryDisk {
        path: (*path).to_owned(),
        id: DiskId { size: 1 << 30, ..DiskId::default() },
        sector_size: 512,
        bus: Some((*bus).to_owned()),
        holds: Holds { blank: true, ..Holds::default() },
        ..InventoryDisk::default()
    };
    send(
        server,
        &report(
            "r",
            sequence,
            Event::Inventory { disks: disks.iter().map(disk).collect(), cards: Vec::new(), computer: None },
        ),
    )
    .await;
    plan(server).await
}

#[tokio::test]
async fn a_set_is_shared_out_as_the_machine_does_it() {
    let server = Server::start(&Image::set("lab"), &[]);
    let shared = plan_with(&server, 1, &[("/dev/nvme0n1", "nvme"), ("/dev/sda", "ata")]).await;
    assert_eq!(shared["verdict"], "write", "{shared}");
    let goes = |at: usize| (shared["disks"][at]["image"].clone(), shared["disks"][at]["disk"].to_string());
    assert_eq!(goes(0).0, json!("lab/sda"));
    assert!(goes(0).1.contains("/dev/sda"), "{shared}");
    assert_eq!(goes(1).0, json!("lab/nvme0n1"));
    assert!(goes(1).1.contains("/dev/nvme0n1"), "{shared}");

    let refused = plan_with(&server, 2, &[("/dev/sda", "ata")]).await;
    assert_eq!(refused["verdict"], "refuse");
    let why = refused["why"][0].as_str().unwrap();
    assert!(why.contains("1 disks fit, and this image has 2") && why.contains("lab/nvme0n1"), "{why}");
    let unclear = plan_with(&server, 3, &[("/dev/sda", "ata"), ("/dev/sdb", "ata")]).await;
    assert_eq!(unclear["verdict"], "refuse", "{unclear}");
}
