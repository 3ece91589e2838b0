//! Host names: what may be one (RFC 1123), and one from a template.

use thiserror::Error;

use super::template::{NoValue, Template, Values};

/// Longest host name that Linux takes, in bytes.
const MAX_HOSTNAME: usize = 64;
/// Longest part of it between dots, in bytes.
const MAX_LABEL: usize = 63;
/// Longest name of a Windows computer (NetBIOS), in bytes.
pub const MAX_COMPUTER_NAME: usize = 15;

/// Why a machine gets no host name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoHostname {
    /// A value is missing.
    #[error("hostname: {0}")]
    Value(#[from] NoValue),
    /// What comes out is no host name.
    #[error(
        "hostname: {0:?} is no host name: letters, digits and hyphens, parts of at most {MAX_LABEL} between dots, at most \
         {MAX_HOSTNAME} in all"
    )]
    Malformed(String),
}

/// The host name that a template gives a machine. What a host name cannot have, in a serial number, becomes a hyphen.
///
/// # Errors
/// A value is missing, or what comes out is no host name.
pub fn hostname(template: &Template, values: &Values) -> Result<String, NoHostname> {
    let fitting = |value: &str| value.chars().map(|c| if is_fitting(c) { c } else { '-' }).collect();
    let name = template.fill(values, fitting)?;
    let name = name.trim_matches('-');
    if is_hostname(name) { Ok(name.to_owned()) } else { Err(NoHostname::Malformed(name.to_owned())) }
}

fn is_fitting(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.'
}

/// Is this a host name?
#[must_use]
pub fn is_hostname(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= MAX_HOSTNAME && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gives_a_host_name_or_says_why_not() {
        let name = |template: &str, value: &str| {
            let values = [("serial".to_owned(), value.to_owned())].into();
            hostname(&Template::parse(template).unwrap(), &values)
        };
        assert_eq!(name("pc-{{serial}}.lab", "B5/BM 02").unwrap(), "pc-B5-BM-02.lab");
        assert_eq!(name("{{serial}}", " 7 ").unwrap(), "7");
        for bad in ["pc_{{serial}}", "pc-{{serial}}..x", "{{serial}}-{{serial}}.-x"] {
            assert!(matches!(name(bad, "1"), Err(NoHostname::Malformed(_))), "{bad}");
        }
        assert!(matches!(name("{{serial}}", &"x".repeat(64)), Err(NoHostname::Malformed(_))));
        assert!(matches!(name("{{mac}}", "1"), Err(NoHostname::Value(_))));
    }
}
