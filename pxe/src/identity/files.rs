//! The files that an `ezio.conf` names for identities: read and checked with it, so that a mistake in them shows when the
//! server starts, and not when the first machine asks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_image::conf::{Conf, Settings, Windows};
use ezio_image::identity::hosts::Hosts;
use ezio_image::identity::template::{HOSTNAME, Template};

use super::Has;
use super::drivers::Drivers;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct IdentityFiles {
    folder: PathBuf,
    hosts: BTreeMap<PathBuf, Hosts>,
    unattends: BTreeMap<PathBuf, Template>,
    drivers: BTreeMap<PathBuf, Drivers>,
}

/// What a conf names of the files beside it, each as it is written there.
pub(crate) fn named(conf: &Conf) -> BTreeSet<String> {
    let of = |settings: Settings| {
        let (identity, windows) =
            (settings.identity.unwrap_or_default(), settings.windows.unwrap_or_default());
        let paths = [identity.hosts, windows.unattend, windows.drivers].into_iter().flatten();
        let join = windows.join.map(|template| template.as_str().to_owned());
        paths.map(|path| path.display().to_string()).chain(join).collect::<Vec<_>>()
    };
    conf.levels().flat_map(of).collect()
}

impl IdentityFiles {
    /// Reads what any level of the conf names; `folder` is the conf's own.
    pub(crate) fn read(conf: &Conf, folder: &Path) -> Result<Self> {
        let mut files = Self { folder: folder.to_owned(), ..Self::default() };
        for settings in conf.levels() {
            files.add(&settings)?;
        }
        Ok(files)
    }

    fn add(&mut self, settings: &Settings) -> Result<()> {
        let identity = settings.identity.clone().unwrap_or_default();
        let windows = settings.windows.clone().unwrap_or_default();
        if let Some(path) = &identity.hosts
            && !self.hosts.contains_key(path)
        {
            let hosts = Hosts::parse(&self.text(path)?).with_context(|| path.display().to_string())?;
            self.hosts.insert(path.clone(), hosts);
        }
        if let Some(path) = &windows.unattend
            && !self.unattends.contains_key(path)
        {
            let template = Template::parse(&self.text(path)?).with_context(|| path.display().to_string())?;
            self.unattends.insert(path.clone(), template);
        }
        if let Some(path) = &windows.drivers
            && !self.drivers.contains_key(path)
        {
            let drivers = Drivers::read(&self.folder.join(path)).context("drivers")?;
            self.drivers.insert(path.clone(), drivers);
        }
        let hosts = identity.hosts.as_ref().and_then(|path| self.hosts.get(path));
        let has_column = |name: &str| hosts.is_some_and(|hosts| hosts.has_column(name));
        let check = |what: &str, template: &Template, has_hostname: bool, has: Has| {
            let unknown = |name: &&str| !has.value(name, has_column) || (*name == HOSTNAME && !has_hostname);
            let unknown = template.value_names().find(unknown);
            ensure!(
                unknown.is_none(),
                "{what}: there is no value {{{{{}}}}}: neither does every machine have one nor is there such a column",
                unknown.unwrap_or_default()
            );
            Ok(())
        };
        let named = identity.hostname.is_some() || has_column(HOSTNAME);
        if let Some(template) = &identity.hostname {
            check("hostname", template, has_column(HOSTNAME), Has::default())?;
        }
        if let Some(template) = &windows.join {
            check("join", template, named, Has::default())?;
        }
        if let Some((path, template)) =
            windows.unattend.as_ref().and_then(|path| self.unattends.get_key_value(path))
        {
            check(&path.display().to_string(), template, named, Has::of(&windows))?;
        }
        Ok(())
    }

    fn text(&self, path: &Path) -> Result<String> {
        let path = self.folder.join(path);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// The conf's own.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn hosts(&self, path: &Path) -> Option<&Hosts> {
        self.hosts.get(path)
    }

    pub(super) fn drivers(&self, windows: &Windows) -> Option<&Drivers> {
        self.drivers.get(windows.drivers.as_ref()?)
    }

    /// A block of a driver's file, by the file's hash.
    pub(crate) fn driver_block(&self, sha256: &str, number: u64) -> io::Result<Option<Vec<u8>>> {
        for drivers in self.drivers.values() {
            if let Some(block) = drivers.block(sha256, number)? {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    pub(super) fn unattend(&self, windows: &Windows) -> Option<&Template> {
        self.unattends.get(windows.unattend.as_ref()?)
    }
}
