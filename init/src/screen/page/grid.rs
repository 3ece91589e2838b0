//! Cells of a terminal, and what is drawn into them.

use super::letters;
use crate::screen::view::Colour;

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// How a cell is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// White on the colour of the page.
    Bright,
    /// A lighter tint of it on the same.
    Soft,
    /// Black on white, for cameras.
    Code,
}

/// A character and its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) letter: char,
    pub(crate) ink: Ink,
}

/// A page as it stands on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) size: Size,
    pub(crate) colour: Colour,
    cells: Vec<Cell>,
}

impl Grid {
    /// An empty page.
    pub(super) fn new(size: Size, colour: Colour) -> Self {
        let cells = vec![Cell { letter: ' ', ink: Ink::Bright }; size.width * size.height];
        Self { size, colour, cells }
    }

    /// A row from left to right.
    pub(crate) fn row(&self, y: usize) -> &[Cell] {
        self.cells.get(y * self.size.width..(y + 1) * self.size.width).unwrap_or_default()
    }

    /// Sets a cell, where there is one.
    pub(super) fn put(&mut self, x: usize, y: usize, letter: char, ink: Ink) {
        if x < self.size.width
            && let Some(cell) = self.cells.get_mut(y * self.size.width + x)
        {
            *cell = Cell { letter, ink };
        }
    }

    /// A line of text. What would move a cursor is a blank.
    pub(super) fn text(&mut self, x: usize, y: usize, text: &str, ink: Ink) {
        for (at, letter) in text.chars().enumerate() {
            self.put(x + at, y, if letter.is_control() { ' ' } else { letter }, ink);
        }
    }

    /// Squares of `scale` columns each. A cell is two squares high, so its upper and lower half are set apart.
    pub(super) fn squares(&mut self, x: usize, y: usize, scale: usize, set: &[(usize, usize)], ink: Ink) {
        for (square_x, square_y) in set {
            for half in square_y * scale..(square_y + 1) * scale {
                for column in square_x * scale..(square_x + 1) * scale {
                    self.half(x + column, y + half / 2, half % 2 == 0, ink);
                }
            }
        }
    }

    /// Large letters of `scale` columns a square.
    pub(super) fn letters(&mut self, x: usize, y: usize, scale: usize, text: &str) {
        self.squares(x, y, scale, &letters::squares(text), Ink::Bright);
    }

    fn half(&mut self, x: usize, y: usize, upper: bool, ink: Ink) {
        let there = self.row(y).get(x).map_or(' ', |cell| cell.letter);
        let letter = match (there, upper) {
            ('█', _) | ('▄', true) | ('▀', false) => '█',
            (_, true) => '▀',
            (_, false) => '▄',
        };
        self.put(x, y, letter, ink);
    }
}

/// Rows that squares need from top to bottom.
pub(super) fn rows(squares: usize, scale: usize) -> usize {
    (squares * scale).div_ceil(2)
}
