//! Text with places for a machine's own values: `lab-{{counter:2}}`. Between the braces stands the name of a value and,
//! if need be, a length: a number is filled up with zeros to it, of other values that many characters at the end are
//! taken. Two braces, for XML and the scripts in it are full of single ones.

use std::collections::BTreeMap;

use ezio_contract::MachineId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Number of the machine, which the server assigns.
pub const COUNTER: &str = "counter";
/// The machine's host name.
pub const HOSTNAME: &str = "hostname";
/// Values that a machine has by itself. Further ones come from columns of a table.
pub const OF_MACHINE: [&str; 4] = ["mac", "serial", "uuid", "product"];
/// Longest that a value may be asked to be.
const MAX_LENGTH: usize = 64;

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { name: String, length: Option<usize>, line: usize },
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct TemplateError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// A value that this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {{{{{name}}}}} has no value for this machine: it has {}", known.join(", "))]
pub struct NoValue {
    /// Line of the template, from 1.
    pub line: usize,
    /// The value's name.
    pub name: String,
    /// Those that there are.
    pub known: Vec<String>,
}

/// A machine's values, by name.
pub type Values = BTreeMap<String, String>;

/// The values that this machine has by itself.
#[must_use]
pub fn values_of(machine: &MachineId) -> Values {
    let mac = machine.macs().first().map(|mac| mac.to_string().replace(':', ""));
    let values = [
        mac,
        machine.serial().map(str::to_owned),
        machine.uuid().map(|uuid| uuid.to_string()),
        machine.product().map(str::to_owned),
    ];
    let named = OF_MACHINE.into_iter().zip(values);
    named.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Braces that do not close, or something else than a name between them.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let offset = text.len() - behind.len();
            let line = text[..offset].matches('\n').count() + 1;
            let refuse = |what: String| TemplateError { line, what };
            let (inside, after) =
                behind.split_once("}}").ok_or_else(|| refuse("{{ without }}".to_owned()))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(value(inside, line).map_err(refuse)?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Does it need this value?
    #[must_use]
    pub fn names(&self, wanted: &str) -> bool {
        self.value_names().any(|name| name == wanted)
    }

    /// Every value that it needs.
    pub fn value_names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value { name, .. } => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text with `values` in it, each passed through `escape`.
    ///
    /// # Errors
    /// There is no such value.
    pub fn fill(&self, values: &Values, escape: impl Fn(&str) -> String) -> Result<String, NoValue> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled += text,
                Part::Value { name, length, line } => {
                    let value = values.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                        NoValue { line: *line, name: name.clone(), known: values.keys().cloned().collect() }
                    })?;
                    filled += &escape(&of_length(name, value, *length));
                }
            }
        }
        Ok(filled)
    }
}

fn value(inside: &str, line: usize) -> Result<Part, String> {
    let (name, length) = match inside.trim().split_once(':') {
        Some((name, length)) => (name.trim(), Some(length.trim())),
        None => (inside.trim(), None),
    };
    if !is_value_name(name) {
        return Err(format!(
            "{name:?} between {{{{ and }}}} is no name of a value: write for example {{{{mac}}}}, {{{{serial}}}}, \
             {{{{counter:2}}}}, or the name of a column of the table of hosts"
        ));
    }
    let length = match length.map(|length| (length, length.parse::<usize>())) {
        None => None,
        Some((_, Ok(length))) if (1..=MAX_LENGTH).contains(&length) => Some(length),
        Some((text, _)) => return Err(format!("{text:?} is no length: write 1 to {MAX_LENGTH}")),
    };
    Ok(Part::Value { name: name.to_owned(), length, line })
}

/// Is this a name that can stand between the braces: small letters, digits and hyphens?
pub(super) fn is_value_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn of_length(name: &str, value: &str, length: Option<usize>) -> String {
    match length {
        None => value.to_owned(),
        Some(length) if name == COUNTER => format!("{value:0>length$}"),
        Some(length) => value.chars().skip(value.chars().count().saturating_sub(length)).collect(),
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|error| error.what)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

/// Text as it may stand in an element or an attribute of XML.
#[must_use]
pub fn xml_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&apos;",
            // XML 1.0 has no way to write other control characters.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, values: &[(&str, &str)]) -> Result<String, NoValue> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Template::parse(text).unwrap().fill(&values, str::to_owned)
    }

    #[test]
    fn values_stand_where_they_are_named() {
        assert_eq!(fill("lab-{{counter:3}}", &[("counter", "7")]).unwrap(), "lab-007");
        assert_eq!(fill("lab-{{counter:1}}", &[("counter", "12")]).unwrap(), "lab-12", "no digit is lost");
        assert_eq!(fill("{{ mac:6 }}.x", &[("mac", "525400123456")]).unwrap(), "123456.x");
        assert_eq!(fill("{one} {{room}}{{seat}}", &[("room", "ä"), ("seat", "2")]).unwrap(), "{one} ä2");
        let error = fill("a\n{{serial}}", &[("mac", "1"), ("serial", "")]).unwrap_err();
        assert_eq!((error.line, error.name.as_str()), (2, "serial"), "an empty value is none");
        assert!(error.to_string().contains("{{serial}} has no value for this machine: it has mac, serial"));
    }

    #[test]
    fn what_is_no_template_is_refused_by_line() {
        for (text, line, word) in [
            ("a\n{{mac", 2, "{{ without }}"),
            ("{{Mac}}", 1, "no name of a value"),
            ("\n\n{{mac:0}}", 3, "no length"),
            ("{{}}", 1, "no name of a value"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.line == line && error.what.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn xml_stays_xml_whatever_a_machine_says() {
        assert_eq!(xml_escaped("a<b>&\"'\u{1}ä"), "a&lt;b&gt;&amp;&quot;&apos;?ä");
    }
}
