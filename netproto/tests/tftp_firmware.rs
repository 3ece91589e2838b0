//! TFTP as firmware and old servers speak it: a packet of each kind, byte by byte.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ezio_netproto::tftp::client::{Limits, TftpError, get};
use ezio_netproto::tftp::name::meanings;
use ezio_netproto::tftp::packet::{ErrorCode, Packet};
use ezio_netproto::tftp::server::{File, Handler, Outcome, Server};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(30);
const NAME: &str = "boot/amd64/shimx64.efi";
const CONTENT: &[u8] = b"MZ, and the rest of shim";

struct OneFile;

impl Handler for OneFile {
    fn open(&self, path: &str, _: SocketAddr) -> Option<File> {
        meanings(path).any(|name| name == NAME).then(|| Arc::new(CONTENT) as File)
    }

    fn ended(&self, _: &str, _: SocketAddr, _: Outcome) {}
}

async fn serve() -> (SocketAddr, JoinSet<()>) {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = server.address();
    let mut task = JoinSet::new();
    task.spawn(async move { server.run(Arc::new(OneFile)).await.unwrap() });
    (address, task)
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = timeout(BOUND, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    (buffer[..length].to_vec(), from)
}

/// The server's first word to a request.
async fn first_answer(request: &[u8]) -> Vec<u8> {
    let (server, _task) = serve().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(request, server).await.unwrap();
    receive(&socket).await.0
}

fn first_block() -> Vec<u8> {
    Packet::Data { block: 1, data: CONTENT }.encode()
}

#[tokio::test]
async fn a_name_is_answered_with_whatever_was_read_behind_it() {
    for request in [
        // As it should be.
        &b"\0\x01boot/amd64/shimx64.efi\0octet\0"[..],
        // Option 67 without a NUL, read on: the end mark; padding and the end mark; option 97; option 43.
        b"\0\x01boot/amd64/shimx64.efi\xff\0octet\0",
        b"\0\x01boot/amd64/shimx64.efi\xff\xff\xff\xff\0octet\0",
        b"\0\x01boot/amd64/shimx64.efia\x11\0octet\0",
        b"\0\x01boot/amd64/shimx64.efi+\x04\x06\x01\x08\xff\0octet\0",
        b"\0\x01boot/amd64/shimx64.efi  \0octet\0",
        // A name padded as in the field it was taken from; one whose NUL is missing; nothing behind the name.
        b"\0\x01boot/amd64/shimx64.efi\0\0\0\0\0octet\0",
        b"\0\x01boot/amd64/shimx64.efioctet\0",
        b"\0\x01boot/amd64/shimx64.efi\0octet",
        b"\0\x01boot/amd64/shimx64.efi\0",
        b"\0\x01boot/amd64/shimx64.efi",
        // As other systems write paths.
        b"\0\x01\\boot\\amd64\\shimx64.efi\0octet\0",
        b"\0\x01//boot//amd64/shimx64.efi\0OCTET\0",
        b"\0\x01/BOOT/AMD64/SHIMX64.EFI\0octet\0",
        // Options that mean nothing, and a last one that is cut off.
        b"\0\x01boot/amd64/shimx64.efi\0octet\0blksize\0big\0multicast\0\0tsi",
        b"\0\x01boot/amd64/shimx64.efi\0octet\0bl\xffk\0\xff\0",
    ] {
        assert_eq!(first_answer(request).await, first_block(), "{}", request.escape_ascii());
    }
}

#[tokio::test]
async fn a_request_may_have_any_number_of_options() {
    let mut request = b"\0\x01boot/amd64/shimx64.efi\0octet\0".to_vec();
    for number in 0..100 {
        request.extend(format!("vendor{number}\0{number}\0").into_bytes());
    }
    request.extend(b"BLKSIZE\x001024\0");
    assert_eq!(first_answer(&request).await, b"\0\x06blksize\x001024\0");
}

#[tokio::test]
async fn a_client_that_refuses_our_options_is_served_without_any() {
    let (server, _task) = serve().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"\0\x01boot/amd64/shimx64.efi\0octet\0blksize\x001024\0", server).await.unwrap();
    let (answer, from) = receive(&socket).await;
    assert_eq!(answer, b"\0\x06blksize\x001024\0");
    socket.send_to(b"\0\x05\0\x08no options\0", from).await.unwrap();
    // The same port again, as firmware has only one.
    socket.send_to(b"\0\x01boot/amd64/shimx64.efi\0octet\0", server).await.unwrap();
    let (answer, again) = receive(&socket).await;
    assert_eq!(answer, first_block());
    assert_ne!(from, again);
}

/// A server that the test plays: one answer to each packet of the client, who has the last word. What it got, and what it
/// said.
async fn play(answers: &[Vec<u8>]) -> (Result<Vec<u8>, TftpError>, Vec<Vec<u8>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let played = async {
        let mut heard = Vec::new();
        for answer in answers {
            let (packet, client) = receive(&socket).await;
            heard.push(packet);
            socket.send_to(answer, client).await.unwrap();
        }
        heard.push(receive(&socket).await.0);
        heard
    };
    let limits = Limits::default();
    tokio::join!(get(server, NAME, &limits), played)
}

#[tokio::test]
async fn options_that_nobody_asked_for_are_passed_over() {
    let acknowledged = b"\0\x06timeout\x005\0blksize\x001024\0multicast\0,,1\0rollover\0zero\0".to_vec();
    let (got, heard) = play(&[acknowledged, first_block()]).await;
    assert_eq!(got.unwrap(), CONTENT);
    assert_eq!(heard[1], Packet::Ack { block: 0 }.encode());
}

#[tokio::test]
async fn a_server_that_refuses_options_is_asked_without() {
    let without = Packet::Read { path: NAME.into(), mode: "octet".into(), options: Vec::new() }.encode();
    for code in [ErrorCode::OptionRefused, ErrorCode::IllegalOperation, ErrorCode::Undefined] {
        let no = Packet::Error { code, message: "what is blksize?".into() }.encode();
        let (got, heard) = play(&[no, first_block()]).await;
        assert_eq!(got.unwrap(), CONTENT, "{code:?}");
        assert_eq!(heard[1], without, "{code:?}");
    }
}

#[tokio::test]
async fn a_server_that_grants_what_cannot_hold_is_asked_without() {
    let too_much = b"\0\x06blksize\x0065464\0".to_vec();
    // To its refusal, the server has nothing to say.
    let (got, heard) = play(&[too_much, Vec::new(), first_block()]).await;
    assert_eq!(got.unwrap(), CONTENT);
    assert!(matches!(
        Packet::decode(&heard[1]).unwrap(),
        Packet::Error { code: ErrorCode::OptionRefused, .. }
    ));
}

#[tokio::test]
async fn a_server_without_the_file_is_asked_once() {
    let no = Packet::Error { code: ErrorCode::NotFound, message: "no such file".into() }.encode();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let played = async {
        let (_, client) = receive(&socket).await;
        socket.send_to(&no, client).await.unwrap();
    };
    let limits = Limits::default();
    let (got, ()) = tokio::join!(get(server, NAME, &limits), played);
    assert!(matches!(got.unwrap_err(), TftpError::Refused { code: ErrorCode::NotFound, .. }));
}
