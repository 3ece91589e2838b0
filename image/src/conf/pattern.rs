//! Text with `*` and `?`, upper and lower case alike.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A checked pattern: `*` is any text, `?` any one character, `[ab]` one of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(glob::Pattern);

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(
                "an empty pattern would match nothing: leave the key out to match everything".to_owned()
            );
        }
        glob::Pattern::new(text.trim()).map(Self).map_err(|e| format!("{text:?} is not a pattern: {}", e.msg))
    }

    /// Matches this text alone.
    ///
    /// # Errors
    /// The text is empty.
    pub fn literal(text: &str) -> Result<Self, String> {
        Self::new(&glob::Pattern::escape(text))
    }

    /// Does `text`, without the blanks around it, match?
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let options = glob::MatchOptions { case_sensitive: false, ..Default::default() };
        self.0.matches_with(text.trim(), options)
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Does it match one text only?
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.as_str().contains(['*', '?', '['])
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.as_str().to_owned()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
