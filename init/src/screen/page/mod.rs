//! The page of a machine: a pure function from what is known to cells of a terminal, from 80x25 to whatever a display
//! has. The colour tells from the door how the machine is, the large letters who it is and how far; the rest is for
//! whoever stands before it.

mod code;
pub(crate) mod grid;
mod letters;
#[cfg(test)]
mod tests;

use ezio_contract::report::Progress;
use ezio_image::conf::units::human_size;

use self::code::Code;
use self::grid::{Grid, Ink, Size, rows};
use super::progress::{clock, percent, rates, time_left};
use super::view::{Doing, State, View};

/// Columns on either side that stay free.
const MARGIN: usize = 2;
/// Columns from which on a page has room for the code beside what a working machine does.
const WIDE: usize = 120;
/// Rows from which on the edge stays free.
const ROOMY: usize = 30;
/// What a cut text ends with.
const CUT: &str = "...";
/// How to see everything.
const KEYS: &str = "F2: log";

/// The page of this size.
pub(crate) fn draw(view: &View, size: Size) -> Grid {
    let edge = usize::from(size.height >= ROOMY);
    let mut page = Page {
        grid: Grid::new(size, view.colour()),
        left: MARGIN,
        right: size.width.saturating_sub(MARGIN),
        top: edge,
        bottom: size.height.saturating_sub(edge),
    };
    page.large(&view.name(), size.height / 5);
    match &view.state {
        State::Working => page.working(view),
        State::Waiting { lines, to_do } => {
            page.code(view);
            page.who(view);
            let lines: Vec<String> = lines.iter().map(|line| format!("- {line}")).collect();
            page.news("WAITING", &[lines.join("\n"), to_do.clone()]);
        }
        State::Done => page.done(view),
        State::Failed { step, error } => {
            page.code(view);
            page.who(view);
            page.news("FAILED", &[format!("{step}: {error}"), next(view)]);
        }
    }
    page.grid
}

/// A grid, and what of it is free still.
struct Page {
    grid: Grid,
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Page {
    fn width(&self) -> usize {
        self.right.saturating_sub(self.left)
    }

    fn height(&self) -> usize {
        self.bottom.saturating_sub(self.top)
    }

    /// All that it is known by, and the key to more.
    fn who(&mut self, view: &View) {
        let (id, name) = (&view.id, view.name());
        let card = id.macs().first().map(ToString::to_string);
        let known = [id.serial(), card.as_deref(), id.product(), Some(view.address.as_str()), Some(KEYS)];
        let known = known.into_iter().flatten().filter(|text| !text.is_empty() && *text != name);
        self.text(&known.collect::<Vec<_>>().join(" · "), Ink::Soft);
        self.top += 1;
    }

    /// Large letters, as large as the width and so many rows allow; where they do not fit, as text.
    fn large(&mut self, text: &str, most_rows: usize) {
        if text.is_empty() {
            return;
        }
        match scale_for(text, self.width(), most_rows) {
            0 => self.line(text, Ink::Bright),
            scale => {
                self.grid.letters(self.left, self.top, scale, text);
                self.top += rows(letters::HEIGHT, scale) + 1;
            }
        }
    }

    fn line(&mut self, text: &str, ink: Ink) {
        let line = wrapped(text, self.width(), 1).into_iter().next().unwrap_or_default();
        self.grid.text(self.left, self.top, &line, ink);
        self.top += 1;
    }

    /// Text in as many rows as it needs and there are.
    fn text(&mut self, text: &str, ink: Ink) {
        for line in wrapped(text, self.width(), self.height()) {
            self.line(&line, ink);
        }
    }

    /// The code of the machine's page on the server in the corner at the bottom, where there is room beside the text.
    fn code(&mut self, view: &View) {
        let room = Size { width: self.width() / 2, height: self.height() };
        let Some(code) = view.page.as_ref().and_then(|page| Code::fitting(page, room)) else { return };
        let Size { width, height } = code.size();
        code.draw(&mut self.grid, self.right - width, self.bottom - height);
        self.right -= width + MARGIN;
    }

    /// One large word, and why.
    fn news(&mut self, word: &str, texts: &[String]) {
        self.large(word, self.grid.size.height / 5);
        for text in texts.iter().filter(|text| !text.is_empty()) {
            self.text(text, Ink::Bright);
            self.top += 1;
        }
    }

    fn done(&mut self, view: &View) {
        self.who(view);
        self.what(view);
        self.text(&next(view), Ink::Bright);
        self.top += 1;
        self.large("DONE", self.height());
    }

    fn working(&mut self, view: &View) {
        if self.grid.size.width >= WIDE {
            self.code(view);
        }
        self.who(view);
        self.text(&view.step, Ink::Bright);
        self.top += 1;
        self.what(view);
        if let Some((doing, progress)) = &view.progress {
            self.bar(progress);
            self.numbers(*doing, progress);
        }
    }

    /// What goes where, in the last rows.
    fn what(&mut self, view: &View) {
        let image = (!view.image.is_empty()).then(|| format!("image  {}", view.image));
        let disks = view.disks.iter().map(|disk| format!("disk   {disk}"));
        let lines: Vec<String> = image.into_iter().chain(disks).collect();
        let first = self.bottom.saturating_sub(lines.len()).max(self.top);
        let top = std::mem::replace(&mut self.top, first);
        let room = self.height();
        lines.iter().take(room).for_each(|line| self.line(line, Ink::Bright));
        (self.top, self.bottom) = (top, first.saturating_sub(1));
    }

    /// How far it is, and how fast.
    fn bar(&mut self, progress: &Progress) {
        let said = format!(
            "{}   {} of {}",
            rates(progress),
            human_size(progress.done_bytes),
            human_size(progress.total_bytes)
        );
        let thick = (self.grid.size.height / 20).max(1);
        let top = self.bottom.saturating_sub(thick + 1);
        let full = (self.width() as f64 * percent(progress) / 100.0) as usize;
        for y in top..top + thick {
            self.grid.text(self.left, y, &"░".repeat(self.width()), Ink::Soft);
            self.grid.text(self.left, y, &"█".repeat(full), Ink::Bright);
        }
        self.grid.text(self.left, top + thick, &wrapped(&said, self.width(), 1).concat(), Ink::Bright);
        self.bottom = top.saturating_sub(1);
    }

    /// The share that is done, and beside it what is left of the time.
    fn numbers(&mut self, doing: Doing, progress: &Progress) {
        let share = format!("{}%", percent(progress) as u64);
        // The largest share keeps its place, so that nothing moves while it grows.
        let scale = scale_for("100%", self.width() * 2 / 3, self.height());
        if scale == 0 {
            return;
        }
        let height = rows(letters::HEIGHT, scale);
        let top = self.top + (self.height() - height) / 2;
        self.grid.letters(self.left, top, scale, &share);
        let Some(left) = time_left(progress).filter(|_| doing == Doing::Write) else { return };
        self.left += letters::width("100%") * scale + 2 * MARGIN;
        let time = clock(left);
        let scale = scale_for(&longer(&time), self.width(), height.saturating_sub(1)).min(scale);
        if scale > 0 {
            let rows = rows(letters::HEIGHT, scale);
            self.grid.letters(self.left, top + height - rows, scale, &time);
            self.grid.text(self.left, (top + height - rows).saturating_sub(1), "time left", Ink::Soft);
        }
    }
}

/// A time with room for two digits of minutes.
fn longer(time: &str) -> String {
    if time.len() < "00:00".len() { "00:00".to_owned() } else { time.to_owned() }
}

fn next(view: &View) -> String {
    if view.next.is_empty() { String::new() } else { format!("Next: {}", view.next) }
}

/// The largest letters that fit, in columns a square; 0 where none do.
fn scale_for(text: &str, width: usize, most_rows: usize) -> usize {
    (width / letters::width(text).max(1)).min(most_rows * 2 / letters::HEIGHT)
}

/// Lines of at most `width` letters, parted at blanks where there are any; what is more than `most` lines is cut.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let mut word: Vec<char> = word.chars().collect();
            let used = line.chars().count();
            if used > 0 && used + 1 + word.len() > width {
                lines.push(std::mem::take(&mut line));
            } else if used > 0 {
                line.push(' ');
            }
            while word.len() > width.max(1) {
                let rest = word.split_off(width.max(1));
                lines.push(word.into_iter().collect());
                word = rest;
            }
            line.extend(word);
        }
        lines.push(line);
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let kept =
                last.char_indices().nth(width.saturating_sub(CUT.len())).map_or(last.len(), |(at, _)| at);
            last.truncate(kept);
            last.push_str(CUT);
        }
    }
    lines
}
