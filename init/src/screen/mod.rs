//! The screen: what the machine is doing, how far, how fast, from how many peers, and for how long
//! still. Virtual terminals show a page (drawn by a process of its own, `terminal`); serial ports get plain lines.

pub(crate) mod console;
pub(crate) mod history;
mod kernel_log;
pub(crate) mod nag;
mod page;
pub(crate) mod post;
pub(crate) mod progress;
pub(crate) mod terminal;
pub(crate) mod view;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ezio_contract::report::Progress;

use self::console::{Console, Style, open_system_consoles};
use self::history::History;
use self::post::Word;
use self::progress::{progress_line, reading_line};
use self::view::{Doing, Fact};
use crate::machine::SystemPaths;

/// How often a serial port hears of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Clears from the cursor to the end of the line.
const CLEAR_LINE: &str = "\r\x1b[K";

/// All consoles, and what stands on them.
#[derive(Debug)]
pub(crate) struct Screen {
    consoles: Vec<Console>,
    /// What was said on this machine, by all processes.
    history: Option<History>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A progress line stands at the cursor of consoles that redraw.
    drawn: bool,
    last_line: Option<Instant>,
}

impl Screen {
    /// A screen over these consoles.
    pub(crate) fn new(consoles: Vec<Console>) -> Self {
        Self { consoles, history: None, state: Mutex::default() }
    }

    /// All consoles of this machine, and those of `console=`.
    pub(crate) fn of_machine(paths: &SystemPaths, consoles: &[String]) -> Self {
        let consoles = open_system_consoles(&paths.sys, &paths.dev, consoles);
        Self { history: Some(History::of_machine(paths)), ..Self::new(consoles) }
    }

    /// A screen that nobody sees.
    pub(crate) fn dark() -> Self {
        Self::new(Vec::new())
    }

    /// What happens now: `ezio: TEXT`.
    pub(crate) fn step(&self, text: &str) {
        self.line(&format!("ezio: {text}"));
        self.tell(Fact::Step(text.to_owned()));
    }

    /// For the page: what lines alone do not say.
    pub(crate) fn tell(&self, fact: Fact) {
        self.post(&Word::Fact(fact));
    }

    /// Has whoever draws the page leave the terminal to somebody else.
    pub(crate) fn let_go(&self) {
        self.post(&Word::LetGo);
    }

    fn post(&self, word: &Word) {
        for console in self.consoles.iter().filter(|console| console.style == Style::Page) {
            console.write(word.to_json());
        }
    }

    /// A line (or several), as it stands.
    pub(crate) fn line(&self, text: &str) {
        let mut state = self.state();
        // After a line that says something new, the next progress is news as well.
        state.last_line = None;
        let drawn = std::mem::take(&mut state.drawn);
        if let Some(history) = &self.history {
            history.add(text);
        }
        for console in &self.consoles {
            // Terminals in their raw state need the carriage return too.
            let lines = text.replace('\n', "\r\n");
            match console.style {
                Style::Redraw if drawn => console.write(format!("{CLEAR_LINE}{lines}\r\n")),
                Style::Redraw | Style::Lines => console.write(format!("{lines}\r\n")),
                Style::Page => console.write(Word::Line(text.to_owned()).to_json()),
            }
        }
    }

    /// How far it is; drawn in place, or as a line where none was for a while.
    pub(crate) fn progress(&self, doing: Doing, progress: &Progress) {
        self.redraw(&progress_line(doing.word(), progress));
        self.tell(Fact::Progress { doing, progress: *progress });
    }

    /// The same of what is only read here.
    pub(crate) fn reading(&self, doing: &str, progress: &Progress) {
        self.redraw(&reading_line(doing, progress));
    }

    fn redraw(&self, text: &str) {
        let mut state = self.state();
        let due = state.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if due {
            state.last_line = Some(Instant::now());
        }
        state.drawn = true;
        for console in &self.consoles {
            match console.style {
                Style::Redraw => console.write(format!("{CLEAR_LINE}{text}")),
                Style::Lines if due => console.write(format!("{text}\r\n")),
                Style::Lines | Style::Page => {}
            }
        }
    }

    /// The last lines that were said, for the server.
    pub(crate) fn recent(&self) -> Vec<String> {
        self.history.as_ref().map(History::for_server).unwrap_or_default()
    }

    /// Waits until slow consoles have shown all, at most a moment each.
    pub(crate) fn flush(&self) {
        for console in &self.consoles {
            console.flush(Duration::from_secs(2));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::progress::tests::half;
    use super::*;
    use std::io;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn serial_ports_get_few_lines_and_terminals_every_picture() {
        let (serial, terminal) = (Paper::default(), Paper::default());
        let screen = Screen::new(vec![
            Console::new(Style::Lines, serial.clone()),
            Console::new(Style::Redraw, terminal.clone()),
        ]);
        for _ in 0..3 {
            screen.progress(Doing::Write, &half());
        }
        screen.step("done");
        screen.flush();
        assert_eq!(serial.text().matches("write [").count(), 1);
        assert!(serial.text().ends_with("ezio: done\r\n"));
        assert!(!serial.text().contains('\x1b'));
        assert_eq!(terminal.text().matches("\r\x1b[Kwrite [").count(), 3);
        assert!(terminal.text().ends_with("\r\x1b[Kezio: done\r\n"));
    }
}
