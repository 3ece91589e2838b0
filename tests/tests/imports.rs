//! The modules of a crate import one way: none imports, by whatever detour, what imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_tests::vm::material::workspace;

/// A module: the names on the way to it from the top of its crate.
type Module = Vec<String>;

/// Which modules of a crate's top level each of them names.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_crate_has_modules_that_import_each_other() -> Result<()> {
    let mut crates = 0;
    for entry in fs::read_dir(workspace())? {
        let source = entry?.path().join("src");
        if source.is_dir() {
            let mut imports = Imports::new();
            read(&source, &[], &mut imports)?;
            ensure!(circle(&imports).is_none(), "{}: {:?}", source.display(), circle(&imports));
            crates += 1;
        }
    }
    ensure!(crates >= 8, "only {crates} crates were found");
    Ok(())
}

/// The module `a::b` of a path in a test.
fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

#[test]
fn a_circle_is_seen() {
    let mut imports = Imports::new();
    note(&module("a"), "use crate::b::{self, crate_like};", &mut imports);
    note(&module("b"), "use crate::{d, c::{x, y}};\n/// crate::a\n// crate::a", &mut imports);
    assert_eq!(circle(&imports), None);
    note(&module("c"), "fn f() { crate::a::g() }", &mut imports);
    assert_eq!(circle(&imports).unwrap(), ["a", "b", "c", "a"]);
}

#[test]
fn a_circle_is_seen_whatever_its_paths_begin_with() {
    let mut imports = Imports::new();
    note(&module("a"), "use super::b::Thing;", &mut imports);
    note(&module("b::inner"), "use super::super::{c, Thing};\nuse super::Other;", &mut imports);
    assert_eq!(circle(&imports), None);
    note(&module("c"), "mod tests {\n    use super::super::a;\n}\n", &mut imports);
    assert_eq!(circle(&imports).unwrap(), ["a", "b", "c", "a"]);
}

/// Reads the files of a folder, which are the modules in `parent`.
fn read(folder: &Path, parent: &[String], imports: &mut Imports) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let mut module = parent.to_vec();
        if !["main", "lib", "mod"].contains(&name) {
            module.push(name.to_owned());
        }
        if path.is_dir() {
            read(&path, &module, imports)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            note(&module, &text, imports);
        }
    }
    Ok(())
}

/// Takes note of the modules that the text of one names, by paths from `crate`, `super` or `self`.
fn note(module: &[String], text: &str, imports: &mut Imports) {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut within = module.to_vec();
    for item in items(&code) {
        within.truncate(module.len());
        // What belongs to a module that is written out in the file.
        if let Some(name) = item.strip_prefix("mod ").and_then(|rest| rest.split_once(" {")) {
            within.push(name.0.to_owned());
        }
        for (at, _) in item.match_indices("::") {
            let first = item[..at].rsplit(|c: char| !is_word(c)).next().unwrap_or_default();
            let begins = !item[..at - first.len()].ends_with("::");
            let from = match first {
                "crate" if begins => Vec::new(),
                "self" if begins => within.clone(),
                "super" if begins => up(&within),
                _ => continue,
            };
            named(&item[at + 2..], from, &mut |other| {
                if let Some((own, other)) =
                    module.first().zip(other.first()).filter(|(own, other)| own != other)
                {
                    imports.entry(own.clone()).or_default().insert(other.clone());
                }
            });
        }
    }
}

/// The items of a file, as rustfmt indents them.
fn items(code: &[&str]) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in code {
        let continues = line.is_empty() || line.starts_with([' ', '}', ')', ']']);
        match items.last_mut() {
            Some(item) if continues => {
                item.push('\n');
                item.push_str(line);
            }
            _ => items.push((*line).to_owned()),
        }
    }
    items
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn up(module: &[String]) -> Module {
    module.split_last().map_or(Vec::new(), |(_, parent)| parent.to_vec())
}

/// Tells of every path that goes on from `from`, as far as it is of modules: `one::Thing` and `{one, another::{…}}`.
fn named(text: &str, mut from: Module, tell: &mut impl FnMut(&[String])) {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        parts(list).into_iter().for_each(|part| named(part, from.clone(), tell));
        return;
    }
    let word = text.split(|c: char| !is_word(c)).next().unwrap_or_default();
    match word {
        "super" => from = up(&from),
        "self" => {}
        _ if word.starts_with(|c: char| c.is_lowercase()) => from.push(word.to_owned()),
        _ => return tell(&from),
    }
    match text[word.len()..].strip_prefix("::") {
        Some(rest) => named(rest, from, tell),
        None => tell(&from),
    }
}

/// What stands between the commas of a list, up to the brace that ends it.
fn parts(list: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// Modules that lead back to the first of them.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    fn from(imports: &Imports, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        let Some(last) = path.last().cloned() else { return false };
        for next in imports.get(&last).into_iter().flatten() {
            if let Some(at) = path.iter().position(|module| module == next) {
                path.drain(..at);
                path.push(next.clone());
                return true;
            }
            if done.contains(next) {
                continue;
            }
            path.push(next.clone());
            if from(imports, path, done) {
                return true;
            }
        }
        path.pop();
        done.insert(last);
        false
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| {
        let mut path = vec![module.clone()];
        (!done.contains(module) && from(imports, &mut path, &mut done)).then_some(path)
    })
}
