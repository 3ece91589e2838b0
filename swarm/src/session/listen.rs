//! One listener for all torrents of the job.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ezio_netproto::places::Place;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Engine;
use super::outbox::Close;
use super::{connection, handshake};

/// Takes connections as long as there are places, those in use and those that have not shaken hands yet.
pub(super) async fn run(engine: Arc<Engine>, listener: TcpListener) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, address)) => match engine.places.take(address.ip()) {
                Some(place) => drop(tasks.spawn(serve(Arc::clone(&engine), stream, address, place))),
                None => tracing::debug!(%address, "no connection: there are enough"),
            },
            Err(error) => {
                // Out of descriptors, mostly: some come back as connections end.
                tracing::warn!("cannot take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve(engine: Arc<Engine>, stream: TcpStream, address: SocketAddr, place: Place) {
    let established = tokio::select! {
        established = handshake::establish(&engine, stream, address, None) => established,
        () = place.lost() => return,
    };
    let established = match established {
        Ok(established) => established,
        Err(error) => return tracing::debug!(%address, "no connection: {error}"),
    };
    let outbox = Arc::clone(&established.outbox);
    let mut connection = std::pin::pin!(connection::run(engine, established));
    let end = tokio::select! {
        end = &mut connection => end,
        () = place.lost() => {
            outbox.close(Close::GivesWay);
            connection.await
        }
    };
    tracing::debug!(%address, "connection ended: {end}");
}
