//! Warnings of the libraries, on standard error: for PID 1's worker that is the console. `EZIO_LOG`
//! asks for more (`EZIO_LOG=debug`, `EZIO_LOG=ezio_swarm=trace`).

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Begins to log.
pub(crate) fn start() {
    let asked: Option<Targets> = std::env::var("EZIO_LOG").ok().and_then(|text| text.parse().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).without_time();
    // A second start changes nothing.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}
