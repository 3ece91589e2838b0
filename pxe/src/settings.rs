//! What the operator sets, on the command line or in a file: one struct for both. The command line wins over the
//! file, key by key. [`ServeArgs::resolve`] checks it all and fills in the defaults.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use ezio_contract::ports;
use ezio_image::conf::units::{parse_duration, parse_size};
use serde::Deserialize;

use crate::dhcp::{Dhcp, DhcpRange, Pool};
use crate::fleet::{AfterAttempts, DEFAULT_ATTEMPTS, Rules, Unknown};
use crate::hooks;
use crate::sites::SiteRange;
use crate::tls::Given;
use crate::wake;

/// Where leases and machines are kept, unless said otherwise.
pub(crate) const DEFAULT_STATE: &str = "/var/lib/ezio";

/// Default port of the page: what 8080 is to 80 this is to 443, which is often taken, and for which a plain user has no right.
const HTTPS: u16 = 8443;

/// How much of DHCP to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DhcpMode {
    /// Say what to boot, beside a DHCP server that hands out the addresses
    Proxy,
    /// Hand out addresses too
    Full,
    /// Nothing
    Off,
}

/// `ezio-pxe serve`. In the file of --config the names are the same, without the dashes.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct ServeArgs {
    /// Image directories; each is served under its base name. One that Clonezilla saved is imported into the directory of
    /// --state first, once
    #[arg(value_name = "IMAGE_DIR")]
    images: Vec<PathBuf>,
    /// Read settings from this TOML file; what the command line says wins
    #[arg(short, long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Directory with vmlinuz, initrd.img and the network boot programs, as `image-builder netboot` makes it; may be
    /// repeated, one directory an architecture
    #[arg(long, value_name = "DIST")]
    netboot: Vec<PathBuf>,
    /// Network interface of the room; DHCP is answered on this one only
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// How much of DHCP to do [default: proxy]
    #[arg(long, value_name = "MODE")]
    dhcp: Option<DhcpMode>,
    /// With --dhcp full: addresses to hand out, FIRST-LAST[,mask=BITS][,router=ADDR]; may be repeated, one range a network
    /// [default: the upper three quarters of the interface's network]
    ///
    /// Ranges of other networks than the interface's are for machines behind relays, and need mask and router.
    #[arg(long, value_name = "RANGE")]
    dhcp_range: Vec<DhcpRange>,
    /// With --dhcp full: default router to name, for the range in whose network it is
    #[arg(long, value_name = "ADDR")]
    router: Option<Ipv4Addr>,
    /// With --dhcp full: name server to name; may be repeated
    #[arg(long, value_name = "ADDR")]
    dns: Vec<Ipv4Addr>,
    /// With --dhcp full: how long a lease holds [default: 1h]
    #[arg(long, value_name = "TIME")]
    lease_time: Option<String>,
    /// Address to serve on [default: the interface's first IPv4 address, else all addresses]
    #[arg(long, value_name = "ADDR")]
    listen: Option<IpAddr>,
    /// TCP port of HTTP, for machines: boot files, configuration, reports, torrents, tracker. Browsers are led from there to
    /// --https-port [default: 8080]
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// TCP port of the page and the API, by TLS [default: 8443]
    #[arg(long, value_name = "PORT")]
    https_port: Option<u16>,
    /// The certificate of --https-port, and those that sign it, as PEM [default: one that is made and kept in --state]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Serve page and API unencrypted, on --http-port, too: behind a proxy that has TLS, and where nobody can read along
    #[arg(long)]
    no_tls: bool,
    /// UDP port of TFTP [default: 69; with --dhcp off: no TFTP unless this is given]
    #[arg(long, value_name = "PORT")]
    tftp_port: Option<u16>,
    /// TCP port of the seeder [default: 6881]
    #[arg(long, value_name = "PORT")]
    peer_port: Option<u16>,
    /// The room's ezio.conf [default: the one image to the one disk, then reboot]
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// Directory for the database of machines, leases and accounts [default: /var/lib/ezio; with --dhcp off: not kept]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Machines behind one switch: NAME=FIRST-LAST or NAME=NETWORK/BITS; may be repeated
    ///
    /// Bytes then cross the link between switches about once, not once a machine.
    #[arg(long, value_name = "NAME=RANGE")]
    site: Vec<SiteRange>,
    /// Send at most so many bytes a second, such as 50M
    #[arg(long, value_name = "RATE")]
    limit_up: Option<String>,
    /// More arguments for the kernel of every client, such as "console=ttyS0,115200"
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    append: Option<String>,
    /// Once nobody lacks an image any more, how long its machines go on serving it [default: 0s]
    ///
    /// Whoever comes later gets everything from the server, which spares the others the wait.
    #[arg(long, value_name = "TIME")]
    linger: Option<String>,
    /// After how long without a word a machine that works counts as silent [default: 30s]
    #[arg(long, value_name = "TIME")]
    silent_after: Option<String>,
    /// What becomes of a machine that was never deployed here, and that nobody has approved [default: deploy]
    ///
    /// Whatever it is, disks that hold something else than a deployment of this server are only overwritten where
    /// ezio.conf or an approval says so.
    #[arg(long, value_name = "WHAT")]
    unknown: Option<Unknown>,
    /// After how many failed runs in a row a machine is not deployed again by itself [default: 3]
    #[arg(long, value_name = "COUNT")]
    attempts: Option<u32>,
    /// What becomes of it then [default: wait]
    #[arg(long, value_name = "WHAT")]
    after_attempts: Option<AfterAttempts>,
    /// UDP port of the packets that wake machines [default: 9]
    #[arg(long, value_name = "PORT")]
    wake_port: Option<u16>,
    /// Tell this address, by a POST of JSON, of each run that has ended: well, failed or lost; may be repeated
    #[arg(long, value_name = "URL")]
    hook: Vec<String>,
    /// With --hook: sign what is sent with the first line of this file (HMAC-SHA256, in X-Hub-Signature-256)
    #[arg(long, value_name = "FILE")]
    hook_secret: Option<PathBuf>,
    /// Let everybody in who reaches the server, without a login; only where it serves on loopback (--listen 127.0.0.1)
    #[arg(long)]
    no_auth: bool,
}

/// The page on a port of its own.
#[derive(Debug)]
pub(crate) struct Https {
    pub(crate) port: u16,
    /// None: a certificate is made.
    pub(crate) given: Option<Given>,
}

/// Settings, checked and complete.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) images: Vec<PathBuf>,
    pub(crate) netboot: Vec<PathBuf>,
    pub(crate) interface: Option<String>,
    pub(crate) dhcp: Dhcp,
    pub(crate) listen: Option<IpAddr>,
    pub(crate) http_port: u16,
    /// None: page and API are on the port of machines, unencrypted.
    pub(crate) https: Option<Https>,
    pub(crate) tftp_port: Option<u16>,
    pub(crate) peer_port: u16,
    pub(crate) conf: Option<PathBuf>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) sites: Vec<SiteRange>,
    pub(crate) limit_up: Option<u64>,
    pub(crate) append: String,
    pub(crate) linger: Duration,
    pub(crate) silent_after: Duration,
    pub(crate) rules: Rules,
    pub(crate) wake_port: u16,
    pub(crate) hooks: Vec<hooks::Address>,
    pub(crate) hook_secret: Option<hooks::Secret>,
    pub(crate) no_auth: bool,
}

impl ServeArgs {
    /// Reads the file of --config, if one is given, and checks everything.
    pub(crate) fn resolve(self) -> Result<Settings> {
        let args = match &self.config {
            Some(path) => {
                let file = read_file(path)?;
                self.over(file)
            }
            None => self,
        };
        args.check()
    }

    /// These settings, and those of `file` where these are silent.
    fn over(self, file: Self) -> Self {
        fn list<T>(mine: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if mine.is_empty() { theirs } else { mine }
        }
        Self {
            images: list(self.images, file.images),
            config: self.config,
            netboot: list(self.netboot, file.netboot),
            interface: self.interface.or(file.interface),
            dhcp: self.dhcp.or(file.dhcp),
            dhcp_range: list(self.dhcp_range, file.dhcp_range),
            router: self.router.or(file.router),
            dns: list(self.dns, file.dns),
            lease_time: self.lease_time.or(file.lease_time),
            listen: self.listen.or(file.listen),
            http_port: self.http_port.or(file.http_port),
            https_port: self.https_port.or(file.https_port),
            tls_certificate: self.tls_certificate.or(file.tls_certificate),
            tls_key: self.tls_key.or(file.tls_key),
            no_tls: self.no_tls || file.no_tls,
            tftp_port: self.tftp_port.or(file.tftp_port),
            peer_port: self.peer_port.or(file.peer_port),
            conf: self.conf.or(file.conf),
            state: self.state.or(file.state),
            site: list(self.site, file.site),
            limit_up: self.limit_up.or(file.limit_up),
            append: self.append.or(file.append),
            linger: self.linger.or(file.linger),
            silent_after: self.silent_after.or(file.silent_after),
            unknown: self.unknown.or(file.unknown),
            attempts: self.attempts.or(file.attempts),
            after_attempts: self.after_attempts.or(file.after_attempts),
            wake_port: self.wake_port.or(file.wake_port),
            hook: list(self.hook, file.hook),
            hook_secret: self.hook_secret.or(file.hook_secret),
            no_auth: self.no_auth || file.no_auth,
        }
    }

    fn check(self) -> Result<Settings> {
        let mode = self.dhcp.unwrap_or(DhcpMode::Proxy);
        ensure!(!self.images.is_empty(), "no image: name at least one image directory to serve");
        if mode != DhcpMode::Off && self.netboot.is_empty() {
            bail!(
                "--netboot is missing: clients need the directory that `make netboot` makes (or give --dhcp off, \
                 to serve images only)"
            );
        }
        let append = self.append.clone().unwrap_or_default();
        check_append(&append)?;
        let limit_up =
            self.limit_up.as_deref().map(|text| parsed("limit-up", text, parse_size)).transpose()?;
        let duration = |name: &str, text: &Option<String>, default_s: u64| match text {
            Some(text) => parsed(name, text, parse_duration),
            None => Ok(Duration::from_secs(default_s)),
        };
        let lease_time = duration("lease-time", &self.lease_time, 3600)?;
        ensure!(
            lease_time >= Duration::from_secs(120),
            "--lease-time: leases shorter than 2 minutes help nobody"
        );
        let rules = Rules {
            unknown: self.unknown.unwrap_or_default(),
            attempts: self.attempts.unwrap_or(DEFAULT_ATTEMPTS),
            after_attempts: self.after_attempts.unwrap_or_default(),
        };
        let hooks =
            self.hook.iter().map(|text| parsed("hook", text, str::parse)).collect::<Result<Vec<_>>>()?;
        ensure!(
            self.hook_secret.is_none() || !hooks.is_empty(),
            "--hook-secret goes with --hook: nobody is told"
        );
        ensure!(rules.attempts > 0, "--attempts: 0 would deploy no machine at all");
        Ok(Settings {
            rules,
            linger: duration("linger", &self.linger, 0)?,
            silent_after: duration("silent-after", &self.silent_after, 30)?,
            dhcp: self.dhcp_of(mode, lease_time)?,
            https: self.https()?,
            tftp_port: if mode == DhcpMode::Off {
                self.tftp_port
            } else {
                Some(self.tftp_port.unwrap_or(69))
            },
            state: self.state.or_else(|| (mode != DhcpMode::Off).then(|| DEFAULT_STATE.into())),
            images: self.images,
            netboot: self.netboot,
            interface: self.interface,
            listen: self.listen,
            http_port: self.http_port.unwrap_or(ports::HTTP),
            peer_port: self.peer_port.unwrap_or(ports::PEER),
            conf: self.conf,
            sites: self.site,
            limit_up,
            append,
            wake_port: self.wake_port.unwrap_or(wake::PORT),
            hooks,
            hook_secret: self.hook_secret.as_deref().map(hooks::Secret::read).transpose()?,
            no_auth: self.no_auth,
        })
    }

    fn https(&self) -> Result<Option<Https>> {
        let given = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(Given { certificate: certificate.clone(), key: key.clone() })
            }
            (None, None) => None,
            _ => bail!("--tls-certificate and --tls-key go together"),
        };
        if self.no_tls {
            ensure!(
                self.https_port.is_none() && given.is_none(),
                "--no-tls leaves no use for --https-port, --tls-certificate and --tls-key: leave it away, or them"
            );
            return Ok(None);
        }
        Ok(Some(Https { port: self.https_port.unwrap_or(HTTPS), given }))
    }

    fn dhcp_of(&self, mode: DhcpMode, lease_time: Duration) -> Result<Dhcp> {
        if mode != DhcpMode::Full {
            let pool_keys = !self.dhcp_range.is_empty() || self.router.is_some() || !self.dns.is_empty();
            ensure!(
                !pool_keys && self.lease_time.is_none(),
                "--dhcp-range, --router, --dns and --lease-time go with --dhcp full: in other modes no address is handed out"
            );
        }
        if mode == DhcpMode::Off {
            return Ok(Dhcp::Off);
        }
        let interface = self.interface.clone().context(
            "--interface is missing: DHCP is answered on one interface only (`ip -br addr` lists them)",
        )?;
        if mode == DhcpMode::Proxy {
            return Ok(Dhcp::Proxy { interface });
        }
        let ranges = self.dhcp_range.clone();
        let pool = Pool { ranges, router: self.router, dns: self.dns.clone(), lease_time };
        Ok(Dhcp::Full { interface, pool })
    }
}

fn read_file(path: &Path) -> Result<ServeArgs> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

fn parsed<T, E: std::fmt::Display>(
    name: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T> {
    parse(text).map_err(|e| anyhow::anyhow!("--{name}: {e}"))
}

/// The arguments become part of scripts of iPXE and GRUB, which would read some characters as their own.
fn check_append(append: &str) -> Result<()> {
    let bad = append.chars().find(|c| !c.is_ascii_graphic() && *c != ' ' || "\"'`$\\;{}&|<>#".contains(*c));
    match bad {
        Some(c) => bail!("--append: {c:?} cannot stand in kernel arguments here"),
        None => Ok(()),
    }
}
