//! Reads what Clonezilla and partclone save, and makes image directories of it; and the other way round.

mod directory;
mod export;
mod import;
mod partclone;
mod stream;
mod sums;
mod torrent;

pub use directory::Directory;
pub use export::{export, exported_length};
pub use import::{Orders, Plan, Watch, Which, choices, import};
pub use torrent::{Torrent, import_torrent};
