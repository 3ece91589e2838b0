//! btrfs keeps metadata twice on one device (the profile DUP), and partclone's map has the first copy only. The tree of
//! chunks says where the second one lies.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use ezio_image::extents::{Extent, ExtentMap};

use super::used_blocks::joined;
use crate::stop::Stop;

/// A chunk that is there more than once: its length, and where each copy begins on the device. Bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chunk {
    length: u64,
    copies: Vec<u64>,
}

/// The map, with all copies of what it holds one copy of.
pub(crate) fn with_all_copies(stop: &Stop, map: &ExtentMap, device: &Path) -> Result<ExtentMap> {
    let Some(program) = crate::find_program("btrfs") else {
        bail!("btrfs is missing, which tells where the second copies lie: apt-get install btrfs-progs");
    };
    let mut command = Command::new(program);
    let finished = stop.run(command.args(["inspect-internal", "dump-tree", "-t", "chunk"]).arg(device))?;
    if finished.code != Some(0) {
        bail!("btrfs cannot read its tree of chunks: {}", finished.stderr.trim());
    }
    let runs = map.extents().iter().copied().chain(copies(map, &chunks(&finished.stdout)));
    ExtentMap::new(joined(runs.collect())).context("the copies of its metadata")
}

/// Reads what `btrfs inspect-internal dump-tree` prints: `length N … type METADATA|DUP`, then `stripe I devid D offset N`.
fn chunks(text: &str) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut wanted = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after =
            |name: &str| words.iter().position(|w| *w == name).and_then(|i| words.get(i + 1)).copied();
        match words.first() {
            Some(&"item") => wanted = false,
            Some(&"length") => {
                wanted = after("type").is_some_and(|kind| kind.split('|').any(|word| word == "DUP"));
                let length = after("length").and_then(|n| n.parse().ok()).unwrap_or_default();
                chunks.extend(wanted.then(|| Chunk { length, copies: Vec::new() }));
            }
            Some(&"stripe") if wanted => {
                let offset = after("offset").and_then(|n| n.parse().ok());
                if let (Some(chunk), Some(offset)) = (chunks.last_mut(), offset) {
                    chunk.copies.push(offset);
                }
            }
            _ => {}
        }
    }
    chunks
}

/// For each run that lies in a chunk's copy, the same run in the chunk's other copies.
fn copies(map: &ExtentMap, chunks: &[Chunk]) -> Vec<Extent> {
    let mut found = Vec::new();
    for chunk in chunks {
        for from in &chunk.copies {
            let others = || chunk.copies.iter().filter(move |to| *to != from);
            for run in map.extents() {
                let begin = run.offset.max(*from);
                let end = (run.offset + run.length).min(from.saturating_add(chunk.length));
                if begin < end {
                    found.extend(
                        others().map(|to| Extent { offset: to + (begin - from), length: end - begin }),
                    );
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
        \titem 1 key (FIRST_CHUNK_TREE CHUNK_ITEM 13631488) itemoff 16105 itemsize 80\n\
        \t\tlength 8388608 owner 2 stripe_len 65536 type DATA|single\n\
        \t\tnum_stripes 1 sub_stripes 1\n\
        \t\t\tstripe 0 devid 1 offset 13631488\n\
        \titem 2 key (FIRST_CHUNK_TREE CHUNK_ITEM 22020096) itemoff 15993 itemsize 112\n\
        \t\tlength 8192 owner 2 stripe_len 65536 type SYSTEM|DUP\n\
        \t\tnum_stripes 2 sub_stripes 1\n\
        \t\t\tstripe 0 devid 1 offset 22020096\n\
        \t\t\tdev_uuid 7a9c0c14\n\
        \t\t\tstripe 1 devid 1 offset 30408704\n";

    #[test]
    fn what_is_there_twice_is_mapped_twice() {
        let chunks = chunks(TREE);
        assert_eq!(chunks, [Chunk { length: 8192, copies: vec![22_020_096, 30_408_704] }]);
        let run = |offset, length| Extent { offset, length };
        let map = ExtentMap::new(vec![run(0, 10), run(22_020_000, 4192), run(30_412_800, 100_000)]).unwrap();
        let all: Vec<Extent> = map.extents().iter().copied().chain(copies(&map, &chunks)).collect();
        assert_eq!(
            joined(all),
            [run(0, 10), run(22_020_000, 96 + 8192), run(30_408_704, 104_096)],
            "each copy has what either had"
        );
    }
}
