//! Connections, with a bound on everything that a client could stretch.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use ezio_netproto::places::Places;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use super::Peer;
use crate::throttle::Throttle;

const MAX_CONNECTIONS: usize = 2048;
/// From the connection, or the last answer, to the end of the next request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest handshake of TLS: a few round trips.
const HANDSHAKE: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Longest life of a connection: a client that takes an hour for an initrd is stuck.
const LIFETIME: Duration = Duration::from_secs(3600);
const DRAIN: Duration = Duration::from_secs(4);
/// Pause after an accept that failed, for lack of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Cuts a connection from within an answer that the client does not read.
#[derive(Debug, Clone, Default)]
pub(super) struct HangUp(pub(super) Arc<Notify>);

/// The bound on the connections of one port.
pub(crate) fn places() -> Arc<Places> {
    Places::new(MAX_CONNECTIONS)
}

/// Serves, by TLS where that is given, until `stop` turns true, then lets answers under way end, for a few seconds.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Arc<Places>,
    mut stop: watch::Receiver<bool>,
    throttle: Arc<Throttle>,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                throttle.warn("http", || format!("accepting a connection: {e}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(remote.ip()) else {
            throttle.warn("http", || {
                format!("{remote}: more than {MAX_CONNECTIONS} connections, this one is closed")
            });
            continue;
        };
        let Ok(local) = stream.local_addr() else { continue };
        let hang_up = HangUp::default();
        let peer = Peer { remote, local, tls: tls.is_some() };
        let router = router.clone().layer(Extension(peer)).layer(Extension(hang_up.clone()));
        let (watcher, tls, throttle) = (graceful.watcher(), tls.clone(), Arc::clone(&throttle));
        // Small answers to many small requests: waiting to fill a segment only costs time.
        let _ = stream.set_nodelay(true);
        let served = async move {
            match tls {
                None => watcher.watch(connection(stream, router)).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => watcher.watch(connection(stream, router)).await,
                    // Browsers that do not know the certificate end it so, and who speaks something else.
                    Ok(Err(e)) => {
                        tracing::debug!("https: {remote}: {e}");
                        Ok(())
                    }
                    Err(_) => {
                        tracing::debug!("https: {remote}: no handshake within {} s", HANDSHAKE.as_secs());
                        Ok(())
                    }
                },
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                ended = tokio::time::timeout(LIFETIME, served) => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(e)) => log(&throttle, remote, &e),
                    Err(_) => throttle.warn("http", || format!("{remote}: cut after {} s", LIFETIME.as_secs())),
                },
                () = hang_up.0.notified() => tracing::debug!("http: {remote}: reads nothing and is cut"),
                () = place.lost() => throttle.warn("http", || {
                    format!("{remote}: gives way, its address has most connections of {MAX_CONNECTIONS}")
                }),
            }
        });
    }
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::info!("http: some connections did not end in time and are cut");
    }
}

type Connection<S> = http1::Connection<TokioIo<S>, TowerToHyperService<Router>>;

fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S, router: Router) -> Connection<S> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        // GRUB's HTTP on top of the firmware's (2.12) finds a file's size only where it is called Content-Length.
        .title_case_headers(true)
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

fn log(throttle: &Throttle, remote: std::net::SocketAddr, error: &hyper::Error) {
    // Clients that hang up, and idle connections that time out, are everyday life.
    if error.is_parse() {
        throttle.warn("http", || format!("{remote}: {error}"));
    } else {
        tracing::debug!("http: {remote}: {error}");
    }
}
