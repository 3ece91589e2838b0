//! A content as the files that its torrent names. One thread reads, one hashes, one writes, with a few blocks between
//! them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, Result, anyhow};
use ezio_image::extents::ExtentMap;
use ezio_image::metainfo::run_file_name;

use crate::content::{Content, Watch, hash_all};
use crate::sparse::write_sparse;

/// Bytes read at once.
const BLOCK: u64 = 1 << 20;
/// Blocks between two threads.
const DEPTH: usize = 8;

/// A stretch of content on its way from the reader to the writer.
struct Block {
    run: usize,
    /// Offset in the run's file.
    position: u64,
    data: Arc<Vec<u8>>,
}

/// Copies a content to `path`: a folder with a file a run, or one file where it is `whole`. Gives the hashes of its
/// pieces.
pub(crate) fn copy(
    path: PathBuf,
    map: &ExtentMap,
    whole: bool,
    piece_length: u32,
    content: &mut dyn Content,
    watch: &mut Watch<'_>,
) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let mut files = if whole { Files::raw(path) } else { Files::runs(path, map)? };
    files.link(content, map.extents().len())?;
    let (to_writer, from_reader) = sync_channel::<Result<Block>>(DEPTH);
    let (to_hasher, for_hasher) = sync_channel::<Arc<Vec<u8>>>(DEPTH);
    let hashes = thread::scope(|scope| -> Result<Vec<u8>> {
        scope.spawn(|| read_all(content, map, to_writer));
        let hasher = scope.spawn(|| hash_all(for_hasher, piece_length));
        for block in from_reader {
            let block = block?;
            // The hasher ends only when we let go of its channel.
            let _ = to_hasher.send(Arc::clone(&block.data));
            files.write(&block)?;
            watch(block.data.len() as u64)?;
        }
        drop(to_hasher);
        hasher.join().map_err(|_| anyhow!("the hashing of {name} broke down"))
    })?;
    files.finish(map.total_length())?;
    Ok(hashes)
}
fn read_all(content: &mut dyn Content, map: &ExtentMap, out: SyncSender<Result<Block>>) {
    for (run, extent) in map.extents().iter().enumerate() {
        let mut position = 0;
        while position < extent.length {
            let length = BLOCK.min(extent.length - position);
            // Never more than BLOCK.
            let mut data = vec![0; length as usize];
            let read = content.read(extent.offset + position, &mut data);
            let failed = read.is_err();
            let sent = out.send(read.map(|()| Block { run, position, data: Arc::new(data) }));
            // The writer has given up: its error is the one to tell.
            if failed || sent.is_err() {
                return;
            }
            position += length;
        }
    }
}

/// Writes the data of one partition.
struct Files {
    path: PathBuf,
    /// Names of the run files; none for a raw image.
    runs: Option<Vec<String>>,
    open: Option<(usize, File)>,
    /// Runs that need no writing.
    linked: HashSet<usize>,
}

impl Files {
    fn runs(folder: PathBuf, map: &ExtentMap) -> Result<Self> {
        fs::create_dir(&folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
        let names = map.extents().iter().map(|e| run_file_name(e.offset)).collect();
        Ok(Self { path: folder, runs: Some(names), open: None, linked: HashSet::new() })
    }

    fn raw(path: PathBuf) -> Self {
        Self { path, runs: None, open: None, linked: HashSet::new() }
    }

    fn file_path(&self, run: usize) -> PathBuf {
        match &self.runs {
            Some(names) => names.get(run).map_or_else(|| self.path.clone(), |name| self.path.join(name)),
            None => self.path.clone(),
        }
    }

    /// Links the runs that are files already.
    fn link(&mut self, content: &dyn Content, runs: usize) -> Result<()> {
        for (run, existing) in (0..runs).filter_map(|run| content.existing(run).map(|path| (run, path))) {
            let path = self.file_path(run);
            fs::hard_link(existing, &path)
                .with_context(|| format!("cannot link {} to {}", path.display(), existing.display()))?;
            self.linked.insert(run);
        }
        Ok(())
    }

    fn write(&mut self, block: &Block) -> Result<()> {
        if self.linked.contains(&block.run) {
            return Ok(());
        }
        let path = self.file_path(block.run);
        let raw = self.runs.is_none();
        let file = match &mut self.open {
            Some((run, file)) if *run == block.run => file,
            open => {
                let file =
                    File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
                &mut open.insert((block.run, file)).1
            }
        };
        let written = match raw {
            true => write_sparse(file, block.position, &block.data),
            false => file.write_all(&block.data),
        };
        written.with_context(|| format!("cannot write {} at byte {}", path.display(), block.position))
    }

    fn finish(self, length: u64) -> Result<()> {
        if self.runs.is_none()
            && let Some((_, file)) = self.open
        {
            file.set_len(length).with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }
}
