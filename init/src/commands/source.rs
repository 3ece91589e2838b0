//! What `write` writes: a torrent, or what lies here: an image directory, or a file with the bytes of a partition or
//! a disk. What lies here is a torrent too, whose first peer this program is: it is checked piece by piece, and can be
//! passed on.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use ezio_image::conf::Grow;
use ezio_image::directory::CheckedImage;
use ezio_image::extents::ExtentMap;
use ezio_image::metainfo::Metainfo;
use ezio_image::names::safe_name;
use ezio_image::plan::{Plan, Room};
use ezio_swarm::storage::{DeviceStorage, Storage, open_image};
use ezio_swarm::{Config, Content, Role, Swarm};
use sha1::{Digest, Sha1};

use super::arguments::WriteOptions;
use super::progress_output::ProgressOutput;
use crate::fetch::location::Location;
use crate::fetch::torrent::Torrent;
use crate::fetch::{FetchError, Fetcher, Patience, superblock};
use crate::run::blocking;
use crate::run::image::{Fetched, Image};
use crate::screen::Screen;

/// Of a file that has no torrent: long enough for few hashes, short enough to begin at once. Bytes.
const PIECE: u32 = 1 << 20;

/// Something to write.
pub(crate) enum Source {
    /// A torrent that others have.
    Torrent(Torrent),
    /// A file, and the torrent that was made of it.
    File { path: PathBuf, torrent: Torrent },
    /// A partition of an image directory.
    Directory { folder: PathBuf, parts: Box<CheckedImage>, partition: Option<String> },
}

impl Source {
    /// Looks what it is, and reads what there is to know of it.
    pub(crate) async fn open(options: &WriteOptions, output: &ProgressOutput) -> anyhow::Result<Self> {
        let fetcher = Fetcher::new()?;
        let fetcher = if options.dry_run { fetcher } else { fetcher.passing_on() };
        let path = Path::new(&options.source);
        let partition = options.partition.clone();
        if path.is_dir() {
            let location: Location = options.source.parse()?;
            let image = Fetched::fetch(&location, &fetcher, None, &Screen::dark()).await?.one()?;
            let Image::Directory(parts) = image else { bail!("{location} is no image directory") };
            return Ok(Self::Directory { folder: path.to_owned(), parts, partition });
        }
        ensure!(partition.is_none(), "--partition is for image directories, and {} is none", options.source);
        if path.is_file() && path.extension().is_none_or(|extension| extension != "torrent") {
            output.note(&format!("reading {}", options.source));
            let path = path.to_owned();
            return blocking(move || {
                let torrent = torrent_of(&path).with_context(|| path.display().to_string())?;
                Ok(Self::File { path, torrent })
            })
            .await;
        }
        let tell = |error: &FetchError, _| output.note(&format!("{error}: trying again"));
        let fetched = Torrent::fetch(&options.source, &options.peers, &fetcher, Patience::DEFAULT, tell);
        let mut said = String::new();
        let tell = |why: &str| {
            if why != said {
                output.note(&format!("the beginning of the torrent has not come yet: {why}"));
                said = why.to_owned();
            }
        };
        Ok(Self::Torrent(fetched.await?.measured(&options.peers, tell).await?))
    }

    /// Bytes that a target must have.
    pub(crate) fn needed(&self) -> anyhow::Result<u64> {
        Ok(match self {
            Self::Torrent(torrent) | Self::File { torrent, .. } => torrent.needed,
            Self::Directory { parts, partition, .. } => parts.needed_for_partition(partition.as_deref())?,
        })
    }

    /// What is done to a target.
    pub(crate) fn plan(&self, room: Room) -> anyhow::Result<Plan> {
        Ok(match self {
            Self::Torrent(torrent) | Self::File { torrent, .. } => {
                Plan::for_torrent(Arc::clone(&torrent.metainfo), torrent.needed, room, &Grow::None)?
            }
            Self::Directory { parts, partition, .. } => {
                parts.plan_for_partition(partition.as_deref(), room, &Grow::None)?
            }
        })
    }

    /// Does a torrent alone say where its data is?
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Torrent(_))
    }

    /// Serves what lies here to this program, for as long as what is given back lives.
    pub(crate) async fn serve(&self, plan: &Plan) -> anyhow::Result<Option<Swarm>> {
        let Some(payload) = plan.payloads().next() else { return Ok(None) };
        let metainfo = Arc::clone(&payload.metainfo);
        let storage: Arc<dyn Storage> = match self {
            Self::Torrent(_) => return Ok(None),
            Self::Directory { folder, parts, .. } => open_image(folder, parts.manifest.store, &metainfo)?,
            Self::File { path, .. } => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                let all = ExtentMap::contiguous(metainfo.total_length())?;
                Arc::new(DeviceStorage::new(Arc::new(file), path.display().to_string(), 0, all))
            }
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config { listen, role: Role::Server, ..Config::default() };
        let content = Content { metainfo, storage, complete: true, trackers: Vec::new() };
        Ok(Some(Swarm::start(config, vec![content]).await.context("reading the image")?))
    }
}

/// The torrent of a file; a file system that was cut short needs more than there is.
fn torrent_of(path: &Path) -> anyhow::Result<Torrent> {
    let torrent = Torrent::new(Arc::new(hash(path)?))?;
    let all = ExtentMap::contiguous(torrent.metainfo.total_length())?;
    let mut head = Vec::new();
    File::open(path)?.take(superblock::head_length(&all)).read_to_end(&mut head)?;
    Ok(torrent.with_size(superblock::look(&head, &all)?.size))
}

fn hash(path: &Path) -> anyhow::Result<Metainfo> {
    let mut file = File::open(path)?;
    let (mut length, mut hashes) = (0, Vec::new());
    let mut piece = Vec::with_capacity(PIECE as usize);
    loop {
        piece.clear();
        (&mut file).take(u64::from(PIECE)).read_to_end(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        length += piece.len() as u64;
        hashes.extend(Sha1::digest(&piece));
    }
    ensure!(length > 0, "it is empty");
    let name = safe_name(&path.file_name().unwrap_or_default().to_string_lossy());
    Ok(Metainfo::create(&name, PIECE, length, None, &hashes)?)
}
