//! The server as a whole: opens what it serves, takes its ports, says what it serves, runs, and stops cleanly.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ezio_image::conf::units::human_size;
use ezio_image::report::Progress;
use ezio_netproto::tftp::server::Server as TftpServer;
use ezio_swarm::{Config as SwarmConfig, Content, Role, Swarm};
use rustix::process::{getpriority_process, setpriority_process};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::boot::{Site, base_url};
use crate::catalogue::Catalogue;
use crate::cli::{Cli, Command};
use crate::conf::RoomConf;
use crate::dhcp::answer::{Me, Responder};
use crate::dhcp::serve::Sockets;
use crate::fleet::{Fleet, FleetView, ImageView, LEASES, Store};
use crate::settings::{Dhcp, Settings, default_range};
use crate::throttle::Throttle;
use crate::tracker::Tracker;
use crate::{client, dhcp, fleet, http, sites, tftp};

/// Longest time for stopping; what has not ended by then is cut.
const STOP: Duration = Duration::from_secs(10);
/// Memory for pieces that the seeder keeps for upload, in bytes.
const SEEDER_MEMORY: u64 = 512 << 20;
const SEEDER_CONNECTIONS: usize = 500;
/// Of the server's threads, as setpriority(2) counts: 0 is usual, -20 goes first.
const PRIORITY: i32 = -10;

/// What every request may need; shared by all protocols.
pub(crate) struct App {
    pub(crate) catalogue: Catalogue,
    pub(crate) conf: RoomConf,
    pub(crate) fleet: Fleet,
    tracker: Mutex<Tracker>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) tftp: tftp::Counters,
    pub(crate) grub: tftp::GrubWatch,
    /// `http://ADDRESS:PORT`, as clients reach us.
    pub(crate) base: String,
    pub(crate) seeder_port: u16,
    pub(crate) token: Option<String>,
    append: String,
    seeder: watch::Receiver<Progress>,
}

impl App {
    pub(crate) fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn boot_site(&self, base: &str) -> Site {
        Site { base: base.to_owned(), append: self.append.clone() }
    }

    pub(crate) fn view(&self) -> FleetView {
        let (machines, counts) = self.fleet.view();
        let images = self.catalogue.images.iter();
        FleetView {
            now: fleet::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            images: images
                .map(|image| ImageView { name: image.name.clone(), payload_bytes: image.payload_bytes() })
                .collect(),
            seeder: *self.seeder.borrow(),
            counts,
            machines,
        }
    }
}

/// The whole room waits for what only the server has: where others share its cores, it goes first, unless it was started
/// with another priority than the usual, or lacks the right. Threads inherit it, so it comes before all of them.
fn go_first() {
    if getpriority_process(None) == Ok(0)
        && let Err(error) = setpriority_process(None, PRIORITY)
    {
        tracing::debug!("keeping the usual priority: {error}");
    }
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    if matches!(cli.command, Command::Serve(_)) {
        go_first();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve(args.resolve()?).await,
            Command::Status(args) => client::status(&args).await,
            Command::Again(args) => client::again(&args).await,
        }
    });
    // A write to the database may still be under way.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// Addresses of ours: where to listen, and what clients call us.
struct Addresses {
    listen: IpAddr,
    advertised: IpAddr,
    mask: Ipv4Addr,
}

fn addresses(settings: &Settings) -> Result<Addresses> {
    let found = match &settings.interface {
        Some(interface) => Some(interface_address(|name, _| name == interface)?.with_context(|| {
            format!("interface {interface} has no IPv4 address: give it one, such as `ip addr add 10.77.0.1/24 dev {interface}`")
        })?),
        None => None,
    };
    let all = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let listen = settings.listen.or(found.map(|(address, _)| address.into())).unwrap_or(all);
    let mask = found.map_or(Ipv4Addr::new(255, 255, 255, 0), |(_, mask)| mask);
    let any = || -> Result<IpAddr> {
        let address = interface_address(|_, address| !address.is_loopback())?;
        Ok(address.map_or(Ipv4Addr::LOCALHOST, |(address, _)| address).into())
    };
    let advertised = match (listen.is_unspecified(), found) {
        (false, _) => listen,
        (true, Some((address, _))) => address.into(),
        (true, None) => any()?,
    };
    Ok(Addresses { listen, advertised, mask })
}

/// First IPv4 address that fits, with its mask.
fn interface_address(fits: impl Fn(&str, Ipv4Addr) -> bool) -> Result<Option<(Ipv4Addr, Ipv4Addr)>> {
    let interfaces = nix::ifaddrs::getifaddrs().context("listing network interfaces")?;
    let mut named = interfaces.filter_map(|interface| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        let mask = interface.netmask.and_then(|mask| Some(mask.as_sockaddr_in()?.ip()));
        Some((interface.interface_name, address, mask.unwrap_or(Ipv4Addr::new(255, 255, 255, 0))))
    });
    Ok(named.find(|(name, address, _)| fits(name, *address)).map(|(_, address, mask)| (address, mask)))
}

/// Everything that listens, before it does anything.
struct Bound {
    http: TcpListener,
    tftp: Option<TftpServer>,
    dhcp: Option<(Sockets, Responder)>,
    swarm: Swarm,
}

async fn serve(settings: Settings) -> Result<()> {
    let catalogue = {
        let (images, netboot) = (settings.images.clone(), settings.netboot.clone());
        let open = tokio::task::spawn_blocking(move || Catalogue::open(&images, netboot.as_deref()));
        open.await.context("opening what is served")??
    };
    let addresses = addresses(&settings)?;
    let store = settings.state.as_deref().map(Store::open).transpose()?;
    let http = TcpListener::bind((addresses.listen, settings.http_port)).await;
    let http = http.map_err(|e| no_port("HTTP", "--http-port", addresses.listen, settings.http_port, e))?;
    let base = base_url(addresses.advertised, http.local_addr().context("HTTP's own port")?.port());
    let conf = RoomConf::open(settings.conf.as_deref(), &catalogue, format!("{base}/api/report"))?;
    let fleet = Fleet::open(store.clone(), settings.silent_after, settings.linger)?;
    let bound = Bound {
        tftp: bind_tftp(&settings, addresses.listen).await?,
        dhcp: bind_dhcp(&settings, &addresses, &base, &catalogue, store.as_ref())?,
        swarm: start_seeder(&settings, addresses.listen, &catalogue).await?,
        http,
    };
    let torrents = catalogue.torrents().map(|(_, torrent)| torrent.metainfo.info_hash().0);
    let app = Arc::new(App {
        tracker: Mutex::new(Tracker::new(torrents, settings.sites.clone())),
        throttle: Arc::default(),
        tftp: tftp::Counters::default(),
        grub: tftp::GrubWatch::default(),
        seeder_port: bound.swarm.listen_addr().port(),
        seeder: bound.swarm.progress(),
        token: settings.token.clone(),
        append: settings.append.clone(),
        catalogue,
        conf,
        fleet,
        base,
    });
    let lines = describe(&app, &settings, &bound).join("\n");
    // Whoever started us may have stopped reading: that is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "{lines}");
    run_until_stopped(app, bound, store).await
}

fn no_port(what: &str, option: &str, address: IpAddr, port: u16, error: std::io::Error) -> anyhow::Error {
    let place = SocketAddr::new(address, port);
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("another program has it: `ss -lntup` shows which; stop that, or give {option}")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!(
                "ports below 1024 need root or CAP_NET_BIND_SERVICE; or give {option} with a port above 1023"
            )
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: see --listen".to_owned()
        }
        _ => String::new(),
    };
    let error = anyhow::Error::from(error);
    if hint.is_empty() {
        error.context(format!("{what} on {place}"))
    } else {
        error.context(format!("{what} on {place} ({hint})"))
    }
}

async fn bind_tftp(settings: &Settings, listen: IpAddr) -> Result<Option<TftpServer>> {
    let Some(port) = settings.tftp_port else { return Ok(None) };
    let bound = TftpServer::bind(SocketAddr::new(listen, port)).await;
    Ok(Some(bound.map_err(|e| no_port("TFTP", "--tftp-port", listen, port, e))?))
}

fn bind_dhcp(
    settings: &Settings,
    addresses: &Addresses,
    base: &str,
    catalogue: &Catalogue,
    store: Option<&Store>,
) -> Result<Option<(Sockets, Responder)>> {
    let (interface, pool) = match &settings.dhcp {
        Dhcp::Off => return Ok(None),
        Dhcp::Proxy { interface } => (interface, None),
        Dhcp::Full { interface, pool } => (interface, Some(pool.clone())),
    };
    let IpAddr::V4(address) = addresses.advertised else {
        bail!("--listen: DHCP for IPv4 needs an IPv4 address");
    };
    let hint = "it needs root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW, and no other DHCP server on this interface; \
                --dhcp off does without";
    let sockets = Sockets::bind(interface).with_context(|| hint.to_owned())?;
    let me = Me::new(address, addresses.mask, base, catalogue.netboot.as_ref());
    let responder = match pool {
        None => Responder::proxy(me),
        Some(pool) => {
            let range = pool.range.map_or_else(|| default_range(address, addresses.mask), Ok)?;
            tracing::info!("dhcp: handing out {range}");
            let known = store.map(|store| store.load(LEASES)).transpose().context("leases")?;
            Responder::full(me, pool, range, known.unwrap_or_default())
        }
    };
    Ok(Some((sockets, responder)))
}

async fn start_seeder(settings: &Settings, listen: IpAddr, catalogue: &Catalogue) -> Result<Swarm> {
    let contents: Vec<Content> = catalogue
        .torrents()
        .map(|(_, torrent)| Content {
            metainfo: Arc::clone(&torrent.metainfo),
            storage: Arc::clone(&torrent.storage),
            complete: true,
            // Its tracker is in this process and names it anyway.
            trackers: Vec::new(),
        })
        .collect();
    let config = SwarmConfig {
        listen: SocketAddr::new(listen, settings.peer_port),
        role: Role::Server,
        limit_up: settings.limit_up,
        memory: SEEDER_MEMORY,
        max_connections: SEEDER_CONNECTIONS,
        sites: sites::for_swarm(&settings.sites),
        ..SwarmConfig::default()
    };
    Swarm::start(config, contents).await.context("starting the seeder (--peer-port names another port)")
}

/// What is served, and how a client reaches it: for the operator and for scripts.
fn describe(app: &App, settings: &Settings, bound: &Bound) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(text);
    line(format!("ezio-pxe {} serves", env!("CARGO_PKG_VERSION")));
    for image in &app.catalogue.images {
        let torrents = image.torrents.len();
        let plural = if torrents == 1 { "" } else { "s" };
        line(format!(
            "  image      {}: {} in {torrents} torrent{plural}, from {}",
            image.name,
            human_size(image.payload_bytes()),
            image.dir.display()
        ));
    }
    if let Some(netboot) = &app.catalogue.netboot {
        let files: Vec<String> =
            netboot.list().map(|(name, size)| format!("{name} {}", human_size(size as u64))).collect();
        line(format!("  netboot    {}", files.join(", ")));
    }
    match app.conf.current() {
        Some(conf) => line(format!("  ezio.conf  {}", conf.origin)),
        None => line(
            "  ezio.conf  none: with several images, --conf has to say which machine gets which".to_owned(),
        ),
    }
    line("to clients at".to_owned());
    line(format!("  http       {}/", app.base));
    if let Some(tftp) = &bound.tftp {
        line(format!("  tftp       {}", tftp.address()));
    }
    line(format!("  peers      {}", bound.swarm.listen_addr()));
    match &settings.dhcp {
        Dhcp::Off => line(format!(
            "  dhcp       off: clients boot by other means, with ezio.conf={}/ezio.conf",
            app.base
        )),
        Dhcp::Proxy { interface } => {
            line(format!("  dhcp       proxy on {interface}, beside the network's own server"))
        }
        Dhcp::Full { interface, .. } => {
            line(format!("  dhcp       full on {interface}: it hands out the addresses"))
        }
    }
    if let Some(state) = &settings.state {
        line(format!("state in     {}", state.display()));
    }
    line(format!("dashboard    {}/", app.base));
    lines
}

async fn run_until_stopped(app: Arc<App>, bound: Bound, store: Option<Store>) -> Result<()> {
    let (stop, stopping) = watch::channel(false);
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut services: JoinSet<Result<()>> = JoinSet::new();
    if let Some(tftp) = bound.tftp {
        let files = Arc::new(tftp::Files(Arc::clone(&app)));
        services.spawn(async move { tftp.run(files).await.context("TFTP") });
    }
    if let Some((sockets, responder)) = bound.dhcp {
        services.spawn(dhcp::serve::run(sockets, responder, Arc::clone(&app), store));
    }
    let router = http::router(Arc::clone(&app));
    let http = tokio::spawn(http::serve(bound.http, router, stopping, Arc::clone(&app.throttle)));
    let ended = loop {
        tokio::select! {
            _ = hangup.recv() => match app.conf.reload(&app.catalogue) {
                Ok(()) => tracing::info!("ezio.conf was read again"),
                Err(e) => tracing::error!("ezio.conf was not read again, the old one holds: {e:#}"),
            },
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            Some(ended) = services.join_next() => break ended.context("a service ended")?,
        }
    };
    tracing::info!("stopping");
    let _ = stop.send(true);
    services.abort_all();
    let stopped = async {
        let _ = http.await;
        bound.swarm.shutdown().await;
        app.fleet.flush().await
    };
    match tokio::time::timeout(STOP, stopped).await {
        Ok(flushed) => ended.and(flushed),
        Err(_) => ended.and_then(|()| bail!("stopping took longer than {} s and was cut", STOP.as_secs())),
    }
}
