//! What passes between PID 1 and its worker: the roles it starts, the worker's word on how the machine ends, and what
//! the worker leaves should it crash.

pub(crate) mod end;
pub(crate) mod last_words;
pub(crate) mod will;

/// Argument that makes this program the worker.
pub(crate) const WORKER: &str = "as-worker-of-pid-1";
/// Argument that makes this program tell the server of the worker's crash; what happened follows.
pub(crate) const CRASH_REPORT: &str = "as-crash-report";
/// Argument that makes this program a shell on a console; the console's device follows.
pub(crate) const CONSOLE_SHELL: &str = "as-console-shell";
/// Argument that makes this program draw the page of this machine; the terminal's device follows.
pub(crate) const SCREEN: &str = "as-screen";

/// The step that fails when the worker itself does.
pub(crate) const STEP: &str = "ezio-init";
