//! Image directories, read, and written: contents with their torrents, checksums of the rest, and all of it under
//! its name only when it is whole. Whoever makes images, from disks or from other people's formats, makes them here.

mod architecture;
mod content;
mod copy;
mod level;
mod output;
mod packed;
mod pieces;
mod run_files;
mod set;
mod small_files;
mod sparse;
mod stored;
mod writer;

pub use architecture::{Architecture, Evidence};
pub use content::{Content, Keep, Part, Watch};
pub use output::check_target;
pub use pieces::{PieceHasher, piece_length_for};
pub use set::{Set, SetWriter};
pub use small_files::small_files;
pub use sparse::write_sparse;
pub use stored::Stored;
pub use writer::ImageWriter;
