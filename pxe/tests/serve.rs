//! The built program as a plain user on loopback: what it serves, what it refuses, and how it stops.

#![allow(clippy::unwrap_used, clippy::panic)]

mod access;
mod api;
mod console;
mod hooks;
mod metrics;
mod page;
mod plan;
mod room;
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use ezio_contract::inventory::{DiskId, Holds, Mark, Overwrite, Wanted};
use ezio_contract::report::{Event, FORMAT, Progress, Report, StepTimes};
use ezio_contract::{Arch, FirmwareIdentity, MachineId};
use ezio_image::metainfo::Metainfo;
use ezio_netproto::tftp::client::{Limits, TftpError, get};
use reqwest::StatusCode;
use room::{Image, Server};
use rustix::process::{Pid, getpriority_process};
use serde_json::{Value, json};

const MAC: &str = "52:54:00:12:34:56";

async fn fetch(server: &Server, path: &str) -> (StatusCode, Vec<u8>) {
    let answer = reqwest::get(format!("{}{path}", server.base)).await.unwrap();
    (answer.status(), answer.bytes().await.unwrap().into())
}

async fn text(server: &Server, path: &str) -> String {
    let (status, bytes) = fetch(server, path).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    String::from_utf8(bytes).unwrap()
}

/// What people see, as a command on the server does.
async fn seen(server: &Server, path: &str) -> String {
    let answer = server.client(None).get(format!("{}{path}", server.people)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

async fn fleet(server: &Server) -> Value {
    serde_json::from_str(&seen(server, "/api/fleet").await).unwrap()
}

fn report(run: &str, sequence: u64, event: Event) -> Report {
    let said =
        FirmwareIdentity { serial: Some("S1".into()), macs: vec![MAC.into()], ..FirmwareIdentity::default() };
    let steps = StepTimes { init_s: Some(0.5), ..StepTimes::default() };
    Report { format: FORMAT, machine: said.into(), run: run.into(), sequence, uptime_s: 1.0, steps, event }
}

async fn send(server: &Server, report: &Report) -> Value {
    let client = reqwest::Client::new();
    let answer = client.post(format!("{}/api/report", server.base)).json(report).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn serves_an_image_with_nothing_but_its_directory() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    assert!(server.printed.contains("golden: 300.0 KiB in 1 torrent"), "{}", server.printed);
    assert_eq!(text(&server, "/images/golden/manifest.toml").await, image.file("manifest.toml"));
    let conf = text(&server, "/ezio.conf").await;
    assert!(conf.contains("image = \"golden\""), "{conf}");
    let (_, torrent) = fetch(&server, "/images/golden/disk.torrent").await;
    let metainfo = Metainfo::parse(&torrent).unwrap();
    assert_eq!(metainfo.trackers(), [format!("{}/announce", server.base)]);
    assert_eq!(metainfo.info_hash(), image.info_hash);
    let asked = server.client(None).get(format!("{}/images/golden/disk.torrent", server.base));
    let packed = asked.header("accept-encoding", "gzip, zstd").send().await.unwrap();
    assert_eq!(
        (&packed.headers()["content-encoding"], &packed.headers()["vary"]),
        (&"zstd".parse().unwrap(), &"accept-encoding".parse().unwrap())
    );
    let packed = packed.bytes().await.unwrap();
    assert_eq!(ezio_frames::unpack_all(&packed, 1 << 20).unwrap(), Some(torrent));
    assert!(seen(&server, "/").await.contains("<title>ezio</title>"));
    assert!(text(&server, "/metrics").await.contains("ezio_machines{state=\"done\"} 0\n"));
}

#[tokio::test]
async fn the_tracker_names_the_seeder_and_takes_this_servers_torrents_only() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let announce = |hash: &[u8], id: &str, port: u16| {
        let hash: String = hash.iter().map(|b| format!("%{b:02x}")).collect();
        format!(
            "/announce?info_hash={hash}&peer_id=-XX0000-{id:0>12}&port={port}&left=5&compact=1&event=started"
        )
    };
    let (_, answer) = fetch(&server, &announce(&image.info_hash.0, "1", 7001)).await;
    let seeder: SocketAddr = server.find("peers");
    let compact = |port: u16| [&[127, 0, 0, 1], port.to_be_bytes().as_slice()].concat();
    assert!(answer.ends_with(&[b"5:peers6:".as_slice(), &compact(seeder.port()), b"e"].concat()));
    let (_, answer) = fetch(&server, &announce(&image.info_hash.0, "2", 7002)).await;
    assert!(
        answer.ends_with(&[b"5:peers12:".as_slice(), &compact(seeder.port()), &compact(7001), b"e"].concat())
    );
    let (_, answer) = fetch(&server, &announce(&[1; 20], "3", 7003)).await;
    assert!(answer.starts_with(b"d14:failure reason"));
    let (_, answer) = fetch(&server, "/announce").await;
    assert!(answer.starts_with(b"d14:failure reason"));
    let (_, answer) = fetch(&server, "/scrape").await;
    assert!(answer.ends_with(b"d8:completei1e10:downloadedi0e10:incompletei2eeee"));
}

#[tokio::test]
async fn a_machine_is_followed_to_its_end_and_put_back() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let state_dir = state.path().to_str().unwrap();
    let server = Server::start(&image, &["--state", state_dir, "--append", "console=ttyS0"]);
    assert!(text(&server, "/boot.ipxe").await.contains("/boot.ipxe?mac=${netX/mac:hexhyp}"));
    let script = text(&server, "/boot.ipxe?mac=52-54-00-12-34-56&uuid=&serial=S1").await;
    assert!(script.contains(&format!(
        "ezio.conf={}/ezio.conf BOOTIF=01-${{netX/mac:hexhyp}} console=ttyS0",
        server.base
    )));
    let started = Event::Started { version: "1".into(), firmware: "bios".into(), address: "10.0.0.9".into() };
    send(&server, &report("r", 0, started)).await;
    let note = "disk: is encrypted by LUKS: copied whole";
    let (disks, notes) = (vec!["/dev/sda".into()], vec![note.into()]);
    let planned = Event::Planned { image: "golden".into(), disks, total_bytes: 10, notes };
    send(&server, &report("r", 1, planned)).await;
    let progress = Progress { done_bytes: 5, total_bytes: 10, from_peers_bytes: 3, ..Progress::default() };
    send(&server, &report("r", 2, Event::Progress(progress))).await;
    let view = fleet(&server).await;
    assert_eq!(view["counts"], json!({"done": 0, "working": 1, "failed": 0, "silent": 0, "waiting": 0}));
    let machine = &view["machines"][0];
    assert_eq!((&machine["id"], &machine["state"]), (&json!("S1"), &json!("working")));
    assert_eq!(machine["machine"]["macs"], json!([MAC]));
    assert_eq!(machine["progress"]["from_peers_bytes"], 3);
    assert_eq!(machine["steps"], json!({"init_s": 0.5}));
    let status = server.command(&["status"]);
    assert!(status.contains(MAC) && status.contains("working 50 %"), "{status}");
    assert!(status.contains(&format!("image golden: note: {note}")), "{status}");
    send(&server, &report("r", 3, Event::Verified(progress))).await;
    assert_eq!(send(&server, &report("r", 4, Event::Seeding(progress))).await, json!({"release": true}));
    send(&server, &report("r", 5, Event::Step { step: "ext4 of sda2 has 8.0 GiB now".into() })).await;
    send(&server, &report("r", 6, Event::Done { end: "reboot".into() })).await;
    assert!(text(&server, "/boot.ipxe?mac=52-54-00-12-34-56").await.ends_with("\nexit\n"));

    // All of it outlives a restart.
    server.stop();
    let server = Server::start(&image, &["--state", state_dir]);
    let view = fleet(&server).await;
    assert_eq!(view["machines"][0]["state"], "done");
    assert_eq!(view["images"][0]["notes"], json!([note]));
    assert_eq!(view["machines"][0]["notes"], json!([note]));
    assert_eq!(view["machines"][0]["own_steps"], json!(["ext4 of sda2 has 8.0 GiB now"]));
    assert!(view["machines"][0]["times"]["verified"].as_f64().unwrap() > 1e9);
    assert!(text(&server, "/boot.ipxe?mac=52-54-00-12-34-56").await.ends_with("\nexit\n"));
    assert!(server.command(&["again", MAC]).contains("will be deployed at its next network boot"));
    assert!(text(&server, "/boot.ipxe?mac=52-54-00-12-34-56").await.contains("vmlinuz"));
    assert!(server.command_error(&["again", "nobody"]).contains("no machine has this"));
}

/// What would be overwritten by each question: a disk with a Windows on it.
fn asks(sequence: u64) -> Report {
    report("r", sequence, Event::Asks { image: "golden".into(), wanted: vec![asked()] })
}

fn asked() -> Wanted {
    let lines = vec!["Windows".to_owned(), "NTFS \"Daten\" 412.0 GiB used of 476.0 GiB".to_owned()];
    Wanted {
        name: "/dev/sda".into(),
        id: DiskId { serial: Some("D1".into()), size: 1 << 30, ..DiskId::default() },
        overwrite: Overwrite::Ours,
        holds: Holds { blank: false, mark: Some(Mark::Mbr(7)), lines },
        becomes: None,
    }
}

#[tokio::test]
async fn a_machine_waits_is_approved_and_goes_on_though_the_server_is_killed_between_any_two_acts() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let start = || Server::start(&image, &["--state", state.path().to_str().unwrap()]);
    let server = start();
    let line = "/dev/sda: Windows, NTFS \"Daten\" 412.0 GiB used of 476.0 GiB (overwrite = \"ours\")";
    assert_eq!(send(&server, &asks(1)).await, json!({"release": false, "waits_for": [line]}));
    // Its end is that of kill -9.
    drop(server);
    let server = start();
    let machine = &fleet(&server).await["machines"][0];
    assert_eq!((&machine["state"], &machine["waiting_for"]), (&json!("waiting"), &json!([line])));
    assert!(server.command(&["status"]).contains(line));
    assert!(server.command(&["approve", MAC]).contains("goes on"));
    drop(server);
    let server = start();
    assert_eq!(send(&server, &asks(2)).await, json!({"release": false, "go": true}));
    // Nothing was written yet, and the machine asks once more.
    drop(server);
    let server = start();
    assert_eq!(send(&server, &asks(3)).await, json!({"release": false, "go": true}));
    assert!(server.command(&["hold", MAC]).contains("is held"));
    drop(server);
    let server = start();
    assert_eq!(send(&server, &asks(4)).await["go"], Value::Null);
    assert_eq!(fleet(&server).await["machines"][0]["held"], true);
    assert!(server.command(&["forget", "all"]).contains("is forgotten"));
    drop(server);
    assert_eq!(fleet(&start()).await["machines"], json!([]));
}

#[tokio::test]
async fn tftp_serves_the_same_tree_and_the_way_to_report() {
    let image = Image::make("golden");
    let netboot = Image::netboot(Arch::Amd64);
    let dist = netboot.path().to_str().unwrap();
    let server = Server::start(&image, &["--netboot", dist, "--tftp-port", "0"]);
    let tftp: SocketAddr = server.find("tftp");
    let fetch = async |path: &str| get(tftp, path, &Limits::default()).await;
    let conf = String::from_utf8(fetch("ezio.conf").await.unwrap()).unwrap();
    assert!(conf.contains(&format!("report = \"{}/api/report\"", server.base)), "{conf}");
    assert_eq!(fetch("boot/amd64/vmlinuz").await.unwrap(), b"kernel of amd64");
    assert_eq!(fetch("\\boot//amd64\\shimx64.efi").await.unwrap(), b"shim");
    assert_eq!(fetch("grubx64.efi").await.unwrap(), fetch("boot/amd64/grubx64.efi").await.unwrap());
    assert_eq!(fetch("images/golden/manifest.toml").await.unwrap(), image.file("manifest.toml").into_bytes());
    let grub = String::from_utf8(fetch("/grub/grub.cfg").await.unwrap()).unwrap();
    assert!(grub.contains("source /grub/machine-$net_default_mac.cfg"));
    let machine = String::from_utf8(fetch(&format!("/grub/machine-{MAC}.cfg")).await.unwrap()).unwrap();
    assert!(
        machine.contains("linux $folder/vmlinuz") && machine.contains("BOOTIF=01-52-54-00-12-34-56"),
        "{machine}"
    );
    for name in [
        "ezio.conf",
        "boot.ipxe",
        "boot/amd64/autoexec.ipxe",
        "boot/amd64/vmlinuz",
        "grub/grub.cfg",
        &format!("grub/machine-{MAC}.cfg"),
        "images/golden/disk.torrent",
    ] {
        let over_http = self::fetch(&server, &format!("/{name}")).await.1;
        assert_eq!(fetch(name).await.unwrap(), over_http, "{name}");
    }
    // As firmware writes names.
    let kernel = fetch("boot/amd64/vmlinuz").await.unwrap();
    for path in [
        "//boot//amd64/vmlinuz",
        "\\boot\\amd64\\vmlinuz",
        "BOOT/AMD64/VMLINUZ",
        "boot/amd64/vmlinuzB\t\u{1}",
    ] {
        assert_eq!(fetch(path).await.unwrap(), kernel, "{path:?}");
    }
    for path in ["//boot//amd64/vmlinuz", "/boot%5camd64%5cvmlinuz", "/BOOT/AMD64/VMLINUZ"] {
        assert_eq!(self::fetch(&server, path).await.1, kernel, "{path}");
    }
    for path in [
        "../../../etc/passwd",
        "images/golden/../../../etc/passwd",
        "images/golden/disk",
        "images/../x",
        "grub/machine-../../etc/passwd.cfg",
        "/etc/passwd",
        "",
    ] {
        let error = fetch(path).await.unwrap_err();
        assert!(matches!(error, TftpError::Refused { .. }), "{path}: {error}");
    }
}

#[tokio::test]
async fn machines_of_two_architectures_find_their_files_at_one_server() {
    let image = Image::make("golden");
    let [amd64, arm64] = Arch::ALL.map(Image::netboot);
    let [amd64, arm64] = [&amd64, &arm64].map(|folder| folder.path().to_str().unwrap());
    let server = Server::start(&image, &["--netboot", amd64, "--netboot", arm64, "--tftp-port", "0"]);
    assert!(server.printed.contains("netboot    arm64: "), "{}", server.printed);
    for arch in Arch::ALL {
        let kernel = format!("boot/{arch}/vmlinuz");
        assert_eq!(text(&server, &format!("/{kernel}")).await, format!("kernel of {arch}"));
        let over_tftp = get(server.find("tftp"), &kernel, &Limits::default()).await.unwrap();
        assert_eq!(over_tftp, format!("kernel of {arch}").into_bytes());
    }
    assert_eq!(text(&server, "/boot/arm64/shimaa64.efi").await, "shim");
    assert_eq!(fetch(&server, "/boot/arm64/shimx64.efi").await.0, StatusCode::NOT_FOUND);
    let error = Server::fails(&image, &["--netboot", arm64, "--netboot", arm64]);
    assert!(error.contains("two --netboot directories are for arm64"), "{error}");
}

#[tokio::test]
async fn no_path_leads_outside_and_run_data_is_not_served() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    for path in [
        "/../../etc/passwd",
        "/images/golden/../../../../etc/passwd",
        "/images/golden/..%2f..%2f..%2fetc%2fpasswd",
        "/images/golden/%2e%2e/%2e%2e/etc/passwd",
        "/images/../../etc/passwd",
        "/images//etc/passwd",
        "/images/golden/disk",
        "/images/golden/",
        "/boot/../../etc/passwd",
        "/boot/%2e%2e%2fx",
    ] {
        // Written by hand: a client's library would tidy the path up.
        let answer =
            raw(&server, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.find::<SocketAddr>("http")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The server may hang up before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// GRUB after UEFI HTTP Boot asks for a file's size by HEAD, and knows the header's name in one spelling only.
#[tokio::test]
async fn head_tells_grub_the_size_of_what_get_sends() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    for (path, size) in [
        ("/grub/grub.cfg", text(&server, "/grub/grub.cfg").await.len()),
        ("/images/golden/manifest.toml", image.file("manifest.toml").len()),
    ] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(answer.contains(&format!("\r\nContent-Length: {size}\r\n")), "{path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn garbage_on_every_port_is_survived() {
    let image = Image::make("golden");
    let server = Server::start(&image, &["--tftp-port", "0"]);
    let garbage: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for chunk in garbage.chunks(900) {
        udp.send_to(chunk, server.find::<SocketAddr>("tftp")).unwrap();
        for port in ["http", "peers"] {
            let mut stream = TcpStream::connect(server.find::<SocketAddr>(port)).unwrap();
            let _ = stream.write_all(chunk);
        }
    }
    let client = reqwest::Client::new();
    let post = async |body: Vec<u8>| {
        client.post(format!("{}/api/report", server.base)).body(body).send().await.map(|a| a.status())
    };
    assert_eq!(post(b"{}".to_vec()).await.unwrap(), StatusCode::BAD_REQUEST);
    assert_eq!(post(vec![b'['; 60_000]).await.unwrap(), StatusCode::BAD_REQUEST);
    assert_eq!(post(b"{\"format\": 99}".to_vec()).await.unwrap(), StatusCode::BAD_REQUEST);
    // Too large: refused, or cut off while it is still being sent.
    assert!(post(vec![b' '; 1 << 20]).await.map_or(true, |status| status == StatusCode::PAYLOAD_TOO_LARGE));
    let nobody = Report { machine: MachineId::default(), ..report("r", 0, Event::FirstByte) };
    assert_eq!(post(serde_json::to_vec(&nobody).unwrap()).await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(2000));
    assert!(raw(&server, many.as_bytes()).starts_with("HTTP/1.1 431"));
    assert_eq!(fleet(&server).await["machines"], json!([]));
    let tftp = get(server.find("tftp"), "ezio.conf", &Limits::default()).await;
    assert!(tftp.is_ok(), "{tftp:?}");
}

#[tokio::test]
async fn acts_take_json_and_say_whom_they_mean() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let client = server.client(None);
    let none = json!({"machines": [], "unknown": []});
    for act in ["again", "approve", "hold", "forget"] {
        let url = format!("{}/api/{act}", server.people);
        // A form of a web page is not accepted from anywhere.
        let form = client.post(&url).header("content-type", "text/plain").body(r#"{"machines":"all"}"#);
        assert_eq!(form.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let all = client.post(&url).json(&json!({"machines": "all"})).send().await.unwrap();
        assert_eq!(
            (all.status(), all.json::<Value>().await.unwrap()),
            (StatusCode::OK, none.clone()),
            "{act}"
        );
        let stranger = client.post(&url).json(&json!({"machines": ["nobody"]})).send().await.unwrap();
        assert_eq!(stranger.status(), StatusCode::NOT_FOUND, "{act}");
        let odd = client.post(&url).json(&json!({"machines": "all", "disk": "sda"})).send().await.unwrap();
        assert_eq!(odd.status(), StatusCode::BAD_REQUEST, "{act}");
    }
}

#[tokio::test]
async fn the_conf_is_read_again_at_sighup_and_mistakes_leave_the_old_one() {
    let image = Image::make("golden");
    let conf = image.folder.path().join("ezio.conf");
    std::fs::write(&conf, "image = \"golden\"\nend = \"hold\"\n").unwrap();
    let server = Server::start(&image, &["--conf", conf.to_str().unwrap()]);
    assert!(text(&server, "/ezio.conf").await.contains("hold"));
    std::fs::write(&conf, "image = \"golden\"\nend = \"explode\"\n").unwrap();
    server.hang_up();
    server.wait_for_log("line 2, column");
    assert!(text(&server, "/ezio.conf").await.contains("hold"));
    std::fs::write(&conf, "image = \"golden\"\nend = \"poweroff\"\n").unwrap();
    server.hang_up();
    server.wait_for_log("was read again");
    assert!(text(&server, "/ezio.conf").await.contains("poweroff"));
}

#[tokio::test]
async fn stops_cleanly_and_soon_with_clients_that_hang() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let mut hanging = TcpStream::connect(server.find::<SocketAddr>("http")).unwrap();
    hanging.write_all(b"GET /api/fleet HTTP/1.1\r\n").unwrap();
    assert_eq!(fleet(&server).await["machines"], json!([]));
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn all_of_its_threads_go_first_where_that_is_allowed() {
    const CAP_SYS_NICE: u64 = 1 << 23;
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let may = u64::from_str_radix(rights.trim(), 16).unwrap() & CAP_SYS_NICE != 0;
    let own = getpriority_process(None).unwrap();
    let expected = if own == 0 && may { -10 } else { own };
    let threads = server.threads();
    assert!(threads.len() > 1);
    assert!(threads.into_iter().all(|thread| getpriority_process(Pid::from_raw(thread)) == Ok(expected)));
}

#[test]
fn what_is_wrong_at_start_is_said_with_what_to_do() {
    let image = Image::make("golden");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error = Server::fails(&image, &["--http-port", &port]);
    assert!(error.contains(&port) && error.contains("--http-port") && error.contains("ss -lntup"), "{error}");
    let conf = image.folder.path().join("ezio.conf");
    std::fs::write(&conf, "image = \"golden\"\nimagee = 1\n").unwrap();
    let error = Server::fails(&image, &["--conf", conf.to_str().unwrap()]);
    assert!(error.contains("line 2, column"), "{error}");
    std::fs::write(&conf, "image = \"silver\"\n").unwrap();
    let error = Server::fails(&image, &["--conf", conf.to_str().unwrap()]);
    assert!(error.contains("\"silver\", which is not served here (served: golden)"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn damaged_network_boot_files_are_refused() {
    let image = Image::make("golden");
    let netboot = Image::netboot(Arch::Amd64);
    let dist = netboot.path().to_str().unwrap();
    std::fs::write(netboot.path().join("vmlinuz"), "another kernel").unwrap();
    let error = Server::fails(&image, &["--netboot", dist]);
    assert!(error.contains("vmlinuz does not match netboot.toml"), "{error}");
    std::fs::remove_file(netboot.path().join("netboot.toml")).unwrap();
    let error = Server::fails(&image, &["--netboot", dist]);
    assert!(error.contains("netboot.toml is missing: make the directory with"), "{error}");
}

#[test]
fn a_damaged_image_is_refused() {
    let image = Image::make("golden");
    let disk = image.dir.join("disk");
    std::fs::OpenOptions::new().write(true).open(&disk).unwrap().set_len(1000).unwrap();
    let error = Server::fails(&image, &[]);
    assert!(error.contains("golden") && error.contains("disk"), "{error}");
    std::fs::remove_file(&disk).unwrap();
    assert!(Server::fails(&image, &[]).contains("disk"));

    let image = Image::make("sums");
    let manifest = image.dir.join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("test machine", "other thing");
    std::fs::write(&manifest, text).unwrap();
    assert!(Server::fails(&image, &[]).contains("manifest.toml: is damaged"));

    let image = Image::make("mixed");
    let manifest = image.dir.join("manifest.toml");
    std::fs::remove_file(image.dir.join("SHA256SUMS")).unwrap();
    let text = std::fs::read_to_string(&manifest).unwrap();
    let hash = image.info_hash.as_string();
    std::fs::write(&manifest, text.replace(&hash, &"0".repeat(40))).unwrap();
    let error = Server::fails(&image, &[]);
    assert!(error.contains("SHA256SUMS: is missing; disk.torrent: its info hash is"), "{error}");
}

#[tokio::test]
async fn signatures_are_served_beside_what_they_sign() {
    let image = Image::make("golden");
    let conf = image.folder.path().join("ezio.conf");
    std::fs::write(&conf, "image = \"golden\"\n").unwrap();
    std::fs::write(image.folder.path().join("ezio.conf.minisig"), "conf signature").unwrap();
    std::fs::write(image.dir.join("SHA256SUMS.minisig"), "image signature").unwrap();
    let server = Server::start(&image, &["--conf", conf.to_str().unwrap(), "--tftp-port", "0"]);
    assert_eq!(text(&server, "/ezio.conf.minisig").await, "conf signature");
    assert_eq!(text(&server, "/images/golden/SHA256SUMS.minisig").await, "image signature");
    let tftp = async |path: &str| get(server.find("tftp"), path, &Limits::default()).await.unwrap();
    assert_eq!(tftp("ezio.conf.minisig").await, b"conf signature");
    // As signed, to the byte.
    assert_eq!(tftp("ezio.conf").await, b"image = \"golden\"\n");
    assert_eq!(tftp("images/golden/SHA256SUMS").await, image.file("SHA256SUMS").into_bytes());
}

#[tokio::test]
async fn what_is_a_machines_own_goes_to_it_alone_and_into_no_log() {
    const SECRET: &str = "ARAIAMSECRET";
    let image = Image::make("golden");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "ezio.conf",
        "image = \"golden\"\n[identity]\nhostname = \"pc-{{counter}}\"\n[windows]\nunattend = \"u.xml\"\njoin = \"{{serial}}.txt\"\n",
    );
    write("u.xml", "<name>{{hostname}}</name><data>{{join}}</data>");
    write("S1.txt", SECRET);
    let conf = folder.path().join("ezio.conf");
    let server = Server::start(&image, &["--conf", conf.to_str().unwrap()]);
    let machine = report("r", 0, Event::FirstByte).machine;
    let ask = async |run: &str| {
        let body = json!({ "machine": machine, "run": run });
        let client = reqwest::Client::new();
        let answer = client.post(format!("{}/api/identity", server.base)).json(&body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(ask("r").await.0, StatusCode::FORBIDDEN, "it is not being deployed");
    let started = Event::Started { version: "1".into(), firmware: "bios".into(), address: "10.0.0.9".into() };
    send(&server, &report("r", 0, started)).await;
    let (status, own) = ask("r").await;
    let own: Value = serde_json::from_str(&own).unwrap();
    assert_eq!((status, &own["hostname"]), (StatusCode::OK, &json!("pc-1")));
    assert_eq!(fleet(&server).await["machines"][0]["hostname"], "pc-1");
    assert_eq!(own["windows"]["unattend"], format!("<name>pc-1</name><data>{SECRET}</data>"));
    let (status, said) = ask("another").await;
    assert!(status == StatusCode::FORBIDDEN && !said.contains(SECRET), "{said}");
    for path in ["/u.xml", "/S1.txt", "/identity/S1.txt", "/api/identity"] {
        assert!(!fetch(&server, path).await.0.is_success(), "{path}");
    }
    assert!(!seen(&server, "/api/fleet").await.contains(SECRET));
    send(&server, &report("r", 1, Event::Done { end: "reboot".into() })).await;
    assert_eq!(ask("r").await.0, StatusCode::FORBIDDEN, "it is done");
    let log = server.wait_for_log(": Done");
    assert!(log.contains("only a machine that is being deployed") && !log.contains(SECRET), "{log}");
}
