//! The benchmark: a room of machines receives one image, by ezio and by others, on the same links.

pub mod case;
pub mod compare;
pub mod image;
pub mod liar;
pub mod loopback;
pub mod process;
pub mod relay;
pub mod results;
pub mod system;
pub mod table;
pub mod trial;
