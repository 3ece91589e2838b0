//! Says what goes wrong again and again, but not every time.

use std::time::{Duration, Instant};

use super::Screen;

/// How often the same words are said.
const AGAIN: Duration = Duration::from_secs(15);

/// What was said last, and when.
pub(crate) struct Nag<'a> {
    screen: &'a Screen,
    last: Option<(String, Instant)>,
}

impl<'a> Nag<'a> {
    pub(crate) fn new(screen: &'a Screen) -> Self {
        Self { screen, last: None }
    }

    /// Says it if it is new, or was not said for a while.
    pub(crate) fn say(&mut self, text: String) {
        if self.last.as_ref().is_some_and(|(said, when)| *said == text && when.elapsed() < AGAIN) {
            return;
        }
        self.screen.step(&text);
        self.last = Some((text, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_said_once_in_a_while() {
        let screen = Screen::dark();
        let mut nag = Nag::new(&screen);
        nag.say("a".into());
        let first = nag.last.clone().unwrap().1;
        nag.say("a".into());
        assert_eq!(nag.last.clone().unwrap().1, first, "not said again");
        nag.say("b".into());
        assert_eq!(nag.last.clone().unwrap().0, "b");
    }
}
