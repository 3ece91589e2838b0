//! The room's `ezio.conf`: the operator's file, checked at start and at SIGHUP, or one made up where there is just
//! one image, of one disk or of several.

mod put;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use ezio_contract::urls;
use ezio_image::checksums::sha256_hex;
use ezio_image::conf::{Conf, ConfError, ImageRef, Orders, Over, Settings};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use put::PutError;

use crate::catalogue::Catalogue;
use crate::fleet::{Fleet, Machine, Meant};
use crate::identity::IdentityFiles;
use crate::whole;

/// What is wrong with a text that is to be an `ezio.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Mistake {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Mistake {
    /// Where this stands in the text, if it stands there as it is.
    fn at(text: &str, what: &str, message: String) -> Self {
        let line = text.lines().position(|line| line.contains(what)).map_or(1, |at| at + 1);
        Self { line, column: 1, message }
    }
}

impl From<ConfError> for Mistake {
    fn from(error: ConfError) -> Self {
        Self { line: error.line, column: error.column, message: error.message }
    }
}

/// A conf as it is served.
#[derive(Debug)]
pub(crate) struct ServedConf {
    /// As the operator wrote it.
    text: Bytes,
    /// Does it leave it to us to say where reports go?
    lacks_report: bool,
    /// The operator's signature, beside the file.
    signature: Option<Bytes>,
    /// As it was read.
    pub(crate) conf: Conf,
    /// What it names for the identities of machines.
    pub(crate) files: IdentityFiles,
    /// For people: where it comes from.
    pub(crate) origin: String,
}

impl ServedConf {
    /// Where this machine's orders stand: `ezio.conf, its entry for MAC 52:54:00:12:34:56, line 14`.
    fn place_of(&self, machine: &Machine, orders: &Orders) -> String {
        let entry = self.conf.entry_for(&machine.identity);
        let text = String::from_utf8_lossy(&self.text);
        let is_entry = |line: &&str| line.trim_start().starts_with("[[machine]]");
        let mut entries = text.lines().enumerate().filter(|(_, line)| is_entry(line));
        match entry.and_then(|entry| entries.nth(entry)) {
            Some((line, _)) => format!("{}, line {}", orders.chosen_by, line + 1),
            None => orders.chosen_by.clone(),
        }
    }
}

impl ServedConf {
    /// The conf with orders over it, as far as it has a place for them. A signed one has none.
    fn with(&self, overs: &[Over]) -> Option<Conf> {
        let fits = |over: &&Over| {
            let fits = self.may_lie_over(over);
            if let Err(why) = &fits {
                tracing::warn!("an order for {:?} is left out: {why}", over.machine);
            }
            fits.is_ok()
        };
        let overs: Vec<Over> = overs.iter().filter(fits).cloned().collect();
        (self.signature.is_none() && !overs.is_empty()).then(|| self.conf.clone().with(&overs).ok()).flatten()
    }

    /// A text that is in no place, or what is wrong with it. The files that it names are not looked for: they may lie beside it one
    /// day, and whoever asks may not read every file of this host.
    pub(crate) fn supposed(text: &str, catalogue: &Catalogue) -> Result<Self, Vec<Mistake>> {
        let conf = Conf::parse(text).map_err(|e| vec![Mistake::from(e)])?;
        let mistakes: Vec<Mistake> = unserved(&conf, catalogue)
            .map(|(name, why)| Mistake::at(text, name, format!("this {why}")))
            .collect();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            text: text.to_owned().into(),
            lacks_report: conf.report().is_none(),
            signature: None,
            conf,
            files: IdentityFiles::default(),
            origin: "what is looked at".to_owned(),
        })
    }

    /// As the operator wrote it.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// What this text is told apart by from what stands in its place before or after: its SHA-256.
    pub(crate) fn version(&self) -> String {
        sha256_hex(&self.text)
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// What this machine is told, and where that stands.
    pub(crate) fn orders_of(&self, machine: &Machine) -> Result<(Orders, String), String> {
        let below = self.conf.orders_for(&machine.identity, None);
        let (Some(order), Some(over)) = (&machine.order, machine.over()) else {
            let orders = below.map_err(|e| e.to_string())?;
            let place = self.place_of(machine, &orders);
            return Ok((orders, place));
        };
        self.may_lie_over(&over)?;
        let place = below
            .map_or_else(|_| "ezio.conf, which does not name it".to_owned(), |o| self.place_of(machine, &o));
        let orders = self.conf.clone().with(&[over])?.orders_for(&machine.identity, None);
        orders.map(|orders| (orders, format!("{}, over {place}", order.source))).map_err(|e| e.to_string())
    }

    /// Has the conf a place for this order?
    pub(crate) fn may_lie_over(&self, over: &Over) -> Result<(), String> {
        match self.signature {
            Some(_) if over.image.is_none() && over.end.is_none() => Ok(()),
            Some(_) => Err("ezio.conf is signed: what is ordered beside it no machine would take".to_owned()),
            None => self.conf.clone().with(std::slice::from_ref(over)).map(drop),
        }
    }
}

/// The conf that holds now; `None` where there is none.
#[derive(Debug)]
pub(crate) struct RoomConf {
    path: Option<PathBuf>,
    current: RwLock<Option<Arc<ServedConf>>>,
    /// Held while the file is read or written, so that what holds is what was read or written last.
    changes: Mutex<()>,
}

impl RoomConf {
    /// Reads the operator's file, or makes a conf for the one image.
    pub(crate) fn open(path: Option<&Path>, catalogue: &Catalogue) -> Result<Self> {
        let current = match path {
            Some(path) => Some(read(path, catalogue)?),
            None => made_up(catalogue),
        };
        let current = RwLock::new(current.map(Arc::new));
        Ok(Self { path: path.map(Path::to_owned), current, changes: Mutex::default() })
    }

    /// Reads the operator's file again. With a mistake in it, the old one stays.
    pub(crate) fn reload(&self, catalogue: &Catalogue) -> Result<()> {
        let path = self.path.as_deref().context("there is no --conf file to read again")?;
        let _one = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        self.hold(read(path, catalogue)?);
        Ok(())
    }

    /// From now on this holds.
    fn hold(&self, conf: ServedConf) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(conf));
    }

    /// Those who are meant now: names in place of a group.
    pub(crate) fn meant(&self, meant: &Meant, fleet: &Fleet) -> Meant {
        fleet.named(meant, self.current().as_deref().map(|conf| &conf.conf))
    }

    pub(crate) fn current(&self) -> Option<Arc<ServedConf>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As a client gets it that reaches this server at `base`: with orders that lie over it, and with the address for reports, where none is set.
    pub(crate) fn text(&self, base: &str, overs: &[Over]) -> Option<Bytes> {
        let conf = self.current()?;
        let with = conf.with(overs).map(|conf| Bytes::from(conf.to_toml()));
        let text = with.as_ref().unwrap_or(&conf.text);
        if !conf.lacks_report {
            return Some(text.clone());
        }
        // Below a line of ours, an editor's byte order mark would be an error.
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        Some([format!("report = \"{base}/{}\"\n", urls::REPORT).as_bytes(), text].concat().into())
    }

    /// The operator's signature (minisign).
    pub(crate) fn signature(&self) -> Option<Bytes> {
        self.current()?.signature.clone()
    }
}

fn read(path: &Path, catalogue: &Catalogue) -> Result<ServedConf> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let conf = Conf::parse(&text).with_context(|| format!("in {}", path.display()))?;
    if let Some((_, why)) = unserved(&conf, catalogue).next() {
        bail!("{} {why}", path.display());
    }
    let signature_path = signature_of(path);
    let signature = match std::fs::read(&signature_path) {
        Ok(bytes) => Some(Bytes::from(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(e).with_context(|| format!("reading {}", signature_path.display())),
    };
    let files =
        IdentityFiles::read(&conf, whole::folder(path)).with_context(|| format!("in {}", path.display()))?;
    // A signed file is served as it is: any change would break the signature.
    let lacks_report = conf.report().is_none() && signature.is_none();
    let origin = path.display().to_string();
    Ok(ServedConf { text: text.into(), lacks_report, signature, conf, files, origin })
}

/// Where the operator's signature of it lies, if there is one.
fn signature_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}{}", path.display(), urls::SIGNATURE))
}

/// Images that it names and that are not served, and what is to be said of each.
fn unserved<'a>(conf: &'a Conf, catalogue: &Catalogue) -> impl Iterator<Item = (&'a str, String)> {
    let known: Vec<&str> = catalogue.names().collect();
    let why = |name: &str| {
        let served = known.join(", ");
        format!("names the image {name:?}, which is not served here (served: {served})")
    };
    let names = conf.images().into_iter().filter_map(ImageRef::name);
    let found: Vec<_> = names.filter(|name| !known.contains(name)).map(|name| (name, why(name))).collect();
    found.into_iter()
}

fn made_up(catalogue: &Catalogue) -> Option<ServedConf> {
    let name = catalogue.only()?;
    let disks = if catalogue.sets.is_empty() { "the one disk" } else { "the disks that its images fit" };
    let conf = Conf::for_image(ImageRef::Name(name.to_owned()), Settings::default());
    Some(ServedConf {
        text: conf.to_toml().into(),
        lacks_report: true,
        signature: None,
        conf,
        files: IdentityFiles::default(),
        origin: format!("made up: {name:?} to {disks}, then reboot"),
    })
}
