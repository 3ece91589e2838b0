//! The text that LVM2 keeps its metadata in (lvm2, `libdm/libdm-config.c`): `key = value`, lists, sections in braces.

use std::collections::BTreeMap;
use std::ops::Range;

/// Sections within sections: a volume group has three.
const MOST_NESTED: usize = 16;

/// What a key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(Number),
    Text(String),
    List(Vec<Value>),
    Section(Section),
}

/// A number, and where in the text it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: u64,
    pub(super) at: Range<usize>,
}

/// Keys and sections by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    entries: BTreeMap<String, Value>,
    /// Where in the text it stands, from its name to its last brace; all of it for the text itself.
    pub(super) at: Range<usize>,
}

impl Section {
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.placed(key).map(|number| number.value)
    }

    /// A number, with its place in the text.
    pub(super) fn placed(&self, key: &str) -> Option<&Number> {
        match self.entries.get(key)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.entries.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&[Value]> {
        match self.entries.get(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn section(&self, key: &str) -> Option<&Section> {
        match self.entries.get(key)? {
            Value::Section(section) => Some(section),
            _ => None,
        }
    }

    /// The texts that its keys have, alone or in lists.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self.entries.values().flat_map(|value| match value {
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
        self.entries.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name.as_str(), section)),
            _ => None,
        })
    }
}

/// Reads a text; `None` where it makes no sense.
pub(super) fn parse(text: &str) -> Option<Section> {
    let mut words = words(text)?;
    words.reverse();
    let all = Section { entries: BTreeMap::new(), at: 0..text.len() };
    section(&mut words, all, None, 0)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Name(String, Range<usize>),
    Text(String),
    Sign(char, usize),
}

fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '\0' => break,
            c if c.is_whitespace() => {}
            '#' => while rest.next().is_some_and(|(_, c)| c != '\n') {},
            '"' => {
                let mut quoted = String::new();
                loop {
                    match rest.next()?.1 {
                        '"' => break,
                        '\\' => quoted.push(rest.next()?.1),
                        c => quoted.push(c),
                    }
                }
                words.push(Word::Text(quoted));
            }
            '{' | '}' | '[' | ']' | ',' | '=' => words.push(Word::Sign(c, at)),
            c => {
                let mut name = String::from(c);
                let goes_on = |(_, c): &(usize, char)| !c.is_whitespace() && !"{}[],=\"#\0".contains(*c);
                while let Some((_, c)) = rest.next_if(goes_on) {
                    name.push(c);
                }
                let end = at + name.len();
                words.push(Word::Name(name, at..end));
            }
        }
    }
    Some(words)
}

/// `words`: the next one is the last. `end` closes the section, of which is known where it begins.
fn section(words: &mut Vec<Word>, mut section: Section, end: Option<char>, depth: usize) -> Option<Section> {
    if depth > MOST_NESTED {
        return None;
    }
    loop {
        let (name, at) = match (words.pop(), end) {
            (Some(Word::Name(name, at)), _) => (name, at),
            (Some(Word::Sign(sign, at)), Some(end)) if sign == end => {
                section.at.end = at + 1;
                return Some(section);
            }
            (None, None) => return Some(section),
            _ => return None,
        };
        let value = match words.pop()? {
            Word::Sign('{', _) => {
                let begun = Section { entries: BTreeMap::new(), at };
                Value::Section(self::section(words, begun, Some('}'), depth + 1)?)
            }
            Word::Sign('=', _) => value(words)?,
            _ => return None,
        };
        section.entries.insert(name, value);
    }
}

fn value(words: &mut Vec<Word>) -> Option<Value> {
    match words.pop()? {
        Word::Sign('[', _) => {
            let mut list = Vec::new();
            loop {
                match words.last()? {
                    Word::Sign(']', _) => {
                        words.pop();
                        return Some(Value::List(list));
                    }
                    Word::Sign(',', _) => drop(words.pop()),
                    Word::Sign(..) => return None,
                    Word::Name(..) | Word::Text(_) => list.push(value(words)?),
                }
            }
        }
        Word::Text(text) => Some(Value::Text(text)),
        Word::Name(number, at) => Some(Value::Number(Number { value: number.parse().ok()?, at })),
        Word::Sign(..) => None,
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
        let root = group.section("root").unwrap();
        let stripes = root.list("stripes").unwrap();
        let [Value::Text(volume), Value::Number(start)] = stripes else { panic!("{stripes:?}") };
        assert_eq!((volume.as_str(), start.value, &text[start.at.clone()]), ("pv0", 12, "12"));
        assert_eq!(&text[root.at.clone()], "root { stripes = [\n\"pv0\", 12\n] }");
        assert_eq!(root.texts().collect::<Vec<_>>(), ["pv0"]);
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
