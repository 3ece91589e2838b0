//! PID 1 itself: mounts, consoles, and a worker process that does the job. PID 1 only waits, takes
//! in orphans, and carries out the end. So nothing that happens to the worker (a bug, no memory left)
//! can take the machine down in silence.

pub(crate) mod console_shell;
mod leave;
mod mounts;

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use ezio_contract::initrd::SHELL;
use ezio_image::conf::EndAction;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, set_cad_enabled};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use self::leave::leave;
use self::mounts::{MOUNT_TABLE, mount_all};
use crate::handover::end::End;
use crate::handover::last_words::last_words;
use crate::handover::will::Will;
use crate::handover::{CONSOLE_SHELL, CRASH_REPORT, SCREEN, STEP, WORKER};
use crate::machine::SystemPaths;
use crate::machine::cmdline::Cmdline;
use crate::screen::Screen;
use crate::screen::console::{console_names, is_terminal};
use crate::screen::post;
use crate::screen::view::Fact;

const SELF: &str = "/proc/self/exe";
/// After this, a machine whose PID 1 itself is broken starts again.
const PANIC_PAUSE: Duration = Duration::from_secs(60);
/// Until then the terminal must have been let go: the last words are being drawn.
const LET_GO_BOUND: Duration = Duration::from_secs(2);

/// Runs the machine. Never comes back.
pub(crate) fn main() -> ! {
    std::panic::set_hook(Box::new(|info| start_again(&format!("PID 1: {info}"))));
    match Supervisor::start() {
        Ok(mut supervisor) => {
            let end = supervisor.run_worker();
            supervisor.carry_out(end)
        }
        Err(error) => start_again(&format!("start: {error:#}")),
    }
}

/// PID 1 itself cannot go on: says why, long enough to be read, and starts the machine again.
fn start_again(why: &str) -> ! {
    let next = format!("reboot in {} s", PANIC_PAUSE.as_secs());
    let _ = writeln!(std::io::stderr(), "ezio: failed: {why}\nezio: next: {next}");
    std::thread::sleep(PANIC_PAUSE);
    let error = leave(RebootMode::RB_AUTOBOOT);
    let _ = writeln!(std::io::stderr(), "ezio: {error:#}");
    loop {
        std::thread::park();
    }
}

struct Supervisor {
    signals: SignalFd,
    screen: Screen,
    /// The process that draws the page, where there is a terminal.
    drawer: Option<Pid>,
    /// Device of the console that a shell gets.
    console: String,
}

/// What PID 1 waits for.
enum Wakeup {
    /// A child has ended.
    Child(WaitStatus),
    /// Ctrl-Alt-Del, or somebody's `kill 1`.
    Restart,
    TimeOver,
}

impl Supervisor {
    fn start() -> anyhow::Result<Self> {
        let mut wanted = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM] {
            wanted.add(signal);
        }
        wanted.thread_block().context("blocking signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&wanted, flags).context("opening a signalfd")?;
        mount_all(MOUNT_TABLE)?;
        // Ctrl-Alt-Del becomes SIGINT: the disk is synced first.
        set_cad_enabled(false).context("taking over Ctrl-Alt-Del")?;
        let paths = SystemPaths::below("/".as_ref());
        // The worker says what is wrong with a command line; here it only must not matter.
        let cmdline = Cmdline::of_machine(&paths).unwrap_or_default();
        let names = console_names(&paths.sys, &cmdline.consoles);
        let console = names.last().map_or("console", |name| if name == "tty0" { "tty1" } else { name });
        let terminal = names.iter().find(|name| is_terminal(name));
        let drawer = terminal.map(|name| start_drawing(&format!("/dev/{name}"))).transpose();
        let screen = Screen::of_machine(&paths, &cmdline.consoles);
        let drawer = drawer.unwrap_or_else(|error| {
            screen.step(&format!("there is no page on the terminal: {error:#}"));
            None
        });
        Ok(Self { signals, screen, drawer, console: format!("/dev/{console}") })
    }

    /// The worker's word on how it ends; if it could not give one, the server hears why.
    fn run_worker(&mut self) -> End {
        let word = self.run_program(&[WORKER]).map_err(|error| format!("{error:#}")).and_then(end_of);
        let why = match word {
            Ok(end) => return end,
            Err(why) => why,
        };
        self.screen.step(&format!("failed: {STEP}: {why}"));
        self.screen.tell(Fact::Failed { step: STEP.to_owned(), error: why.clone() });
        if let Err(error) = self.run_program(&[CRASH_REPORT, &why]) {
            self.screen.step(&format!("the server is not told: {error:#}"));
        }
        Will::read().end()
    }

    /// Runs this program in another role until it ends; meanwhile takes in orphans.
    fn run_program(&mut self, arguments: &[&str]) -> anyhow::Result<WaitStatus> {
        let child = Command::new(SELF)
            .args(arguments.iter().map(OsStr::new))
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {SELF}"))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        loop {
            match self.wait(None) {
                Wakeup::Child(status) if status.pid() == Some(pid) => return Ok(status),
                Wakeup::Child(_) | Wakeup::TimeOver => {}
                Wakeup::Restart => self.carry_out_now(RebootMode::RB_AUTOBOOT),
            }
        }
    }

    fn wait(&mut self, until: Option<Instant>) -> Wakeup {
        loop {
            let ended = waitpid(None, Some(WaitPidFlag::WNOHANG));
            if let Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) = ended {
                return Wakeup::Child(status);
            }
            match self.signals.read_signal() {
                Ok(Some(info)) if info.ssi_signo == Signal::SIGCHLD as u32 => continue,
                Ok(Some(_)) => return Wakeup::Restart,
                Ok(None) | Err(_) => {}
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Wakeup::TimeOver;
            }
            let timeout = left
                .map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
            // A wake-up without reason is fine: the loop looks again.
            let _ = poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], timeout);
        }
    }

    fn carry_out(&mut self, end: End) -> ! {
        self.screen.step(&format!("next: {end}"));
        self.screen.tell(Fact::Next(end.to_string()));
        self.screen.flush();
        let over = Instant::now() + end.countdown();
        while Instant::now() < over {
            if matches!(self.wait(Some(over)), Wakeup::Restart) {
                self.carry_out_now(RebootMode::RB_AUTOBOOT);
            }
        }
        match end.action {
            EndAction::Reboot => self.carry_out_now(RebootMode::RB_AUTOBOOT),
            EndAction::PowerOff => self.carry_out_now(RebootMode::RB_POWER_OFF),
            EndAction::Shell => self.give_shell(),
            EndAction::Hold => {}
        }
        self.hold()
    }

    /// Restarts or switches off; says so if the kernel refuses.
    fn carry_out_now(&mut self, mode: RebootMode) {
        // Children of hooks and of the shell; those that will not go lose what they have not written.
        let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
        let error = leave(mode);
        self.screen.step(&format!("{error:#}"));
    }

    fn give_shell(&mut self) {
        if !Path::new(SHELL).exists() {
            self.screen.step(
                "there is no shell in this initrd (image-builder netboot --shell): hold (Ctrl-Alt-Del restarts)",
            );
            return;
        }
        self.take_terminal();
        self.screen.step("a shell; when it ends, the machine restarts");
        self.screen.flush();
        let console = self.console.clone();
        match self.run_program(&[CONSOLE_SHELL, &console]) {
            Ok(_) => self.carry_out_now(RebootMode::RB_AUTOBOOT),
            Err(error) => self.screen.step(&format!("the shell: {error:#}: holding")),
        }
    }

    /// The page goes, so that somebody else can have the terminal.
    fn take_terminal(&mut self) {
        let Some(drawer) = self.drawer.take() else { return };
        self.screen.let_go();
        let until = Instant::now() + LET_GO_BOUND;
        loop {
            match self.wait(Some(until)) {
                Wakeup::Child(status) if status.pid() == Some(drawer) => return,
                Wakeup::Child(_) => {}
                Wakeup::TimeOver => return,
                Wakeup::Restart => self.carry_out_now(RebootMode::RB_AUTOBOOT),
            }
        }
    }

    fn hold(&mut self) -> ! {
        loop {
            if matches!(self.wait(None), Wakeup::Restart) {
                self.carry_out_now(RebootMode::RB_AUTOBOOT);
            }
        }
    }
}

/// Starts the process that draws on this terminal. Its socket is made here, so that no word comes too early for it.
fn start_drawing(terminal: &str) -> anyhow::Result<Pid> {
    let socket = UnixDatagram::bind(post::ADDRESS).with_context(|| format!("making {}", post::ADDRESS))?;
    let child = Command::new(SELF).args([SCREEN, terminal]).stdin(OwnedFd::from(socket)).spawn();
    let child = child.with_context(|| format!("starting {SELF}"))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// The word that the worker gave by its exit status, or how it came to its end without one.
fn end_of(status: WaitStatus) -> Result<End, String> {
    let how = match status {
        WaitStatus::Exited(_, status) => match End::from_exit_status(status) {
            Some(end) => return Ok(end),
            None => format!("ended with status {status}"),
        },
        WaitStatus::Signaled(_, Signal::SIGKILL, _) => "was ended by SIGKILL (no memory left?)".to_owned(),
        WaitStatus::Signaled(_, signal, _) => format!("was ended by {signal}"),
        other => format!("came to {other:?}"),
    };
    let words = last_words().map(|words| format!(": {words}")).unwrap_or_default();
    Err(format!("the worker {how}{words}"))
}
