//! The modules of a crate import one way: none imports, by whatever detour, what imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_tests::vm::material::workspace;

/// Which modules of a crate's top level each of them names.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_crate_has_modules_that_import_each_other() -> Result<()> {
    let mut crates = 0;
    for entry in fs::read_dir(workspace())? {
        let source = entry?.path().join("src");
        if source.is_dir() {
            let mut imports = Imports::new();
            read(&source, None, &mut imports)?;
            ensure!(circle(&imports).is_none(), "{}: {:?}", source.display(), circle(&imports));
            crates += 1;
        }
    }
    ensure!(crates >= 8, "only {crates} crates were found");
    Ok(())
}

#[test]
fn a_circle_is_seen() {
    let mut imports = Imports::new();
    note("a", "use crate::b::{self, crate_like};", &mut imports);
    note("b", "use crate::{d, c::{x, y}};\n/// crate::a\n// crate::a", &mut imports);
    assert_eq!(circle(&imports), None);
    note("c", "fn f() { crate::a::g() }", &mut imports);
    assert_eq!(circle(&imports).as_deref(), Some(["a", "b", "c", "a"].map(str::to_owned).as_slice()));
}

/// Reads a folder; `module` is that of the top level which it belongs to.
fn read(folder: &Path, module: Option<&str>, imports: &mut Imports) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let module = module.unwrap_or(name);
        if path.is_dir() {
            read(&path, Some(module), imports)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") && !["main", "lib"].contains(&module) {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            note(module, &text, imports);
        }
    }
    Ok(())
}

/// Takes note of what a text names: `crate::one` and `crate::{one, another::{…}}`.
fn note(module: &str, text: &str, imports: &mut Imports) {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    for named in code.join("\n").split("crate::").skip(1) {
        let mut depth = 0usize;
        let ends = named.char_indices().find(|(_, c)| {
            depth = (depth + usize::from(*c == '{')).saturating_sub(usize::from(*c == '}'));
            depth == 0 && !c.is_alphanumeric() && *c != '_'
        });
        let named = &named[..ends.map_or(named.len(), |(at, _)| at)];
        let mut depth = 0usize;
        for part in named.trim_start_matches('{').split(',') {
            let first: String =
                part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if depth == 0 && first != module && first.starts_with(char::is_lowercase) {
                imports.entry(module.to_owned()).or_default().insert(first);
            }
            depth = (depth + part.matches('{').count()).saturating_sub(part.matches('}').count());
        }
    }
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
