//! The ezio.conf that holds, and what is said of another one.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use ezio_contract::report::Event;
use ezio_image::checksums::sha256_hex;
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
    let version = sha256_hex(holds.as_bytes());
    let origin = path.to_str().unwrap();
    assert_eq!(shown, json!({ "text": holds, "version": version, "origin": origin, "signed": false }));

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

/// A server with an ezio.conf of its own.
struct Own {
    server: Server,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

const HOLDS: &str = "# ours\nimage = \"golden\"\n";
const OTHER: &str = "image = \"golden\"\nend = \"poweroff\"\n";

impl Own {
    fn start(text: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ezio.conf");
        for (name, text) in files.iter().chain(&[("ezio.conf", text)]) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let server = Server::start(&Image::make("golden"), &["--conf", path.to_str().unwrap()]);
        Self { server, path, _folder: folder }
    }

    async fn put(&self, text: &str, replaces: &str) -> (StatusCode, String) {
        let address = format!("{}/api/conf", self.server.people);
        let body = json!({ "text": text, "replaces": sha256_hex(replaces.as_bytes()) });
        let answer = self.server.client(None).put(address).json(&body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// What it refuses, with this in its words, and what stands there is as before.
    async fn refuses(&self, text: &str, replaces: &str, status: StatusCode, why: &str) {
        let stands = std::fs::read(&self.path).unwrap();
        let answer = self.put(text, replaces).await;
        assert!(answer.0 == status && answer.1.contains(why), "{answer:?}");
        assert_eq!(std::fs::read(&self.path).unwrap(), stands);
    }

    /// As it is served to machines.
    async fn served(&self) -> String {
        text(&self.server, "/ezio.conf").await
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.with_file_name(name)).unwrap()
    }
}

#[tokio::test]
async fn a_conf_is_put_in_place_and_holds_at_once_and_the_former_one_is_kept() {
    let room = Own::start(HOLDS, &[]);
    std::fs::set_permissions(&room.path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (status, answer) = room.put(OTHER, HOLDS).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["version"]), (StatusCode::OK, &json!(sha256_hex(OTHER.as_bytes()))));
    assert!(room.served().await.ends_with(OTHER), "{}", room.served().await);
    assert_eq!((room.read("ezio.conf").as_str(), room.read("ezio.conf.before").as_str()), (OTHER, HOLDS));
    let mode = |name: &str| room.path.with_file_name(name).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode("ezio.conf"), mode("ezio.conf.before")), (0o640, 0o640));
    assert_eq!(room.path.parent().unwrap().read_dir().unwrap().count(), 2, "nothing else is left there");
    let audit = room.server.command(&["audit"]);
    let said = format!(
        "replace ezio.conf {} by {}",
        &sha256_hex(HOLDS.as_bytes())[..12],
        &sha256_hex(OTHER.as_bytes())[..12]
    );
    assert!(audit.contains(&format!("200     {said}")), "{audit}");
    // Whoever looks at the file on the server finds what an edit there would have left.
    room.server.hang_up();
    room.server.wait_for_log("ezio.conf was read again");
    assert!(room.served().await.ends_with(OTHER));
}

#[tokio::test]
async fn what_was_not_seen_or_is_wrong_is_not_put_in_place() {
    let room = Own::start(HOLDS, &[]);
    room.refuses("image = \"golden\"\n\nennd = 1\n", HOLDS, StatusCode::UNPROCESSABLE_ENTITY, "\"line\":3")
        .await;
    room.refuses("image = \"gone\"\n", HOLDS, StatusCode::UNPROCESSABLE_ENTITY, "not served here").await;
    room.refuses(OTHER, "another", StatusCode::CONFLICT, "ezio.conf has changed since").await;
    // Somebody edits it on the server meanwhile.
    std::fs::write(&room.path, "# theirs\nimage = \"golden\"\n").unwrap();
    room.refuses(OTHER, HOLDS, StatusCode::CONFLICT, "was edited on the server").await;
    room.server.hang_up();
    room.server.wait_for_log("ezio.conf was read again");
    room.refuses(OTHER, HOLDS, StatusCode::CONFLICT, "ezio.conf has changed since").await;
    std::fs::write(room.path.with_file_name("ezio.conf.minisig"), "signed").unwrap();
    let theirs = room.read("ezio.conf");
    room.refuses(OTHER, &theirs, StatusCode::CONFLICT, "minisign -S").await;
    assert!(seen(&room.server, "/api/conf").await.contains("minisign -S"));
}

#[tokio::test]
async fn a_server_without_a_file_says_what_to_do() {
    let server = Server::start(&Image::make("golden"), &[]);
    let held: Value = serde_json::from_str(&seen(&server, "/api/conf").await).unwrap();
    assert!(held["by_hand"].as_str().unwrap().contains("--conf"), "{held}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.conf");
    std::fs::write(&file, OTHER).unwrap();
    let version = held["version"].as_str().unwrap();
    let put = ["conf", "put", file.to_str().unwrap(), "--yes", "--replaces", version];
    assert!(server.command_error(&put).contains("no ezio.conf of its own"));
}

#[tokio::test]
async fn no_file_is_named_from_afar_that_was_not_named_on_the_server() {
    let named = "image = \"golden\"\n[identity]\nhostname = \"{{name}}\"\nhosts = \"hosts.csv\"\n";
    let room = Own::start(named, &[("hosts.csv", "serial,name\nS1,lab-1\n"), ("key.pem", "secret")]);
    // What is named already stays named.
    let longer = format!("{named}machine-id = true\n");
    assert_eq!(room.put(&longer, named).await.0, StatusCode::OK);
    let reads = format!("{longer}[windows]\nunattend = \"key.pem\"\n");
    room.refuses(&reads, &longer, StatusCode::UNPROCESSABLE_ENTITY, "\"line\":7").await;
    let checked = check(&room.server, &reads).await;
    assert_eq!((&checked["mistakes"], &checked["by_hand"][0]["line"]), (&json!([]), &json!(7)), "{checked}");
    // What such a file lacks is said before anything is written.
    let lacks = longer.replace("{{name}}", "{{seat}}");
    room.refuses(&lacks, &longer, StatusCode::UNPROCESSABLE_ENTITY, "seat").await;
}

#[tokio::test]
async fn commands_show_check_and_put() {
    let room = Own::start(HOLDS, &[]);
    let mine = room.path.with_file_name("mine.conf");
    let file = mine.to_str().unwrap();
    assert_eq!(room.server.command(&["conf", "show"]), HOLDS);
    std::fs::write(&mine, "image = \"golden\"\nennd = 1\n").unwrap();
    let output = room.server.told(&["conf", "check", file], "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with(&format!("{file}:2:1: ")) && !output.status.success(), "{said}");
    std::fs::write(&mine, OTHER).unwrap();
    send(&room.server, &report("r", 0, Event::FirstByte)).await;
    assert!(room.server.command(&["conf", "check", file]).contains("S1"));
    assert!(room.server.command_error(&["conf", "put", file]).contains("nobody is here to be asked"));
    assert_eq!(room.read("ezio.conf"), HOLDS);
    let version = sha256_hex(HOLDS.as_bytes());
    let put = ["conf", "put", file, "--yes", "--replaces", &version];
    room.server.command(&put);
    assert_eq!(room.read("ezio.conf"), OTHER);
    assert!(room.server.command_error(&put).contains("has changed since"));
    let shown: Value = serde_json::from_str(&room.server.command(&["conf", "show", "--json"])).unwrap();
    assert_eq!((&shown["text"], &shown["version"]), (&json!(OTHER), &json!(sha256_hex(OTHER.as_bytes()))));
}

#[tokio::test]
async fn kill_9_leaves_one_text_or_the_other_and_what_was_answered_holds() {
    let (image, folder, state) =
        (Image::make("golden"), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("ezio.conf");
    let texts = |n: usize| format!("# {n}\n{}image = \"golden\"\n", "# long\n".repeat(8000));
    std::fs::write(&path, texts(0)).unwrap();
    let args = ["--conf", path.to_str().unwrap(), "--state", state.path().to_str().unwrap()];
    let mut number = 0;
    for round in 0..8 {
        let server = Server::start(&image, &args);
        let address = format!("{}/api/conf", server.people);
        let client = server.client(None);
        let putting = tokio::spawn(async move {
            let mut held = number;
            loop {
                let replaces = sha256_hex(texts(held).as_bytes());
                let body = json!({ "text": texts(held + 1), "replaces": replaces });
                match client.put(&address).json(&body).send().await {
                    Ok(answer) if answer.status() == StatusCode::OK => held += 1,
                    Ok(answer) => panic!("{}", answer.text().await.unwrap()),
                    Err(_) => return held,
                }
            }
        });
        // Some texts later it is killed, each time at another moment of a write.
        while !std::fs::read_to_string(&path).unwrap().starts_with(&format!("# {}\n", number + 2)) {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(std::time::Duration::from_micros(700 * round)).await;
        drop(server);
        let answered = putting.await.unwrap();
        let stands = std::fs::read_to_string(&path).unwrap();
        let found = [answered, answered + 1].into_iter().find(|n| texts(*n) == stands);
        number = found.unwrap_or_else(|| panic!("{} stands there after {answered}", stands.len()));
    }
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
