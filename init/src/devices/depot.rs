//! Where files lie that the initrd left out. Each is fetched from the first server that has it as the index describes
//! it, and put where it would be in the initrd.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ezio_contract::modules::Remote;
use ezio_image::checksums::sha256_hex;
use futures_util::{StreamExt as _, stream};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::fetch::location::Location;
use crate::fetch::{FetchError, Fetcher};

/// Files that one machine fetches at a time: so many are in memory, and so many connections a room of forty takes
/// forty times.
const AT_A_TIME: usize = 4;
/// Between two attempts: a file that is being replaced is there again by then.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a file is not what was asked for.
#[derive(Debug, Error)]
enum AttemptError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(
        "{0} is not the file that this initrd was packed with: kernel, initrd and modules have to come from one run of \
         `image-builder netboot`"
    )]
    Other(Location),
    #[error("putting {file} in place")]
    Keep { file: String, source: io::Error },
}

/// The servers, and what they are asked by.
#[derive(Debug, Clone)]
pub(crate) struct Depot {
    /// Folders of network boot files, asked in turn.
    folders: Vec<Location>,
    fetcher: Fetcher,
    /// No second attempt at any of the files that are fetched together begins after so long.
    patience: Duration,
}

/// A file that could not be had, and why.
#[derive(Debug)]
pub(crate) struct NotHad {
    pub(crate) file: String,
    pub(crate) why: String,
}

impl Depot {
    pub(crate) fn new(folders: Vec<Location>, fetcher: Fetcher, patience: Duration) -> Self {
        Self { folders, fetcher, patience }
    }

    /// Fetches files into a folder, a few at a time; gives those that could not be had. Each is tried at least once.
    pub(crate) async fn fetch(&self, files: Vec<(String, Remote)>, into: &Path) -> Vec<NotHad> {
        let end = Instant::now() + self.patience;
        let fetches = stream::iter(files).map(|(file, remote)| async move {
            self.fetch_one(&file, &remote, into, end).await.err().map(|why| NotHad { file, why })
        });
        fetches.buffer_unordered(AT_A_TIME).filter_map(std::future::ready).collect().await
    }

    async fn fetch_one(&self, file: &str, remote: &Remote, into: &Path, end: Instant) -> Result<(), String> {
        loop {
            let mut errors = Vec::new();
            for folder in &self.folders {
                match self.attempt(&folder.file(file), file, remote, into).await {
                    Ok(()) => return Ok(()),
                    Err(error) => errors.push(format!("{:#}", anyhow::Error::from(error))),
                }
            }
            if errors.is_empty() {
                return Err("no server is known".to_owned());
            }
            if Instant::now() + PAUSE > end {
                return Err(errors.join("; "));
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(
        &self,
        location: &Location,
        file: &str,
        remote: &Remote,
        into: &Path,
    ) -> Result<(), AttemptError> {
        let content = self.fetcher.get_at_most(location, remote.size).await?;
        if content.len() as u64 != remote.size || sha256_hex(&content) != remote.sha256 {
            return Err(AttemptError::Other(location.clone()));
        }
        let place = into.join(file);
        keep(&place, &content).await.map_err(|source| AttemptError::Keep { file: file.to_owned(), source })
    }
}

/// In one step: the kernel's own modprobe may look for the same file.
async fn keep(place: &Path, content: &[u8]) -> io::Result<()> {
    let mut partial: PathBuf = place.to_owned();
    partial.as_mut_os_string().push(format!(".partial-{}", std::process::id()));
    if let Some(folder) = place.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    tokio::fs::write(&partial, content).await?;
    tokio::fs::rename(&partial, place).await
}

#[cfg(test)]
#[path = "depot_tests.rs"]
mod tests;
