//! Consoles of machines: sent on failure and when somebody asks, kept over a kill, and gone with their machine.

use std::time::{Duration, Instant};

use ezio_contract::report::{Event, Progress};
use reqwest::StatusCode;
use tokio::process::Command;

use crate::room::{Image, Server};
use crate::{MAC, fleet, report, seen, send};

const BOUND: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_console_is_asked_for_sent_kept_and_goes_with_its_machine() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let args = ["--state", state.path().to_str().unwrap()];
    let server = Server::start(&image, &args);
    assert!(server.command_error(&["console", MAC]).contains("of 0 machines"));
    let progress = |sequence| report("r", sequence, Event::Progress(Progress::default()));
    assert!(send(&server, &progress(0)).await["console"].is_null(), "nobody has asked");
    let unasked = Event::Console { console: vec!["made up".into()] };
    send(&server, &report("r", 1, unasked)).await;
    assert!(fleet(&server).await["machines"][0]["console_at"].is_null());

    let mut command = Command::new(env!("CARGO_BIN_EXE_ezio-pxe"));
    let command = tokio::spawn(command.args(["console", MAC]).args(args).output());
    let (until, mut sequence) = (Instant::now() + BOUND, 2);
    while send(&server, &progress(sequence)).await["console"] != true {
        assert!(Instant::now() < until, "it is not asked");
        sequence += 1;
    }
    let console =
        Event::Console { console: vec!["[    1.00] ezio: one".into(), "[    2.00] ezio: two".into()] };
    let answer = send(&server, &report("r", sequence + 1, console)).await;
    assert!(answer["console"].is_null(), "once is enough");
    let printed = String::from_utf8(command.await.unwrap().unwrap().stdout).unwrap();
    assert_eq!(printed, "[    1.00] ezio: one\n[    2.00] ezio: two\n");
    assert_eq!(fleet(&server).await["machines"][0]["state"], "working");

    // Dropped, it is killed.
    drop(server);
    let server = Server::start(&image, &args);
    assert_eq!(seen(&server, "/api/console/S1").await, "[    1.00] ezio: one\n[    2.00] ezio: two");
    let (step, error, next) = ("write".to_owned(), "e".to_owned(), "reboot".to_owned());
    let failed = Event::Failed { step, error, next, console: vec!["[    3.00] ezio: failed".into()] };
    send(&server, &report("r", sequence + 2, failed)).await;
    assert_eq!(server.command(&["console", "S1"]), "[    3.00] ezio: failed\n");
    server.command(&["forget", MAC]);
    drop(server);
    let server = Server::start(&image, &args);
    let gone = server.client(None).get(format!("{}/api/console/S1", server.people)).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}
