//! Reads what Clonezilla and partclone save, and makes image directories of it.

mod directory;
mod import;
mod partclone;
mod stream;
mod sums;
mod torrent;

pub use directory::Directory;
pub use import::{Orders, Plan, Watch, Which, import, jobs};
pub use torrent::{Torrent, import_torrent};
