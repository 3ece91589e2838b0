//! The start and the end of everything: opens what is served, takes the ports, hands each protocol its part, says what is
//! served, runs, and stops cleanly.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ezio_netproto::places;
use ezio_netproto::tftp::server::Server as TftpServer;
use ezio_swarm::Swarm;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::access::{Access, Local};
use crate::address::{Addresses, no_port};
use crate::boot::base_url;
use crate::catalogue::Catalogue;
use crate::conf::RoomConf;
use crate::fleet::Fleet;
use crate::hooks::Hooks;
use crate::http::{Acting, Announces, Bounds, Identities, Overview, Passing, Reports, Routers};
use crate::rates::Rates;
use crate::seats::Seats;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::store::Store;
use crate::summary::{self, Places};
use crate::tftp::Counters;
use crate::throttle::Throttle;
use crate::tls::Tls;
use crate::tracker::Tracker;
use crate::wake::Waker;
use crate::{address, dhcp, http, imported, seeder, tftp};

/// Longest time for stopping; what has not ended by then is cut.
const STOP: Duration = Duration::from_secs(10);

/// A port of HTTP, with the bound on its connections.
struct Http {
    listener: TcpListener,
    places: Arc<places::Places>,
}

/// Everything that listens, before it does anything.
struct Bound {
    http: Http,
    tftp: Option<TftpServer>,
    dhcp: Option<dhcp::Service>,
    swarm: Swarm,
    advertised: IpAddr,
    /// `http://ADDRESS:PORT`, as clients reach us.
    base: String,
    /// Where people are served by TLS, if they are.
    https: Option<(Http, Tls)>,
    /// The page's address, as people reach it; and the same for commands on this machine.
    page: String,
    local: String,
}

/// `ezio-pxe serve`, to its end.
pub(crate) async fn serve(settings: Settings) -> Result<()> {
    let addresses = Addresses::choose(settings.interface.as_deref(), settings.listen)?;
    ensure!(
        !settings.no_auth || addresses.listen.is_loopback(),
        "--no-auth lets in whoever reaches {}: it goes with --listen 127.0.0.1 only",
        addresses.listen
    );
    // The database is ours before anything is imported beside it.
    let store = settings.state.as_deref().map(Store::open).transpose()?;
    let catalogue = {
        let (images, netboot) = (settings.images.clone(), settings.netboot.clone());
        let state = settings.state.clone();
        let open = tokio::task::spawn_blocking(move || {
            Catalogue::open(&imported::resolve(&images, state.as_deref())?, &netboot)
        });
        open.await.context("opening what is served")??
    };
    let conf = RoomConf::open(settings.conf.as_deref(), &catalogue)?;
    let fleet = Fleet::open(store.clone(), settings.silent_after, settings.linger, settings.rules)?;
    let seats = Seats::open(store.clone())?;
    let access = Arc::new(Access::open(store.clone(), settings.no_auth)?);
    let bound = bind(&settings, &addresses, &catalogue, store.as_ref()).await?;
    let own = address::networks(settings.interface.as_deref(), settings.listen)?;
    let waker = Waker::new(own, settings.dhcp.far_networks(), settings.wake_port);
    let shared = Shared::new(catalogue, conf, fleet, seats, waker, access, settings.append.clone())?;
    let hooks = Hooks::start(&settings.hooks, settings.hook_secret.as_ref(), &shared.fleet).await?;
    if let Some(state) = &settings.state {
        let token = shared.access.local_token().reveal().to_owned();
        let fingerprint = bound.https.as_ref().map(|(_, tls)| tls.fingerprint.clone());
        Local { url: bound.local.clone(), token, fingerprint }.write(state)?;
    }
    let places = Places {
        base: &bound.base,
        page: &bound.page,
        tls: bound.https.as_ref().map(|(_, tls)| tls),
        tftp: bound.tftp.as_ref().map(TftpServer::address),
        peers: bound.swarm.listen_addr(),
    };
    let lines = summary::lines(&shared, &settings, &places).join("\n");
    // Whoever reads that it serves may stop it.
    let signals = Signals::listen()?;
    // Whoever started us may have stopped reading: that is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "{lines}");
    run(shared, hooks, &settings, bound, store, signals).await
}

async fn bind(
    settings: &Settings,
    addresses: &Addresses,
    catalogue: &Catalogue,
    store: Option<&Store>,
) -> Result<Bound> {
    let (listen, port) = (addresses.listen, settings.http_port);
    let http = TcpListener::bind((listen, port)).await;
    let http = http.map_err(|e| no_port("HTTP", "--http-port", listen, port, e))?;
    let port = http.local_addr().context("HTTP's own port")?.port();
    let base = base_url(addresses.advertised, port);
    let https = bind_https(settings, addresses).await?;
    let page = |address: IpAddr| -> Result<String> {
        Ok(match &https {
            Some((https, _)) => {
                let port = https.listener.local_addr().context("HTTPS's own port")?.port();
                format!("https://{}", SocketAddr::new(address, port))
            }
            None => base_url(address, port),
        })
    };
    let local = if listen.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { listen };
    Ok(Bound {
        tftp: bind_tftp(settings, listen).await?,
        dhcp: dhcp::Service::bind(&settings.dhcp, addresses, &base, catalogue, store)?,
        swarm: seeder::start(settings, listen, catalogue).await?,
        http: Http { listener: http, places: http::places() },
        advertised: addresses.advertised,
        base,
        page: page(addresses.advertised)?,
        local: page(local)?,
        https,
    })
}

async fn bind_https(settings: &Settings, addresses: &Addresses) -> Result<Option<(Http, Tls)>> {
    let Some(https) = &settings.https else { return Ok(None) };
    let (listen, port) = (addresses.listen, https.port);
    let listener = TcpListener::bind((listen, port)).await;
    let listener = listener.map_err(|e| no_port("HTTPS", "--https-port", listen, port, e))?;
    let listener = Http { listener, places: http::places() };
    Ok(Some((listener, Tls::open(https.given.as_ref(), settings.state.as_deref(), addresses.names())?)))
}

async fn bind_tftp(settings: &Settings, listen: IpAddr) -> Result<Option<TftpServer>> {
    let Some(port) = settings.tftp_port else { return Ok(None) };
    let bound = TftpServer::bind(SocketAddr::new(listen, port)).await;
    Ok(Some(bound.map_err(|e| no_port("TFTP", "--tftp-port", listen, port, e))?))
}

/// All bounds on connections, each by the name of its service.
fn bounds(bound: &Bound) -> Bounds {
    let https = bound.https.as_ref().map(|(https, _)| ("https", Arc::clone(&https.places)));
    let tftp = bound.tftp.as_ref().map(|tftp| ("tftp", tftp.places()));
    let always = [("http", Arc::clone(&bound.http.places)), ("seeder", bound.swarm.places())];
    always.into_iter().chain(https).chain(tftp).collect()
}

/// What the view has of other services.
struct Seen {
    hooks: Arc<Hooks>,
    tftp: Arc<Counters>,
}

/// HTTP's part of what is shared.
fn routers(
    shared: &Shared,
    settings: &Settings,
    bound: &Bound,
    seen: Seen,
    stop: watch::Receiver<bool>,
) -> Routers {
    let torrents = shared.catalogue.torrents().map(|(_, torrent)| torrent.metainfo.info_hash().0);
    let tracker = Tracker::new(torrents, settings.sites.clone());
    let seeder_port = bound.swarm.listen_addr().port();
    let announces = Arc::new(Announces::new(tracker, seeder_port, Arc::clone(&shared.throttle)));
    let files = http::Files {
        names: Arc::clone(&shared.names),
        base: bound.base.clone(),
        passing: Mutex::new(Passing::new(settings.sites.clone())),
    };
    let reports = Reports { fleet: Arc::clone(&shared.fleet), throttle: Arc::clone(&shared.throttle) };
    let identities = Identities {
        conf: Arc::clone(&shared.conf),
        fleet: Arc::clone(&shared.fleet),
        throttle: Arc::clone(&shared.throttle),
    };
    let rates = Arc::<Rates>::default();
    tokio::spawn(Arc::clone(&rates).run(Arc::clone(&shared.fleet), bound.swarm.progress(), stop.clone()));
    let overview = Overview {
        catalogue: Arc::clone(&shared.catalogue),
        conf: Arc::clone(&shared.conf),
        fleet: Arc::clone(&shared.fleet),
        seeder: bound.swarm.progress(),
        announces: Arc::clone(&announces),
        seats: Arc::clone(&shared.seats),
        hooks: seen.hooks,
        rates,
        tftp: seen.tftp,
        bounds: bounds(bound),
    };
    let acting = Acting {
        access: Arc::clone(&shared.access),
        waker: Arc::clone(&shared.waker),
        schedules: Arc::clone(&shared.schedules),
    };
    http::routers(files, reports, identities, announces, overview, acting, stop)
}

async fn run(
    shared: Shared,
    hooks: Hooks,
    settings: &Settings,
    bound: Bound,
    store: Option<Store>,
    mut signals: Signals,
) -> Result<()> {
    let (stop, stopping) = watch::channel(false);
    let (hooks, counters) = (Arc::new(hooks), Arc::<Counters>::default());
    let seen = Seen { hooks: Arc::clone(&hooks), tftp: Arc::clone(&counters) };
    let routers = routers(&shared, settings, &bound, seen, stopping.clone());
    let mut services: JoinSet<Result<()>> = JoinSet::new();
    if let Some(tftp) = bound.tftp {
        let (names, throttle) = (Arc::clone(&shared.names), Arc::clone(&shared.throttle));
        let files = tftp::Files::new(names, throttle, counters, bound.advertised, bound.base);
        services.spawn(async move { tftp.run(Arc::new(files)).await.context("TFTP") });
    }
    if let Some(dhcp) = bound.dhcp {
        services.spawn(dhcp.run(Arc::clone(&shared.fleet), Arc::clone(&shared.throttle), store));
    }
    let schedules = tokio::spawn(Arc::clone(&shared.schedules).run(stopping.clone()));
    let tokens = tokio::spawn(Arc::clone(&shared.access).keep_used(stopping.clone()));
    let http =
        tokio::spawn(serve_http(bound.http, bound.https, routers, stopping, Arc::clone(&shared.throttle)));
    let ended = until_stopped(&shared, &mut signals, &mut services).await;
    tracing::info!("stopping");
    let _ = stop.send(true);
    services.abort_all();
    let stopped = async {
        let _ = http.await;
        let _ = schedules.await;
        let _ = tokens.await;
        bound.swarm.shutdown().await;
        let flushed = shared.fleet.flush().await;
        hooks.stop();
        flushed
    };
    match tokio::time::timeout(STOP, stopped).await {
        Ok(flushed) => ended.and(flushed),
        Err(_) => ended.and_then(|()| bail!("stopping took longer than {} s and was cut", STOP.as_secs())),
    }
}

/// Machines and people on one port, or each on their own.
async fn serve_http(
    http: Http,
    https: Option<(Http, Tls)>,
    routers: Routers,
    stop: watch::Receiver<bool>,
    throttle: Arc<Throttle>,
) {
    let Http { listener, places } = http;
    let Some((https, tls)) = https else {
        return http::serve(listener, None, routers.together(), places, stop, throttle).await;
    };
    let (machines, people) = routers.apart(https.listener.local_addr().map_or(0, |address| address.port()));
    let (stopping, logs) = (stop.clone(), Arc::clone(&throttle));
    let people = http::serve(https.listener, Some(tls.acceptor), people, https.places, stopping, logs);
    tokio::join!(http::serve(listener, None, machines, places, stop, throttle), people);
}

/// What an operator may send; from here on, none of it ends the process by itself.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup()).context("SIGHUP")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
        })
    }
}

/// Until an operator wants an end, or a service comes to one.
async fn until_stopped(
    shared: &Shared,
    signals: &mut Signals,
    services: &mut JoinSet<Result<()>>,
) -> Result<()> {
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => match shared.conf.reload(&shared.catalogue) {
                Ok(()) => tracing::info!("ezio.conf was read again"),
                Err(e) => tracing::error!("ezio.conf was not read again, the old one holds: {e:#}"),
            },
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            Some(ended) = services.join_next() => return ended.context("a service ended")?,
        }
    }
}
