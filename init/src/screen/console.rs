//! Where people look: every console of the kernel, written by a thread each, so that a stuck serial
//! line (flow control, nobody there) never holds up the deployment.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use nix::libc::O_NOCTTY;

use super::post::Post;

/// Lines that wait for a slow console at most; what comes on top is dropped.
const QUEUE: usize = 256;

/// How a console wants its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Moves the cursor: the picture is drawn again in place.
    Redraw,
    /// Only ever appends lines: serial ports, logs, pipes.
    Lines,
    /// Takes words for the page of a virtual terminal.
    Page,
}

/// One console.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) style: Style,
    queue: SyncSender<Message>,
}

#[derive(Debug)]
enum Message {
    Text(String),
    /// All before it has been written: answer.
    Flush(SyncSender<()>),
}

impl Console {
    /// Writes to `sink` from a thread of its own.
    pub(crate) fn new(style: Style, sink: impl Write + Send + 'static) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        thread::spawn(move || write_all(sink, &messages));
        Self { style, queue }
    }

    /// Queues text; drops it when the console is stuck.
    pub(crate) fn write(&self, text: String) {
        match self.queue.try_send(Message::Text(text)) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Waits until what was queued is out, at most `bound`.
    pub(crate) fn flush(&self, bound: Duration) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            match written.recv_timeout(bound) {
                Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }
}

fn write_all(mut sink: impl Write, messages: &Receiver<Message>) {
    for message in messages {
        match message {
            // A console that cannot be written to is no reason to stop: there are others, and the server.
            Message::Text(text) => {
                let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
            }
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

/// Opens the kernel's consoles: those it says are active and those of `console=`, each once; `/dev/console` if none. Its
/// virtual terminals are one: whoever draws the page is told.
pub(crate) fn open_system_consoles(sys: &Path, dev: &Path, from_cmdline: &[String]) -> Vec<Console> {
    let names = console_names(sys, from_cmdline);
    let (terminals, others): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| is_terminal(name));
    let lines = others.iter().filter_map(|name| open(&dev.join(name)).ok());
    let mut opened: Vec<Console> = lines.map(|file| Console::new(Style::Lines, file)).collect();
    if let Some(terminal) = terminals.first().and_then(|name| open(&dev.join(name)).ok())
        && let Ok(post) = Post::new(terminal)
    {
        opened.push(Console::new(Style::Page, post));
    }
    if opened.is_empty()
        && let Ok(file) = open(&dev.join("console"))
    {
        opened.push(Console::new(Style::Lines, file));
    }
    opened
}

/// Device names of the kernel's consoles, each once, the preferred one (`/dev/console`) last as the kernel has it.
pub(crate) fn console_names(sys: &Path, from_cmdline: &[String]) -> Vec<String> {
    let active = std::fs::read_to_string(sys.join("class/tty/console/active")).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for name in from_cmdline.iter().map(String::as_str).chain(active.split_whitespace()) {
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).custom_flags(O_NOCTTY).open(path)
}

/// Virtual terminals (`tty0`, `tty1`) can show a page; all else gets lines.
pub(crate) fn is_terminal(name: &str) -> bool {
    let number = name.strip_prefix("tty").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_of_kernel_and_command_line_once_each() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("class/tty/console");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("active"), "tty0 ttyS0\n").unwrap();
        let named = console_names(root.path(), &["ttyS0".into(), "ttyS1".into()]);
        assert_eq!(named, ["ttyS0", "ttyS1", "tty0"]);
        assert!(is_terminal("tty0"));
        assert!(!is_terminal("ttyS0"));
        assert!(!is_terminal("hvc0"));
        assert!(!is_terminal("tty"));
    }

    #[test]
    fn a_stuck_console_holds_nobody_up() {
        struct Stuck;
        impl Write for Stuck {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                loop {
                    thread::park();
                }
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let console = Console::new(Style::Lines, Stuck);
        for _ in 0..QUEUE * 2 {
            console.write("line\n".into());
        }
        console.flush(Duration::from_millis(10));
    }
}
