//! How an image keeps its data, on the command line.

use clap::{Args, ValueEnum};
use ezio_frames::MAX_LEVEL;
use ezio_imagedir::Keep;

/// How the image keeps its data.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct StoreArgs {
    /// How the data is kept: compressed, or as the files that the torrents name
    #[arg(long, value_name = "STORE", value_enum, default_value_t = StoreName::Zstd)]
    store: StoreName,
    /// Level of compression, from 1 (fast) to 12 [default: as high as the disk that is read leaves time for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=i64::from(MAX_LEVEL)))]
    level: Option<i32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StoreName {
    /// One file a partition, in frames of zstd
    Zstd,
    /// One file a run of used blocks, which any BitTorrent client seeds
    Files,
}

impl StoreArgs {
    pub(crate) fn keep(self) -> Keep {
        match self.store {
            StoreName::Zstd => Keep::Zstd { level: self.level },
            StoreName::Files => Keep::Files,
        }
    }
}
