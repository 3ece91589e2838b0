//! What TFTP serves: the same tree as HTTP, for firmware and programs that know nothing else.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ezio_image::report::MachineId;
use ezio_netproto::tftp::server::{File, Handler, Outcome};

use crate::boot::{grub_config, grub_script, ipxe_identify, normal_mac};
use crate::catalogue::GRUB;
use crate::server::App;

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent_files: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// How long GRUB may take from its own arrival to its first file.
const GRUB_STARTS: Duration = Duration::from_secs(20);
/// Machines that are watched on that way at a time.
const MAX_WATCHED: usize = 1024;

/// Machines that have loaded GRUB, until GRUB has asked for its configuration. Where a DHCP server names another
/// boot server than this one, GRUB turns there, and nobody would know why the machine stands still.
#[derive(Debug, Default)]
pub(crate) struct GrubWatch(Mutex<HashSet<IpAddr>>);

impl GrubWatch {
    fn watched(&self) -> MutexGuard<'_, HashSet<IpAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_grub(app: &Arc<App>, client: IpAddr) {
        {
            let mut watched = app.grub.watched();
            if watched.len() >= MAX_WATCHED || !watched.insert(client) {
                return;
            }
        }
        let app = Arc::clone(app);
        tokio::spawn(async move {
            tokio::time::sleep(GRUB_STARTS).await;
            if app.grub.watched().remove(&client) {
                app.throttle.warn("grub", || {
                    format!(
                        "{client} has loaded GRUB, but GRUB does not ask here for its configuration: it takes the boot \
                         server from the DHCP server that leased the address. Set next-server to {} there",
                        app.base.trim_start_matches("http://").split(':').next().unwrap_or_default()
                    )
                });
            }
        });
    }
}

/// Serves the catalogue.
pub(crate) struct Files(pub(crate) Arc<App>);

impl Handler for Files {
    fn open(&self, path: &str, client: SocketAddr) -> Option<File> {
        let path = normal(path);
        if path == "grub/grub.cfg" {
            self.0.grub.watched().remove(&client.ip());
        }
        if let Some(mac) = machine_of(&path) {
            // GRUB boots this machine. Taking note of it may wait for the database, the answer does not.
            let app = Arc::clone(&self.0);
            let id = MachineId { macs: vec![mac], ..MachineId::default() };
            tokio::spawn(async move { app.fleet.boots(&id, client.ip()).await });
        }
        find(&self.0, &path).map(|bytes| Arc::new(bytes) as File)
    }

    fn ended(&self, path: &str, client: SocketAddr, outcome: Outcome) {
        let counters = &self.0.tftp;
        match outcome {
            Outcome::Sent { bytes } => {
                counters.sent_files.fetch_add(1, Ordering::Relaxed);
                counters.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                tracing::info!("tftp: {client} has {path} ({bytes} bytes)");
                if normal(path) == GRUB {
                    GrubWatch::has_grub(&self.0, client.ip());
                }
            }
            // Boot programs try many names that need not exist.
            Outcome::NotFound => tracing::debug!("tftp: {client} asks for {path:?}, which is not served"),
            Outcome::Cancelled(why) => tracing::debug!("tftp: {client} cancelled {path}: {why}"),
            Outcome::Silent { bytes } => {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                self.0
                    .throttle
                    .warn("tftp", || format!("{client} fell silent after {bytes} bytes of {path:?}"));
            }
            Outcome::Refused(why) | Outcome::Garbage(why) | Outcome::Failed(why) => {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                self.0.throttle.warn("tftp", || format!("{client}: {why}"));
            }
        }
    }
}

/// Firmware writes paths with a slash, several, backslashes, or none.
fn normal(path: &str) -> String {
    path.replace('\\', "/").trim_start_matches('/').trim_start_matches("./").to_owned()
}

/// The machine whose own GRUB file this is, by its MAC.
fn machine_of(path: &str) -> Option<String> {
    normal_mac(path.strip_prefix("grub/machine-")?.strip_suffix(".cfg")?)
}

/// The file of a name. Names are looked up, never opened, so `..` leads nowhere.
fn find(app: &App, path: &str) -> Option<Bytes> {
    let base = &app.base;
    if let Some(bytes) = app.catalogue.netboot.as_ref().and_then(|netboot| netboot.file(path)) {
        return Some(bytes.clone());
    }
    match path {
        "ezio.conf" => return app.conf.text_with_report(),
        "ezio.conf.minisig" => return app.conf.signature(),
        // iPXE asks for autoexec.ipxe by itself, in the directory that it came from.
        "boot.ipxe" | "autoexec.ipxe" => return Some(ipxe_identify(base).into()),
        "grub/grub.cfg" => return Some(grub_config().into()),
        _ => {}
    }
    if let Some(mac) = machine_of(path) {
        let boot = app.fleet.boot_of(&MachineId { macs: vec![mac.clone()], ..MachineId::default() });
        return Some(grub_script(&app.boot_site(base), &mac, boot).into());
    }
    let (image, file) = path.strip_prefix("images/")?.split_once('/')?;
    app.catalogue.image(image)?.file(file, &format!("{base}/announce"))
}
