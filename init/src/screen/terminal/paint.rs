//! Escape codes of the Linux console (console_codes(4)): a page, and what has changed of it.

use std::fmt::Write as _;

use crate::screen::page::grid::{Cell, Grid, Ink};
use crate::screen::view::Colour;

/// The colours as RGB: where the page is, no pure red hurts, and white is readable on each. Blue, amber, green and red are
/// backgrounds (4, 3, 2, 1); 6 is a tint for what matters less; 7 and 0 are what codes are made of.
const PALETTE: &str = "\x1b]P0000000\x1b]P1a3232b\x1b]P21a7a42\x1b]P39a5b00\x1b]P41d4f91\x1b]P6d3dbe6\x1b]P7f4f4f4\x1b]Pfffffff";
/// The kernel's own colours.
const OWN_PALETTE: &str = "\x1b]R";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Cursor and colours of what is written below the page.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";

/// A whole page on a terminal of so many rows, with the lines below it. Whatever anybody writes afterwards, the kernel too,
/// scrolls there alone.
pub(super) fn page(grid: &Grid, rows: usize, below: &[String]) -> String {
    let ink = ink(Ink::Soft, grid.colour);
    let mut out = format!("{PALETTE}{HIDE_CURSOR}\x1b[r{ink}\x1b[2J");
    for y in 0..grid.size.height {
        run(&mut out, grid, y, 0..grid.size.width);
    }
    let first = grid.size.height + 1;
    // Writing to a String cannot fail.
    let _ = write!(out, "{ink}\x1b[{first};{rows}r\x1b[{first};1H");
    below.iter().for_each(|text| out.push_str(&line(text, grid.size.width)));
    out
}

/// What differs from the page before, of the same size and colour.
pub(super) fn changes(before: &Grid, after: &Grid) -> String {
    let mut out = String::new();
    for y in 0..after.size.height {
        let differs: Vec<bool> = before.row(y).iter().zip(after.row(y)).map(|(a, b)| a != b).collect();
        let first = differs.iter().position(|differs| *differs);
        let last = differs.iter().rposition(|differs| *differs);
        if let Some((first, last)) = first.zip(last) {
            run(&mut out, after, y, first..last + 1);
        }
    }
    if out.is_empty() { out } else { format!("{SAVE}{out}{RESTORE}") }
}

/// One line of the log. What would move the cursor is a blank.
pub(super) fn long_line(text: &str) -> String {
    line(text, usize::MAX)
}

/// One line below the page, cut at its edge.
pub(super) fn line(text: &str, width: usize) -> String {
    let plain: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(width).collect();
    format!("{plain}\r\n")
}

/// The whole terminal for lines, as the kernel has it.
pub(super) fn log(lines: &[String]) -> String {
    let mut out = format!("{OWN_PALETTE}{SHOW_CURSOR}\x1b[0m\x1b[r\x1b[2J\x1b[H");
    lines.iter().for_each(|text| out.push_str(&long_line(text)));
    out
}

fn run(out: &mut String, grid: &Grid, y: usize, columns: std::ops::Range<usize>) {
    let _ = write!(out, "\x1b[{};{}H", y + 1, columns.start + 1);
    let mut set = None;
    for Cell { letter, ink: wanted } in grid.row(y).get(columns).unwrap_or_default() {
        if set.replace(*wanted) != Some(*wanted) {
            out.push_str(&ink(*wanted, grid.colour));
        }
        out.push(*letter);
    }
}

fn ink(ink: Ink, colour: Colour) -> String {
    let ground = match colour {
        Colour::Red => 41,
        Colour::Green => 42,
        Colour::Amber => 43,
        Colour::Blue => 44,
    };
    match ink {
        Ink::Bright => format!("\x1b[0;1;37;{ground}m"),
        Ink::Soft => format!("\x1b[0;36;{ground}m"),
        Ink::Code => "\x1b[0;30;47m".to_owned(),
    }
}
