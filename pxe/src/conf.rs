//! The room's `ezio.conf`: the operator's file, checked at start and at SIGHUP, or one made up where there is just
//! one image.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use ezio_image::conf::{Conf, ImageRef, Settings};

use crate::catalogue::Catalogue;

/// A conf as it is served.
#[derive(Debug)]
pub(crate) struct ServedConf {
    /// As the operator wrote it.
    text: Bytes,
    /// With an address for reports, for those who fetch it over TFTP and cannot derive one.
    with_report: Bytes,
    /// The operator's signature, beside the file.
    signature: Option<Bytes>,
    /// For people: where it comes from.
    pub(crate) origin: String,
}

/// The conf that holds now; `None` where there is none.
#[derive(Debug)]
pub(crate) struct RoomConf {
    path: Option<PathBuf>,
    report_url: String,
    current: RwLock<Option<Arc<ServedConf>>>,
}

impl RoomConf {
    /// Reads the operator's file, or makes a conf for the one image.
    pub(crate) fn open(path: Option<&Path>, catalogue: &Catalogue, report_url: String) -> Result<Self> {
        let current = match path {
            Some(path) => Some(read(path, catalogue, &report_url)?),
            None => made_up(catalogue, &report_url),
        };
        let current = RwLock::new(current.map(Arc::new));
        Ok(Self { path: path.map(Path::to_owned), report_url, current })
    }

    /// Reads the operator's file again. With a mistake in it, the old one stays.
    pub(crate) fn reload(&self, catalogue: &Catalogue) -> Result<()> {
        let path = self.path.as_deref().context("there is no --conf file to read again")?;
        let conf = read(path, catalogue, &self.report_url)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(conf));
        Ok(())
    }

    pub(crate) fn current(&self) -> Option<Arc<ServedConf>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For HTTP: the client derives the address for reports from where it got the conf.
    pub(crate) fn text(&self) -> Option<Bytes> {
        self.current().map(|conf| conf.text.clone())
    }

    /// The operator's signature (minisign).
    pub(crate) fn signature(&self) -> Option<Bytes> {
        self.current()?.signature.clone()
    }

    /// For TFTP.
    pub(crate) fn text_with_report(&self) -> Option<Bytes> {
        self.current().map(|conf| conf.with_report.clone())
    }
}

fn read(path: &Path, catalogue: &Catalogue, report_url: &str) -> Result<ServedConf> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let conf = Conf::parse(&text).with_context(|| format!("in {}", path.display()))?;
    for image in conf.images() {
        if let ImageRef::Name(name) = image {
            let known: Vec<&str> = catalogue.images.iter().map(|i| i.name.as_str()).collect();
            ensure!(
                catalogue.image(name).is_some(),
                "{} names the image {name:?}, which is not served here (served: {})",
                path.display(),
                known.join(", ")
            );
        }
    }
    let signature_path = PathBuf::from(format!("{}.minisig", path.display()));
    let signature = match std::fs::read(&signature_path) {
        Ok(bytes) => Some(Bytes::from(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(e).with_context(|| format!("reading {}", signature_path.display())),
    };
    Ok(serve(&conf, Bytes::from(text), signature, report_url, path.display().to_string()))
}

fn made_up(catalogue: &Catalogue, report_url: &str) -> Option<ServedConf> {
    let [image] = catalogue.images.as_slice() else { return None };
    let conf = Conf::for_image(ImageRef::Name(image.name.clone()), Settings::default());
    let text = Bytes::from(conf.to_toml());
    Some(serve(
        &conf,
        text,
        None,
        report_url,
        format!("made up: {:?} to the one disk, then reboot", image.name),
    ))
}

fn serve(conf: &Conf, text: Bytes, signature: Option<Bytes>, report_url: &str, origin: String) -> ServedConf {
    let with_report = match conf.report() {
        Some(_) => text.clone(),
        // A signed file is served as it is: any change would break the signature.
        None if signature.is_some() => text.clone(),
        None => Bytes::from(conf.clone().with_report(report_url).to_toml()),
    };
    ServedConf { text, with_report, signature, origin }
}
