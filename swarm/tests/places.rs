//! Who holds all connections that it can get keeps nobody out.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ezio_swarm::{Config, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const PLACES: usize = 20;

/// A connection of a client at another address.
async fn from_elsewhere(server: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn held_connections_keep_nobody_out() {
    let images = [raw("disk", 64 << 10, 2_000_000)];
    let server = server_with(&images, Config { max_connections: PLACES, ..config(Role::Server) }).await;
    let mut held = Vec::new();
    for n in 0..3 * PLACES as u8 {
        let mut stream = from_elsewhere(server.listen_addr()).await;
        // Every second one shakes hands, and then says nothing.
        if n % 2 == 0 {
            let hash = images[0].metainfo.info_hash().0;
            let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
            hello.extend(hash);
            hello.extend([b'-', n].repeat(10));
            stream.write_all(&hello).await.unwrap();
        }
        held.push(stream);
    }
    let disks: Vec<Disk> = (0..3).map(|_| Disk::blank(&images)).collect();
    let mut members = Vec::new();
    for disk in &disks {
        members.push(member(&images, disk, &[server.listen_addr()]).await);
    }
    for (member, disk) in members.iter().zip(&disks) {
        completed(member).await.unwrap();
        disk.assert_holds(&images);
    }
    let mut closed = 0;
    for mut stream in held {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(std::time::Duration::ZERO, stream.read_to_end(&mut bytes)).await;
        closed += usize::from(read.is_ok());
    }
    assert!(closed >= 2 * PLACES, "{closed} of the held connections were closed");
}
