//! One listener for all torrents of the job.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Engine;
use super::{connection, handshake};

/// Connections that have not shaken hands yet, at most: more wait in the kernel's queue.
const HALF_OPEN: usize = 256;

pub(super) async fn run(engine: Arc<Engine>, listener: TcpListener) {
    let half_open = Arc::new(Semaphore::new(HALF_OPEN));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&half_open).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, address)) => {
                tasks.spawn(serve(Arc::clone(&engine), stream, address, permit));
            }
            Err(error) => {
                // Out of descriptors, mostly: some come back as connections end.
                tracing::warn!("cannot take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve(
    engine: Arc<Engine>,
    stream: TcpStream,
    address: SocketAddr,
    permit: tokio::sync::OwnedSemaphorePermit,
) {
    match handshake::establish(&engine, stream, address, None).await {
        Ok(established) => {
            drop(permit);
            let end = connection::run(engine, established).await;
            tracing::debug!(%address, "connection ended: {end}");
        }
        Err(error) => tracing::debug!(%address, "no connection: {error}"),
    }
}
