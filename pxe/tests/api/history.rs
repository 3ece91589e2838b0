//! What became of runs, over a restart, as JSON and as a table.

use ezio_contract::report::Event;
use serde_json::Value;

use crate::room::{Image, Server};
use crate::{report, seen, send};

#[tokio::test]
async fn a_run_is_in_the_history_when_its_report_is_answered_and_stays_there() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let args = ["--state", state.path().to_str().unwrap()];
    let server = Server::start(&image, &args);
    let disks = vec!["/dev/sda Disk, \"big\"".to_owned()];
    let planned = Event::Planned { image: "golden".into(), disks, total_bytes: 1, notes: Vec::new() };
    send(&server, &report("good", 0, planned.clone())).await;
    send(&server, &report("good", 1, Event::Done { end: "reboot".into() })).await;
    send(&server, &report("bad", 0, planned)).await;
    let failed = Event::Failed {
        step: "write".into(),
        error: "=no, space".into(),
        next: "reboot".into(),
        console: Vec::new(),
    };
    send(&server, &report("bad", 1, failed)).await;
    // Dropped, it is killed.
    drop(server);
    let server = Server::start(&image, &args);
    let view: Value = serde_json::from_str(&seen(&server, "/api/history").await).unwrap();
    let told = view["deployments"].as_array().unwrap();
    let runs: Vec<_> =
        told.iter().map(|d| (d["run"].as_str().unwrap(), d["outcome"].as_str().unwrap())).collect();
    assert_eq!(runs, [("bad", "failed"), ("good", "done")]);
    assert_eq!(server.command(&["history", "--json", "--limit", "1"]).matches("\"run\"").count(), 1);
    let older: Value = serde_json::from_str(&seen(&server, "/api/history?before=2&limit=9").await).unwrap();
    assert_eq!(
        (older["deployments"].as_array().unwrap().len(), &older["deployments"][0]["number"]),
        (1, &1.into())
    );
    assert!(server.command(&["history"]).contains("golden  failed, 0 B in 0 s: write: =no, space"));
    let table = server.command(&["history", "--csv", "--machine", "S1"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("number,machine,run,image,disks,"));
    assert!(lines[1].starts_with("2,S1,bad,golden,\"/dev/sda Disk, \"\"big\"\"\","), "{table}");
    assert!(lines[1].ends_with(",write,\"'=no, space\""), "{table}");
    assert!(server.command(&["history", "--csv", "--machine", "S2"]).lines().count() == 1);
}
