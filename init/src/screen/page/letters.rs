//! Letters made of squares, five wide and seven high, drawn here for names and numbers that are read from afar.

use std::collections::HashMap;
use std::sync::LazyLock;

/// For each letter a line with it alone, then its rows.
const DRAWN: &str = include_str!("letters.txt");
/// Squares from top to bottom.
pub(super) const HEIGHT: usize = 7;
/// Squares between two letters.
const GAP: usize = 1;
/// Squares of a blank, and of what is not drawn.
const BLANK: usize = 3;

static LETTERS: LazyLock<HashMap<char, Vec<&'static str>>> = LazyLock::new(|| {
    let lines: Vec<&str> = DRAWN.lines().collect();
    let letters = lines.chunks(1 + HEIGHT).filter_map(|lines| lines.split_first());
    letters.filter_map(|(letter, rows)| Some((letter.chars().next()?, rows.to_vec()))).collect()
});

/// Squares from left to right.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|letter| letter_width(letter) + GAP).sum::<usize>().saturating_sub(GAP)
}

/// The squares that are set, as column and row.
pub(super) fn squares(text: &str) -> Vec<(usize, usize)> {
    let mut set = Vec::new();
    let mut left = 0;
    for letter in text.chars() {
        for (y, row) in rows(letter).iter().enumerate() {
            let dark = row.bytes().enumerate().filter(|(_, square)| *square == b'#');
            set.extend(dark.map(|(x, _)| (left + x, y)));
        }
        left += letter_width(letter) + GAP;
    }
    set
}

fn rows(letter: char) -> &'static [&'static str] {
    LETTERS.get(&letter.to_ascii_uppercase()).map_or(&[], Vec::as_slice)
}

fn letter_width(letter: char) -> usize {
    rows(letter).first().map_or(BLANK, |row| row.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_drawn_whole() {
        for letter in ('A'..='Z').chain('0'..='9').chain("-_.:/%+".chars()) {
            let rows = rows(letter);
            assert_eq!(rows.len(), HEIGHT, "{letter}");
            assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{letter}");
            assert!(rows.iter().any(|row| row.contains('#')), "{letter}");
        }
        assert_eq!(LETTERS.len(), 43);
    }

    #[test]
    fn small_letters_are_large_ones_and_strangers_are_blanks() {
        assert_eq!(squares("pc-1"), squares("PC-1"));
        assert_eq!((squares("€"), width("€")), (Vec::new(), BLANK));
        assert_eq!(width("1:"), 5 + GAP + 1);
    }
}
