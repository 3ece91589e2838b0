//! Client and server over loopback: against each other, and the server against programs nobody here wrote
//! (curl, tftp-hpa, busybox).

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ezio_netproto::tftp::client::{Limits, TftpError, get};
use ezio_netproto::tftp::packet::ErrorCode;
use ezio_netproto::tftp::server::{File, Handler, Outcome, Server};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const BOUND: Duration = Duration::from_secs(30);

struct Files {
    files: HashMap<String, File>,
    outcomes: Mutex<mpsc::UnboundedSender<(String, Outcome)>>,
}

impl Handler for Files {
    fn open(&self, path: &str, _: SocketAddr) -> Option<File> {
        self.files.get(path.trim_start_matches('/')).cloned()
    }

    fn ended(&self, path: &str, _: SocketAddr, outcome: Outcome) {
        self.outcomes.lock().unwrap().send((path.to_owned(), outcome)).ok();
    }
}

struct Running {
    address: SocketAddr,
    outcomes: mpsc::UnboundedReceiver<(String, Outcome)>,
    _task: JoinSet<()>,
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7919 % 253) as u8).collect()
}

async fn serve() -> Running {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = server.address();
    let (send, outcomes) = mpsc::unbounded_channel();
    let files = [("empty", 0), ("block", 1468), ("small", 5000), ("boot/large", 40 << 20)]
        .map(|(name, length)| (name.to_owned(), Arc::new(content(length)) as File));
    let handler = Arc::new(Files { files: files.into(), outcomes: Mutex::new(send) });
    let mut task = JoinSet::new();
    task.spawn(async move { server.run(handler).await.unwrap() });
    Running { address, outcomes, _task: task }
}

async fn outcome(running: &mut Running) -> Outcome {
    tokio::time::timeout(BOUND, running.outcomes.recv()).await.unwrap().unwrap().1
}

#[tokio::test]
async fn our_client_gets_from_our_server() {
    let mut running = serve().await;
    for (path, length) in [("empty", 0), ("/block", 1468), ("small", 5000), ("boot/large", 40 << 20)] {
        let data = get(running.address, path, &Limits::default()).await.unwrap();
        assert!(data == content(length), "{path}");
        assert_eq!(outcome(&mut running).await, Outcome::Sent { bytes: length as u64 });
    }
}

#[tokio::test]
async fn a_missing_file_is_an_error_with_the_servers_words() {
    let mut running = serve().await;
    let error = get(running.address, "../etc/passwd", &Limits::default()).await.unwrap_err();
    assert!(matches!(error, TftpError::Refused { code: ErrorCode::NotFound, .. }), "{error}");
    assert_eq!(outcome(&mut running).await, Outcome::NotFound);
}

#[tokio::test]
async fn a_file_beyond_the_bound_is_not_taken() {
    let running = serve().await;
    let limits = Limits { max_len: 4999, ..Limits::default() };
    let error = get(running.address, "small", &limits).await.unwrap_err();
    assert!(matches!(error, TftpError::TooLarge { length: 5000, .. }), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    // Bound, and never answered.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let limits = Limits { retry_after: Duration::from_millis(10), attempts: 3, ..Limits::default() };
    let error = get(socket.local_addr().unwrap(), "small", &limits).await.unwrap_err();
    assert!(matches!(error, TftpError::Silent { received: 0, .. }), "{error}");
}

#[tokio::test]
async fn garbage_and_writes_are_survived() {
    let mut running = serve().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for garbage in [&b""[..], b"\0", b"\0\x01", b"\xff\xff\xff\xff", b"\0\x04\0\x01"] {
        socket.send_to(garbage, running.address).await.unwrap();
        assert!(matches!(outcome(&mut running).await, Outcome::Garbage(_)), "{garbage:?}");
    }
    socket.send_to(b"\0\x02evil\0octet\0", running.address).await.unwrap();
    assert!(matches!(outcome(&mut running).await, Outcome::Refused(_)));
    assert_eq!(get(running.address, "small", &Limits::default()).await.unwrap(), content(5000));
}

#[tokio::test]
async fn a_firmware_that_only_asks_for_the_size_is_no_failure() {
    let mut running = serve().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"\0\x01small\0octet\0tsize\x000\0blksize\x001468\0", running.address).await.unwrap();
    let mut buffer = [0; 600];
    let (length, from) = tokio::time::timeout(BOUND, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..length], b"\0\x06tsize\x005000\0blksize\x001468\0");
    socket.send_to(b"\0\x05\0\x08User aborted the transfer\0", from).await.unwrap();
    assert!(matches!(outcome(&mut running).await, Outcome::Cancelled(_)));
}

async fn run(program: &str, args: &[&str]) {
    let child = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(BOUND, child).await.expect(program);
    let output = output.unwrap_or_else(|e| panic!("{program} (apt install curl tftp-hpa busybox): {e}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn check(path: &Path, length: usize, program: &str) {
    assert!(std::fs::read(path).unwrap() == content(length), "{program}");
}

#[tokio::test]
async fn curl_tftp_hpa_and_busybox_get_from_our_server() {
    let running = serve().await;
    let folder = std::env::temp_dir().join(format!("ezio-tftp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let out = folder.join("out");
    let out_name = out.to_str().unwrap();
    let port = running.address.port().to_string();

    let url = format!("tftp://127.0.0.1:{port}/boot/large");
    run("curl", &["-s", "--tftp-blksize", "1400", "-o", out_name, &url]).await;
    check(&out, 40 << 20, "curl");
    let url = format!("tftp://127.0.0.1:{port}/small");
    run("curl", &["-s", "--tftp-no-options", "-o", out_name, &url]).await;
    check(&out, 5000, "curl without options");

    let get = ["-m", "binary", "127.0.0.1", &port, "-c", "get", "small", out_name];
    run("tftp", &get).await;
    check(&out, 5000, "tftp-hpa");

    let host = format!("127.0.0.1:{port}");
    let host: Vec<&str> = host.split(':').collect();
    run("busybox", &["tftp", "-g", "-b", "1468", "-r", "boot/large", "-l", out_name, host[0], host[1]]).await;
    check(&out, 40 << 20, "busybox");
    std::fs::remove_dir_all(&folder).unwrap();
}
