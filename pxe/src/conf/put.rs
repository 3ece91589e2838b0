//! Another text in the place of the `ezio.conf` that holds. It is put there only where nobody loses an edit that was not seen, and
//! where that gives no right that its author had not: a conf names files of this host, which machines then get.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use anyhow::Context;
use nix::unistd::{AccessFlags, access, getegid, geteuid};

use super::{Mistake, RoomConf, ServedConf, signature_of};
use crate::catalogue::Catalogue;
use crate::identity::{IdentityFiles, named};
use crate::whole::{self, Rights};

/// At the end of the name of what stood there before: the text that was replaced last.
const BEFORE: &str = ".before";

/// Why a text was not put in place.
#[derive(Debug)]
pub(crate) enum PutError {
    /// It is not one that may hold here.
    Wrong(Vec<Mistake>),
    /// There is no place for it, or what stands there is not what the author has seen: a sentence.
    Refused(String),
    /// The disk did not take it.
    NotWritten(anyhow::Error),
}

/// Where a text may be put.
struct Place {
    /// The file itself, whatever leads there.
    file: PathBuf,
    metadata: Metadata,
}

impl RoomConf {
    /// Why no text can be put in place from afar, and what to do; nothing where it can.
    pub(crate) fn kept_by_hand(&self) -> Option<String> {
        self.place().err()
    }

    /// What of a text holds only if it is put in place by hand: files that the conf that holds does not name. Who may change the
    /// conf from afar may not read each file beside it, and keys may be among them.
    pub(crate) fn only_by_hand(&self, conf: &ServedConf) -> Vec<Mistake> {
        let known = self.current().map(|held| named(&held.conf)).unwrap_or_default();
        let text = conf.written();
        let why = |name: &String| {
            let message = format!(
                "this names {name:?}, which the ezio.conf that holds does not: a file of the server is named by hand first, there"
            );
            Mistake::at(&text, name, message)
        };
        named(&conf.conf).difference(&known).map(why).collect()
    }

    /// Puts a text in place, which holds from then on. `replaces` is the version of the text that its author has seen.
    pub(crate) fn put(
        &self,
        text: &str,
        replaces: &str,
        catalogue: &Catalogue,
    ) -> Result<Arc<ServedConf>, PutError> {
        let _one = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, held) = self.seen(replaces).map_err(PutError::Refused)?;
        let mut conf = ServedConf::supposed(text, catalogue).map_err(PutError::Wrong)?;
        let by_hand = self.only_by_hand(&conf);
        if !by_hand.is_empty() {
            return Err(PutError::Wrong(by_hand));
        }
        conf.origin.clone_from(&held.origin);
        conf.files = IdentityFiles::read(&conf.conf, held.files.folder()).map_err(|e| {
            let why = format!("{e:#}");
            let names = named(&conf.conf);
            let culprit = names.iter().find(|name| why.contains(*name)).map_or("", String::as_str);
            PutError::Wrong(vec![Mistake::at(text, culprit, why)])
        })?;
        place.replace(&held, &conf).map_err(PutError::NotWritten)?;
        self.hold(conf);
        self.current().ok_or_else(|| PutError::Refused("there is no ezio.conf".to_owned()))
    }

    /// The place, and what stands there, if that is what was seen.
    fn seen(&self, replaces: &str) -> Result<(Place, Arc<ServedConf>), String> {
        let place = self.place()?;
        let held = self.current().ok_or("there is no ezio.conf")?;
        let version = held.version();
        if version != replaces {
            return Err(format!(
                "ezio.conf has changed since: version {version} holds now. Look at it, and put your change into that"
            ));
        }
        let file = place.file.display();
        let stands = fs::read(&place.file).map_err(|e| format!("reading {file}: {e}"))?;
        match stands == held.text {
            true => Ok((place, held)),
            false => Err(format!(
                "{file} was edited on the server and does not hold yet: have it read again (systemctl reload ezio-pxe; its log says \
                 what is wrong with it), and look at it"
            )),
        }
    }

    fn place(&self) -> Result<Place, String> {
        let path = self.path.as_deref().ok_or(
            "this server has no ezio.conf of its own, what holds is made up: write one there, and name it by --conf (or conf, in its file \
             of settings)",
        )?;
        let signature = signature_of(path);
        if signature.exists() {
            return Err(format!(
                "ezio.conf is signed, and another text would not be: sign that where the key is (minisign -S), put both in place on the \
                 server, and have them read (systemctl reload ezio-pxe); or remove {} there, so that none is signed",
                signature.display()
            ));
        }
        let file = path.canonicalize().and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = file.map_err(|e| format!("{}: {e}", path.display()))?;
        may_replace(&file, &metadata)?;
        Ok(Place { file, metadata })
    }
}

/// May this process put another file in its place that has the same owner?
fn may_replace(file: &Path, metadata: &Metadata) -> Result<(), String> {
    let by_hand = "put the text in place there, and have it read (systemctl reload ezio-pxe)";
    let folder = whole::folder(file);
    if let Err(e) = access(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
        return Err(format!(
            "the server may not write into {} ({}): {by_hand}; or keep ezio.conf where the server may write, which is its folder of \
             state (/var/lib/ezio/conf/ezio.conf in a packaged server, named by conf in its file of settings)",
            folder.display(),
            e.desc()
        ));
    }
    let (server, owner) = ((geteuid(), getegid()), (metadata.uid(), metadata.gid()));
    match server.0.is_root() || (server.0.as_raw(), server.1.as_raw()) == owner {
        true => Ok(()),
        false => Err(format!(
            "{0} belongs to user {1} and group {2}, and a new one would be the server's (user {3}, group {4}): make it the server's \
             (chown {3}:{4} {0}), or {by_hand}",
            file.display(),
            owner.0,
            owner.1,
            server.0,
            server.1
        )),
    }
}

impl Place {
    /// Keeps what stands there beside it, and puts the other text there, with the same owner and rights.
    fn replace(&self, held: &ServedConf, conf: &ServedConf) -> anyhow::Result<()> {
        let mut before = self.file.clone().into_os_string();
        before.push(BEFORE);
        for (path, text) in [(Path::new(&before), &held.text), (&self.file, &conf.text)] {
            whole::write(path, text, &Rights::Of(&self.metadata))
                .with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}
