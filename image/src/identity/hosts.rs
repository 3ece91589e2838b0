//! A table of hosts (CSV, RFC 4180): one line a machine, found by its `mac`, `uuid` or `serial`; the other columns are
//! values for templates.

use std::collections::BTreeSet;

use ezio_contract::{Mac, MachineId, SystemUuid};
use thiserror::Error;

use super::template::{COUNTER, OF_MACHINE, Values, is_value_name};

/// Columns that say which machine a line is for.
const KEYS: [&str; 3] = ["mac", "uuid", "serial"];

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct HostsError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// A checked table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    mac: Option<Mac>,
    uuid: Option<SystemUuid>,
    serial: Option<String>,
    values: Values,
}

impl Hosts {
    /// Reads a table; its first line names the columns.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(text: &str) -> Result<Self, HostsError> {
        let mut lines = records(text.strip_prefix('\u{feff}').unwrap_or(text))?.into_iter();
        let refuse = |line: usize, what: String| HostsError { line, what };
        let (line, columns) = lines.next().ok_or_else(|| refuse(1, "there is no line".to_owned()))?;
        check_columns(&columns).map_err(|what| refuse(line, what))?;
        let mut hosts: Vec<Host> = Vec::new();
        let mut seen = BTreeSet::new();
        for (line, fields) in lines {
            let host = host(&columns, &fields).map_err(|what| refuse(line, what))?;
            for key in host.keys() {
                if !seen.insert(key.clone()) {
                    return Err(refuse(line, format!("{key} is in the table twice")));
                }
            }
            hosts.push(host);
        }
        Ok(Self(hosts))
    }

    /// Does it have a column of this name? In an empty table nobody can tell.
    #[must_use]
    pub fn has_column(&self, name: &str) -> bool {
        self.0.first().is_none_or(|host| host.values.contains_key(name))
    }

    /// The values of this machine's line, if it has one. A card counts before a serial number, which boards may share.
    #[must_use]
    pub fn values_of(&self, machine: &MachineId) -> Option<&Values> {
        let by_mac = |host: &&Host| host.mac.is_some_and(|mac| machine.macs().contains(&mac));
        let by_uuid = |host: &&Host| host.uuid.is_some() && host.uuid == machine.uuid();
        let by_serial = |host: &&Host| host.serial.is_some() && host.serial.as_deref() == machine.serial();
        let find = |fits: &dyn Fn(&&Host) -> bool| self.0.iter().find(|host| fits(host));
        find(&by_mac).or_else(|| find(&by_uuid)).or_else(|| find(&by_serial)).map(|host| &host.values)
    }
}

impl Host {
    fn keys(&self) -> impl Iterator<Item = String> + '_ {
        let mac = self.mac.map(|mac| format!("MAC {mac}"));
        let uuid = self.uuid.map(|uuid| format!("UUID {uuid}"));
        let serial = self.serial.as_ref().map(|serial| format!("serial {serial}"));
        mac.into_iter().chain(uuid).chain(serial)
    }
}

fn check_columns(columns: &[String]) -> Result<(), String> {
    if !columns.iter().any(|column| KEYS.contains(&column.as_str())) {
        return Err("the first line names the columns; one of mac, uuid and serial must be there".to_owned());
    }
    for (index, column) in columns.iter().enumerate() {
        let taken =
            column == COUNTER || (OF_MACHINE.contains(&column.as_str()) && !KEYS.contains(&column.as_str()));
        if !is_value_name(column) || taken {
            return Err(format!(
                "{column:?} is no name for a column: small letters, digits, hyphens, not {COUNTER}"
            ));
        }
        if columns[..index].contains(column) {
            return Err(format!("the column {column} is there twice"));
        }
    }
    Ok(())
}

fn host(columns: &[String], fields: &[String]) -> Result<Host, String> {
    if fields.len() != columns.len() {
        return Err(format!("{} fields, but there are {} columns", fields.len(), columns.len()));
    }
    let mut host = Host { mac: None, uuid: None, serial: None, values: Values::new() };
    for (column, field) in columns.iter().zip(fields) {
        let field = field.trim();
        match (column.as_str(), field.is_empty()) {
            ("mac" | "uuid" | "serial", true) => {}
            ("mac", _) => host.mac = Some(field.parse().map_err(|_| format!("{field:?} is no MAC address"))?),
            ("uuid", _) => host.uuid = Some(field.parse().map_err(|e| format!("{e}"))?),
            ("serial", _) => host.serial = Some(field.to_owned()),
            _ => {
                host.values.insert(column.clone(), field.to_owned());
            }
        }
    }
    if host.keys().next().is_none() {
        return Err("neither mac nor uuid nor serial: no machine would ever be this one".to_owned());
    }
    Ok(host)
}

/// The records that are not empty, each with the line that it begins on.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, HostsError> {
    let mut records = Vec::new();
    let (mut line, mut began) = (1, 1);
    let mut fields = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let last = fields.len() - 1;
        let field = &mut fields[last];
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            ',' if !quoted => fields.push(String::new()),
            '\n' if !quoted => {
                records.push((began, std::mem::replace(&mut fields, vec![String::new()])));
                began = line + 1;
            }
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            c => field.push(c),
        }
        line += usize::from(c == '\n');
    }
    if quoted {
        return Err(HostsError { line: began, what: "a quotation mark is not closed".to_owned() });
    }
    records.push((began, fields));
    records.retain(|(_, fields)| {
        let comment = fields.first().is_some_and(|field| field.trim_start().starts_with('#'));
        !comment && fields.iter().any(|field| !field.trim().is_empty())
    });
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ezio_contract::FirmwareIdentity;

    fn machine(mac: &str, serial: &str) -> MachineId {
        let said = FirmwareIdentity {
            serial: Some(serial.into()),
            macs: vec![mac.into()],
            ..FirmwareIdentity::default()
        };
        said.into()
    }

    #[test]
    fn a_machine_has_the_values_of_its_line() {
        let text = "mac,serial,hostname,room\r\n# the first row\r\n52-54-00-00-00-01,,one,\"A, \"\"1\"\"\"\r\n\r\n,S2,two,\r\n";
        let hosts = Hosts::parse(text).unwrap();
        let one = hosts.values_of(&machine("52:54:00:00:00:01", "S2")).unwrap();
        assert_eq!(
            (one["hostname"].as_str(), one["room"].as_str()),
            ("one", "A, \"1\""),
            "the card counts first"
        );
        assert_eq!(hosts.values_of(&machine("52:54:00:00:00:09", "S2")).unwrap()["hostname"], "two");
        assert_eq!(hosts.values_of(&machine("52:54:00:00:00:09", "S3")), None);
        assert!(hosts.has_column("room") && !hosts.has_column("floor"));
    }

    #[test]
    fn mistakes_are_refused_by_line() {
        for (text, line, word) in [
            ("", 1, "no line"),
            ("hostname\n", 1, "one of mac"),
            ("mac,counter\n", 1, "no name for a column"),
            ("mac,a,a\n", 1, "twice"),
            ("mac,a\n\n52:54:00:00:00:01\n", 3, "1 fields, but there are 2"),
            ("mac,a\nx,y\n", 2, "no MAC address"),
            ("mac,a\n,y\n", 2, "neither mac"),
            ("mac,a\n52:54:00:00:00:01,x\n52-54-00-00-00-01,y\n", 3, "twice"),
            ("mac,a\n52:54:00:00:00:01,\"x\ny\n", 2, "not closed"),
            ("uuid,a\n00000000-0000-0000-0000-000000000000,x\n", 2, "names no machine"),
        ] {
            let error = Hosts::parse(text).expect_err(text);
            assert!(error.line == line && error.what.contains(word), "{text}: {error}");
        }
    }
}
