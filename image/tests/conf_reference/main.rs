//! docs/ezio.conf.md says of each key of `ezio.conf` what may stand there, in which unit, what holds without it, and an
//! example. It is made of [`keys::TABLES`], which is held against the types: their keys are those of the tables, defaults
//! change nothing, and examples are read and change something. `EZIO_WRITE_DOCS=1` writes the file anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use ezio_contract::MachineId;
use ezio_image::conf::{Conf, Orders};
use keys::{Key, TABLES, Table};

mod keys;

/// What the examples stand in.
const IMAGE: &str = "image = \"debian-12\"\n";

/// A file in which `line` stands in the table, with what it needs beside it.
fn conf(table: &Table, needs: &str, line: &str) -> String {
    match table.name {
        "" if line.starts_with("image") => format!("{line}\n"),
        "" => format!("{IMAGE}{needs}\n{line}\n"),
        _ => format!("{IMAGE}{}\n{needs}\n{line}\n", table.head),
    }
}

fn parse(text: &str) -> Conf {
    Conf::parse(text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"))
}

/// What a machine that nobody knows is told.
fn orders(text: &str) -> Orders {
    parse(text).orders_for(&MachineId::default(), None).unwrap()
}

/// The keys that the type of a table knows: whoever writes another is told them.
fn keys_of_type(table: &Table) -> BTreeSet<String> {
    let text = match table.name {
        "" => "no-such-key = 1\n".to_owned(),
        "match" => format!("{IMAGE}[[machine]]\nmatch.no-such-key = 1\n"),
        _ => format!("{IMAGE}{}\nno-such-key = 1\n", table.head),
    };
    let error = Conf::parse(&text).unwrap_err().to_string();
    let (_, expected) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_tables_have_the_keys_of_the_types() {
    let tables: BTreeSet<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
    for table in TABLES {
        let mut told: BTreeSet<String> = table.keys.iter().map(|key| key.name.to_owned()).collect();
        if table.name.is_empty() {
            told.extend(tables.iter().filter(|name| !["", "match"].contains(&name.as_str())).cloned());
        }
        if table.name == "machine" {
            // Whatever may be set for all, but for what there is one of in a file.
            told.extend(keys_of_type(&TABLES[0]));
            told.retain(|name| !["report", "group", "machine"].contains(&name.as_str()));
        }
        assert_eq!(told, keys_of_type(table), "table {:?}", table.name);
    }
}

#[test]
fn defaults_change_nothing() {
    for table in TABLES.iter().filter(|table| !["group", "machine", "match"].contains(&table.name)) {
        for Key { name, needs, default, .. } in table.keys {
            let Some(value) = default.strip_prefix('=') else { continue };
            let with = conf(table, needs, &format!("{name} = {value}"));
            assert_eq!(orders(&with), orders(&conf(table, needs, "")), "{name} of [{}]", table.name);
        }
    }
}

#[test]
fn examples_are_read_and_change_something() {
    for table in TABLES {
        for Key { name, needs, example, .. } in table.keys {
            let text = match table.name {
                "group" => format!("{IMAGE}{}\n{needs}\n{example}\n", table.head),
                "match" => {
                    format!("{IMAGE}[[group]]\nname = \"room-2\"\n[[machine]]\n{example}\nend = \"hold\"\n")
                }
                "machine" => format!("{IMAGE}[[machine]]\n{needs}\n{example}\nend = \"hold\"\n"),
                _ => conf(table, needs, example),
            };
            assert!(example.contains(*name), "{name}: {example}");
            let without = if *name == "image" { IMAGE.to_owned() } else { text.replace(example, "") };
            match Conf::parse(&without) {
                Ok(without) => assert_ne!(parse(&text), without, "{example} in [{}]", table.name),
                // It is needed: a group's name, a machine's conditions.
                Err(_) => drop(parse(&text)),
            }
        }
    }
}

/// The document.
fn document() -> String {
    let mut text = String::from(keys::HEAD);
    for table in TABLES {
        let _ = write!(text, "\n## {}\n\n{}\n", table.title, table.says);
        if table.keys.is_empty() {
            continue;
        }
        text.push_str(
            "\n| key | value | without it | example | what it does |\n| --- | --- | --- | --- | --- |\n",
        );
        for Key { name, value, default, example, says, .. } in table.keys {
            let default = match default.strip_prefix('=') {
                Some(value) => format!("`{value}`"),
                None => (*default).to_owned(),
            };
            let escape = |text: &str| text.replace('|', "\\|");
            let _ = writeln!(
                text,
                "| `{name}` | {} | {} | `{}` | {} |",
                escape(value),
                escape(&default),
                escape(example),
                escape(says)
            );
        }
    }
    text
}

#[test]
fn the_document_is_as_the_types_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ezio.conf.md");
    if std::env::var_os("EZIO_WRITE_DOCS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = "docs/ezio.conf.md is not what the types give: EZIO_WRITE_DOCS=1 cargo test -p ezio-image --test conf_reference";
    assert!(written == document(), "{hint}");
}
