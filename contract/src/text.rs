//! Text from outside: of firmware, of other machines, of whoever is on the network.

/// The text, trimmed, at most `longest` bytes of it, on one line, with nothing in it that a terminal would obey.
#[must_use]
pub fn one_line(text: &str, longest: usize) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        if line.len() + c.len_utf8() > longest {
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bounded_and_harmless() {
        assert_eq!(one_line(" a\nb\u{1b}[2J ", 100), "a b [2J");
        assert_eq!(one_line("äöü", 5), "äö");
    }
}
