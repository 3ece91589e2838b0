//! Warnings of the libraries, on standard error: for PID 1's worker that is the console. `EZIO_LOG`
//! asks for more (`EZIO_LOG=debug`, `EZIO_LOG=ezio_swarm=trace`).

use tracing_subscriber::EnvFilter;

/// Begins to log.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("EZIO_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second start changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .try_init();
}
