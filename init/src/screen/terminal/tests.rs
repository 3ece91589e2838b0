use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;

use super::*;
use crate::screen::view::Fact;

/// A busy computer draws late.
const BOUND: Duration = Duration::from_secs(60);

/// A terminal of 80x25, seen from the side of the display and the keyboard.
struct Display {
    master: File,
    _slave: OwnedFd,
    path: PathBuf,
}

impl Display {
    fn new() -> Self {
        let size = Winsize { ws_row: 25, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let path = ttyname(&pair.slave).unwrap();
        Self { master: pair.master.into(), _slave: pair.slave, path }
    }

    /// What is written, until this is among it.
    fn until(&mut self, wanted: &str) -> String {
        let end = Instant::now() + BOUND;
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::try_from(LOOK_AGAIN).unwrap()).unwrap() > 0 {
                let length = self.master.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..length]);
            }
            let text = String::from_utf8_lossy(&seen);
            if text.contains(wanted) {
                return text.into_owned();
            }
        }
        panic!("no {wanted:?} in {:?}", String::from_utf8_lossy(&seen));
    }
}

#[test]
fn the_page_is_drawn_the_log_is_one_key_away_and_the_terminal_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let history = History::in_file(file.clone());
    let (told, socket) = UnixDatagram::pair().unwrap();
    let tell = |word: Word| told.send(word.to_json().as_bytes()).unwrap();
    let mut display = Display::new();
    let terminal = display.path.clone();
    let modes = || tcgetattr(File::open(&terminal).unwrap()).unwrap().local_modes;
    let before = modes();
    history.add("ezio: the plan");
    let path = terminal.clone();
    let drawing = thread::spawn(move || draw_from(&socket, &path, History::in_file(file)));

    let first = display.until("the plan");
    assert!(first.contains("\x1b[23;25r"), "what is said scrolls below the page: {first:?}");
    assert_ne!(modes(), before, "keys are read as they come");
    tell(Word::Fact(Fact::Step("network: waiting for a link".into())));
    let change = display.until("waiting for a link");
    assert!(!change.contains("\x1b[2J"), "only what has changed is drawn: {change:?}");
    tell(Word::Line("ezio: network: eth0 is 10.0.0.7".into()));
    display.until("eth0 is 10.0.0.7\r\n");

    display.master.write_all(F2).unwrap();
    let log = display.until("back to the page");
    assert!(log.contains("\x1b[r") && log.contains("ezio: the plan\r\n"), "{log:?}");
    tell(Word::Fact(Fact::Failed { step: "write".into(), error: "the disk is gone".into() }));
    tell(Word::Line("ezio: failed: write".into()));
    display.until("ezio: failed: write\r\n");
    display.master.write_all(F2).unwrap();
    let page = display.until("the disk is gone");
    assert!(page.contains(";41m") && !page.contains(";44m"), "all of it is red: {page:?}");

    tell(Word::LetGo);
    drawing.join().unwrap().unwrap();
    let left = display.until("\x1b[?25h");
    assert!(left.contains("\x1b]R"), "the kernel's own colours: {left:?}");
    assert_eq!(modes(), before);
}
