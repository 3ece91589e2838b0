//! The text that `sfdisk --dump` prints and `sfdisk` reads: util-linux 2.38's, that of versions
//! before 2.26 (`Id=`, no label), and what Clonezilla keeps as `sda-pt.sf`.

use std::fmt::Write;

use uuid::Uuid;

use super::{Entry, Layout, LayoutError, Partition, Table};

const DEFAULT_ENTRIES: u32 = 128;
/// Attribute bits with a name of their own.
const NAMED_ATTRIBUTES: [(u32, &str); 3] =
    [(0, "RequiredPartition"), (1, "NoBlockIOProtocol"), (2, "LegacyBIOSBootable")];
/// Bits from this one up are the partition type's.
const FIRST_TYPE_ATTRIBUTE: u32 = 48;

/// What stands between a disk's path and a partition's number.
pub(super) fn separator(device: &str) -> &'static str {
    if device.starts_with("/dev/disk/") || device.starts_with("/dev/mapper/") {
        "-part"
    } else if device.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    }
}

pub(super) fn print(layout: &Layout) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = print_to(layout, &mut out);
    out
}

fn print_to(layout: &Layout, out: &mut String) -> std::fmt::Result {
    match layout.table {
        Table::Gpt { disk_guid, .. } => {
            write!(out, "label: gpt\nlabel-id: {:X}\n", disk_guid.hyphenated())?;
        }
        Table::Dos { disk_id } => write!(out, "label: dos\nlabel-id: {disk_id:#010x}\n")?,
    }
    write!(out, "device: {}\nunit: sectors\n", layout.device)?;
    if let Table::Gpt { first_lba, last_lba, entries, .. } = layout.table {
        write!(out, "first-lba: {first_lba}\nlast-lba: {last_lba}\n")?;
        if entries != DEFAULT_ENTRIES {
            writeln!(out, "table-length: {entries}")?;
        }
    }
    write!(out, "sector-size: {}\n\n", layout.sector_size)?;
    for p in &layout.partitions {
        let node = format!("{}{}{}", layout.device, separator(&layout.device), p.number);
        write!(out, "{node} : start={:12}, size={:12}", p.start, p.size)?;
        match &p.entry {
            Entry::Gpt { type_guid, uuid, name, attributes } => {
                write!(out, ", type={:X}, uuid={:X}", type_guid.hyphenated(), uuid.hyphenated())?;
                if !name.is_empty() {
                    write!(out, ", name=\"{}\"", escape(name))?;
                }
                let attributes = print_attributes(*attributes);
                if !attributes.is_empty() {
                    write!(out, ", attrs=\"{attributes}\"")?;
                }
            }
            Entry::Dos { type_id, bootable } => {
                write!(out, ", type={type_id:x}{}", if *bootable { ", bootable" } else { "" })?;
            }
        }
        out.push('\n');
    }
    Ok(())
}

fn escape(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && !b"\"\\`$".contains(&byte) || byte == b' ' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.strip_prefix(b"x").and_then(|t| t.get(..2)).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()).filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn print_attributes(bits: u64) -> String {
    let set = |bit: u32| bits >> bit & 1 == 1;
    let mut parts: Vec<String> =
        NAMED_ATTRIBUTES.iter().filter(|(bit, _)| set(*bit)).map(|(_, name)| (*name).to_owned()).collect();
    let own: Vec<String> =
        (FIRST_TYPE_ATTRIBUTE..64).filter(|bit| set(*bit)).map(|bit| bit.to_string()).collect();
    if !own.is_empty() {
        parts.push(format!("GUID:{}", own.join(",")));
    }
    parts.join(" ")
}

fn parse_attributes(text: &str) -> Result<u64, String> {
    let mut bits = 0;
    for word in text.split([' ', ',']).filter(|w| !w.is_empty()) {
        // Old versions of sfdisk misspelt the first, and newer ones still read that.
        let word = if word == "RequiredPartiton" { "RequiredPartition" } else { word };
        let named = NAMED_ATTRIBUTES.iter().find(|(_, name)| *name == word).map(|(bit, _)| *bit);
        let numbered = || word.strip_prefix("GUID:").unwrap_or(word).parse().ok().filter(|bit| *bit < 64);
        let bit = named.or_else(numbered).ok_or_else(|| format!("{word:?} is no attribute"))?;
        bits |= 1 << bit;
    }
    Ok(bits)
}

#[derive(Default)]
struct Headers {
    label: Option<String>,
    label_id: Option<String>,
    device: String,
    first_lba: Option<u64>,
    last_lba: Option<u64>,
    entries: Option<u32>,
    sector_size: Option<u32>,
}

impl Headers {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let bad = || format!("{key}: {value:?} is not a number");
        match key {
            "label" => self.label = Some(value.to_ascii_lowercase()),
            "label-id" => self.label_id = Some(value.to_owned()),
            "device" => value.clone_into(&mut self.device),
            "unit" | "units" if value != "sectors" => {
                return Err(format!("the unit is {value:?}, not sectors"));
            }
            "first-lba" => self.first_lba = Some(value.parse().map_err(|_| bad())?),
            "last-lba" => self.last_lba = Some(value.parse().map_err(|_| bad())?),
            "table-length" => self.entries = Some(value.parse().map_err(|_| bad())?),
            "sector-size" => self.sector_size = Some(value.parse().map_err(|_| bad())?),
            // "grain", and what later versions add: hints for the next partition to be made.
            _ => {}
        }
        Ok(())
    }

    fn is_gpt(&self) -> Result<bool, String> {
        match self.label.as_deref() {
            Some("gpt") => Ok(true),
            // Before 2.26 there was only this one.
            Some("dos" | "mbr") | None => Ok(false),
            Some(other) => Err(format!("a table of type {other:?}: only gpt and dos can be handled")),
        }
    }

    fn table(&self, gpt: bool, sectors_needed: u64) -> Result<Table, String> {
        let id = self.label_id.as_deref();
        if !gpt {
            let digits = id.map_or("0", |id| id.trim_start_matches("0x").trim_start_matches("0X"));
            let disk_id = u32::from_str_radix(digits, 16)
                .map_err(|_| format!("label-id: {digits:?} is not the id of an MBR disk"))?;
            return Ok(Table::Dos { disk_id });
        }
        let id = id.ok_or("label-id is missing")?;
        let disk_guid = Uuid::try_parse(id).map_err(|_| format!("label-id: {id:?} is not a GUID"))?;
        let entries = self.entries.unwrap_or(DEFAULT_ENTRIES);
        let lowest = 2 + super::gpt::entry_sectors(entries, self.sector_size.unwrap_or(512).max(1));
        let first_lba = self.first_lba.unwrap_or(lowest);
        let last_lba = self.last_lba.unwrap_or_else(|| sectors_needed.saturating_sub(1).max(first_lba));
        Ok(Table::Gpt { disk_guid, first_lba, last_lba, entries })
    }
}

pub(super) fn parse(text: &str) -> Result<Layout, LayoutError> {
    let mut headers = Headers::default();
    let mut partitions = Vec::new();
    let mut last_line = 0;
    for (index, line) in text.lines().enumerate() {
        last_line = index + 1;
        let refuse = |what: String| LayoutError::Dump { line: index + 1, what };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.contains('=') && (line.contains("start=") || line.contains("size=")) {
            let gpt = headers.is_gpt().map_err(refuse)?;
            let next = partitions.len() as u32 + 1;
            partitions.extend(parse_partition(line, &headers.device, gpt, next).map_err(refuse)?);
        } else if let Some((key, value)) = line.split_once(':') {
            headers.set(key.trim(), value.trim()).map_err(refuse)?;
        } else {
            return Err(refuse(format!("{line:?} is neither a header nor a partition")));
        }
    }
    let refuse = |what: String| LayoutError::Dump { line: last_line, what };
    if last_line == 0 || (headers.label.is_none() && partitions.is_empty()) {
        return Err(refuse("there is no partition table in it".to_owned()));
    }
    let needed = partitions.iter().map(Partition::end).max().unwrap_or(0);
    let gpt = headers.is_gpt().map_err(refuse)?;
    let table = headers.table(gpt, needed).map_err(refuse)?;
    Layout::new(table, &headers.device, headers.sector_size.unwrap_or(512), partitions)
}

#[derive(Default)]
struct Fields {
    start: Option<u64>,
    size: Option<u64>,
    kind: Option<String>,
    uuid: Option<Uuid>,
    name: String,
    attributes: u64,
    bootable: bool,
}

/// One partition; `None` for the empty lines of old dumps (`start=0, size=0, Id=0`).
fn parse_partition(line: &str, device: &str, gpt: bool, next: u32) -> Result<Option<Partition>, String> {
    // The path itself may hold a colon; what follows it may hold one only inside quotes.
    let head = line.split("start=").next().unwrap_or_default();
    let (node, fields) = match head.rfind(':') {
        Some(colon) => (line[..colon].trim(), &line[colon + 1..]),
        None => ("", line),
    };
    let fields = parse_fields(fields)?;
    let start = fields.start.ok_or("start= is missing")?;
    let size = fields.size.ok_or("size= is missing")?;
    let kind = fields.kind.as_deref().unwrap_or_default();
    if size == 0 && !gpt {
        return Ok(None);
    }
    let number = if node.is_empty() { next } else { number_of(node, device)? };
    let entry = if gpt {
        Entry::Gpt {
            type_guid: Uuid::try_parse(kind).map_err(|_| format!("type {kind:?} is not a GUID"))?,
            uuid: fields.uuid.ok_or("uuid= is missing")?,
            name: fields.name,
            attributes: fields.attributes,
        }
    } else {
        let type_id = u8::from_str_radix(kind, 16)
            .map_err(|_| format!("type {kind:?} is not two hexadecimal digits"))?;
        Entry::Dos { type_id, bootable: fields.bootable }
    };
    Ok(Some(Partition { number, start, size, entry }))
}

fn number_of(node: &str, device: &str) -> Result<u32, String> {
    let rest = node.strip_prefix(device).unwrap_or(node);
    let digits = rest.len() - rest.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    rest[rest.len() - digits..]
        .parse()
        .map_err(|_| format!("{node:?} does not end in the number of a partition"))
}

fn parse_fields(text: &str) -> Result<Fields, String> {
    let mut fields = Fields::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (field, value, tail) = next_field(rest)?;
        let number = || value.parse::<u64>().map_err(|_| format!("{field}={value:?} is not a number"));
        match field {
            "start" => fields.start = Some(number()?),
            "size" => fields.size = Some(number()?),
            "type" | "Id" | "id" => fields.kind = Some(value.to_owned()),
            "uuid" => {
                fields.uuid =
                    Some(Uuid::try_parse(value).map_err(|_| format!("uuid {value:?} is not a GUID"))?);
            }
            "name" => fields.name = unescape(value),
            "attrs" => fields.attributes = parse_attributes(value)?,
            "bootable" => fields.bootable = true,
            other => return Err(format!("{other:?} is no field of a partition")),
        }
        rest = tail.trim_start().trim_start_matches(',').trim_start();
    }
    Ok(fields)
}

/// Field, value (without quotes) and what follows.
fn next_field(text: &str) -> Result<(&str, &str, &str), String> {
    let end = text.find([',', '=']).unwrap_or(text.len());
    let field = text[..end].trim();
    let Some(after) = text[end..].strip_prefix('=') else { return Ok((field, "", &text[end..])) };
    let after = after.trim_start();
    if let Some(quoted) = after.strip_prefix('"') {
        let close = quoted.find('"').ok_or_else(|| format!("{field}: the closing quote is missing"))?;
        return Ok((field, &quoted[..close], &quoted[close + 1..]));
    }
    let end = after.find(',').unwrap_or(after.len());
    Ok((field, after[..end].trim(), &after[end..]))
}
