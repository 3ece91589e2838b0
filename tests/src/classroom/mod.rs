//! A whole room on one computer: blank machines are switched on, and watched until every one of them runs the
//! deployed system from its own disk.

mod display;
mod lesson;
mod seat;
mod table;
mod timeline;

pub use display::Display;
pub use lesson::{Outcome, Plan, run};
pub use seat::{Seat, Stage};
pub use table::table;
pub use timeline::{Step, Timeline};
