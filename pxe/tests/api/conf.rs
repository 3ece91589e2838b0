//! The ezio.conf that holds, and what is said of another one.

use ezio_contract::report::Event;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::room::{Image, Server};
use crate::{report, seen, send, text};

async fn check(server: &Server, text: &str) -> Value {
    let address = format!("{}/api/conf/check", server.people);
    let answer = server.client(None).post(address).json(&json!({ "text": text })).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn mistakes_are_said_by_line_and_a_good_one_shows_what_it_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ezio.conf");
    let holds = "# ours\nimage = \"golden\"\n";
    std::fs::write(&path, holds).unwrap();
    let server = Server::start(&Image::make("golden"), &["--conf", path.to_str().unwrap()]);
    send(&server, &report("r", 0, Event::FirstByte)).await;
    let shown: Value = serde_json::from_str(&seen(&server, "/api/conf").await).unwrap();
    assert_eq!(shown, json!({ "text": holds, "origin": path.to_str().unwrap(), "signed": false }));

    let misspelled = check(&server, "image = \"golden\"\n\nennd = \"reboot\"\n").await;
    assert_eq!(misspelled["mistakes"][0]["line"], 3, "{misspelled}");
    assert!(misspelled["mistakes"][0]["message"].as_str().unwrap().contains("ennd"), "{misspelled}");
    assert!(misspelled.get("plan").is_none());
    let unserved =
        check(&server, "image = \"golden\"\n[[machine]]\nmatch.serial = \"S1\"\nimage = \"gone\"\n").await;
    let gone = "this names the image \"gone\", which is not served here (served: golden)";
    assert_eq!(unserved["mistakes"], json!([{ "line": 4, "column": 1, "message": gone }]));
    // A file of this host that a conf names is not read for whoever asks.
    let named = check(&server, "image = \"golden\"\n[windows]\nunattend = \"/etc/shadow\"\n").await;
    assert!(!named.to_string().contains("root:"), "{named}");

    let good =
        check(&server, "image = \"golden\"\n\n[[machine]]\nmatch.serial = \"S1\"\nend = \"poweroff\"\n")
            .await;
    assert_eq!(good["mistakes"], json!([]));
    assert_eq!(good["plan"]["machines"][0]["orders"], "ezio.conf, its entry for serial number S1, line 3");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), holds, "it was only looked at");
}

#[tokio::test]
async fn images_say_what_they_are_and_whether_they_are_named() {
    let server = Server::start(&Image::make("golden"), &[]);
    let fleet: Value = serde_json::from_str(&seen(&server, "/api/fleet").await).unwrap();
    let image = &fleet["images"][0];
    let sums = text(&server, "/images/golden/SHA256SUMS").await;
    assert_eq!(image["version"].as_str().unwrap(), ezio_image::checksums::sha256_hex(sums.as_bytes()));
    assert_eq!((&image["in_conf"], &image["signed"]), (&json!(true), &json!(false)));
    assert!((server.now() - image["checked"].as_f64().unwrap()).abs() < 60.0);
}
