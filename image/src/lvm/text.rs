//! The text that LVM2 keeps its metadata in (lvm2, `libdm/libdm-config.c`): `key = value`, lists, sections in braces.

use std::collections::BTreeMap;

/// Sections within sections: a volume group has three.
const MOST_NESTED: usize = 16;

/// What a key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Section(Section),
}

/// Keys and sections by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section(BTreeMap<String, Value>);

impl Section {
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&[Value]> {
        match self.0.get(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn section(&self, key: &str) -> Option<&Section> {
        match self.0.get(key)? {
            Value::Section(section) => Some(section),
            _ => None,
        }
    }

    /// The texts that its keys have, alone or in lists.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self.0.values().flat_map(|value| match value {
            Value::List(list) => list.as_slice(),
            other => std::slice::from_ref(other),
        });
        values.filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The sections in it, by name.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name.as_str(), section)),
            _ => None,
        })
    }
}

/// Reads a text; `None` where it makes no sense.
pub(super) fn parse(text: &str) -> Option<Section> {
    let mut words = words(text)?;
    words.reverse();
    section(&mut words, None, 0)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Name(String),
    Text(String),
    Sign(char),
}

fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\0' => break,
            c if c.is_whitespace() => {}
            '#' => while rest.next().is_some_and(|c| c != '\n') {},
            '"' => {
                let mut quoted = String::new();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '\\' => quoted.push(rest.next()?),
                        c => quoted.push(c),
                    }
                }
                words.push(Word::Text(quoted));
            }
            '{' | '}' | '[' | ']' | ',' | '=' => words.push(Word::Sign(c)),
            c => {
                let mut name = String::from(c);
                let goes_on = |c: &char| !c.is_whitespace() && !"{}[],=\"#".contains(*c);
                while let Some(c) = rest.next_if(goes_on) {
                    name.push(c);
                }
                words.push(Word::Name(name));
            }
        }
    }
    Some(words)
}

/// `words`: the next one is the last. `end` closes the section.
fn section(words: &mut Vec<Word>, end: Option<char>, depth: usize) -> Option<Section> {
    let mut section = Section::default();
    if depth > MOST_NESTED {
        return None;
    }
    loop {
        let name = match (words.pop(), end) {
            (Some(Word::Name(name)), _) => name,
            (Some(Word::Sign(sign)), Some(end)) if sign == end => return Some(section),
            (None, None) => return Some(section),
            _ => return None,
        };
        let value = match words.pop()? {
            Word::Sign('{') => Value::Section(self::section(words, Some('}'), depth + 1)?),
            Word::Sign('=') => value(words)?,
            _ => return None,
        };
        section.0.insert(name, value);
    }
}

fn value(words: &mut Vec<Word>) -> Option<Value> {
    match words.pop()? {
        Word::Sign('[') => {
            let mut list = Vec::new();
            loop {
                match words.last()? {
                    Word::Sign(']') => {
                        words.pop();
                        return Some(Value::List(list));
                    }
                    Word::Sign(',') => drop(words.pop()),
                    Word::Sign(_) => return None,
                    Word::Name(_) | Word::Text(_) => list.push(value(words)?),
                }
            }
        }
        Word::Text(text) => Some(Value::Text(text)),
        Word::Name(number) => number.parse().ok().map(Value::Number),
        Word::Sign(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lists_and_sections_are_read() {
        let text = "vg0 {\n\tid = \"a-\\\"b\" # comment {\n\tseqno=3\n\tstatus = [\"READ\", \"WRITE\"]\n\tflags = []\n\
                    \troot { stripes = [\n\"pv0\", 12\n] }\n}\ncontents = \"Text Format Volume Group\"\n\0\0";
        let all = parse(text).unwrap();
        let group = all.section("vg0").unwrap();
        assert_eq!((group.text("id"), group.number("seqno")), (Some("a-\"b"), Some(3)));
        assert_eq!(group.list("flags"), Some(&[][..]));
        let stripes = group.section("root").and_then(|root| root.list("stripes")).unwrap();
        assert_eq!(stripes, [Value::Text("pv0".into()), Value::Number(12)]);
        assert_eq!(group.texts().collect::<Vec<_>>(), ["a-\"b", "READ", "WRITE"]);
        assert_eq!(all.sections().count(), 1);
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        let deep = "a {".repeat(100_000);
        for bad in ["a {", "a = ", "a = \"", "a = [", "a = [ {", "}", "a b", "= 1", &deep, "a = -"] {
            assert_eq!(parse(bad), None, "{}", &bad[..bad.len().min(20)]);
        }
    }
}
