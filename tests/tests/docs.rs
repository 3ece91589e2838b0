//! What the documents name is there: files that they link to, and commands, which the programs take as they are written.

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ezio_tests::programs;
use ezio_tests::vm::material::workspace;

const PROGRAMS: [&str; 3] = ["ezio-pxe", "ezio-init", "image-builder"];
/// What documents write for something that everybody has an own one of, where a program does not take just any word.
const OWN: [(&str, &str); 3] = [("SIZE", "8GiB"), ("URL", "https://hooks.example/"), ("…", "x")];

/// One of these is a good value for each option that a document names without one.
const OF_OPTIONS: [&str; 3] = ["x", "amd64", "4096"];

/// All files in these folders whose names end so, with their text.
fn files(folders: &[&str], ends: &[&str]) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(workspace().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| ends.iter().any(|end| extension == *end)) {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                found.push((path, text));
            }
        }
    }
    Ok(found)
}

fn documents() -> Result<Vec<(PathBuf, String)>> {
    files(&["", "docs", "pxe", "image-builder"], &["md"])
}

fn examples() -> Result<Vec<(PathBuf, String)>> {
    files(&["config-examples", "config-examples/identity"], &["conf", "toml"])
}

#[test]
fn links_lead_to_files() -> Result<()> {
    let mut links = 0;
    for (path, text) in documents()? {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = path.parent().unwrap_or(Path::new("")).join(file);
            ensure!(target.exists(), "{}: {link} leads nowhere", path.display());
            links += 1;
        }
    }
    ensure!(links > 20, "only {links} links were found");
    Ok(())
}

/// What stands in backticks: blocks of lines, and words in a sentence, which may go on in the next line.
fn typed(text: &str) -> Vec<String> {
    let mut typed = Vec::new();
    for (number, part) in text.split("```").enumerate() {
        if number % 2 == 1 {
            typed.extend(part.lines().skip(1).map(str::to_owned));
        } else {
            let words = part.split('`').skip(1).step_by(2);
            typed.extend(words.map(|words| words.replace('\n', " ")));
        }
    }
    typed
}

/// The words of each command in a line, without what only the shell needs: `sudo`, variables before it, and what follows `#`.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" # ").next().unwrap_or(line);
    let before =
        |word: &String| word == "sudo" || word.split_once('=').is_some_and(|(name, _)| is_capital(name));
    let commands = line.split(" && ").map(|command| words(command).into_iter().skip_while(before).collect());
    commands.filter(|words: &Vec<String>| !words.is_empty()).collect()
}

fn is_capital(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// As a shell splits them: what stands in quotes is one.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (number, part) in command.split('"').enumerate() {
        let mut pieces = if number % 2 == 1 { vec![part] } else { part.split(char::is_whitespace).collect() };
        let first = pieces.remove(0);
        if let Some(last) = words.last_mut() {
            last.push_str(first);
        }
        words.extend(pieces.into_iter().map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Commands of this program in a text, each with every one of its alternatives (`list|add`), and without brackets around what may be
/// left out.
fn of_program(text: &str, program: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = typed(text).iter().flat_map(|line| commands(line)).collect();
    found.retain(|words| words[0] == program);
    let mut all = Vec::new();
    for words in found {
        let most = words.iter().map(|word| word.split('|').count()).max().unwrap_or(1);
        for number in 0..most {
            all.push(words.iter().map(|word| one_of(word, number)).filter(|word| !word.is_empty()).collect());
        }
    }
    all
}

/// One of the alternatives in a word, as a program would take it.
fn one_of(word: &str, number: usize) -> String {
    if let Some((name, values)) = word.split_once('=') {
        return format!("{name}={}", one_of(values, number));
    }
    let alternatives: Vec<&str> = word.split('|').collect();
    let word = alternatives[number % alternatives.len()].trim_matches(['[', ']', ',', ';']);
    match OWN.iter().find(|(theirs, _)| *theirs == word) {
        Some((_, ours)) => (*ours).to_owned(),
        None => word.trim_end_matches('…').to_owned(),
    }
}

/// What a program says of a command line that it does not carry out, for `--help` at its end asks for its help instead; where the line
/// ends in an option, also with a value for that.
fn help(words: &[String]) -> Result<String> {
    let is_option = words.last().is_some_and(|word| word.starts_with("--"));
    let values = if is_option { &OF_OPTIONS[..] } else { &[] };
    let mut said = String::new();
    for value in iter::once(None).chain(values.iter().map(Some)) {
        let mut command = Command::new(programs::find(&words[0])?);
        let output = command.args(&words[1..]).args(value).arg("--help").output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    anyhow::bail!("{}: {said}", words.join(" "))
}

/// Is this a command, and not the name of the program alone, or of an option that some of its commands have?
fn names_a_command(words: &[String]) -> bool {
    words.get(1).is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase()))
}

#[test]
fn programs_take_the_commands_of_documents() -> Result<()> {
    let mut count = 0;
    for (path, text) in documents()?.iter().chain(&examples()?) {
        for program in PROGRAMS {
            for words in of_program(text, program).into_iter().filter(|words| names_a_command(words)) {
                help(&words).with_context(|| path.display().to_string())?;
                count += 1;
            }
        }
    }
    ensure!(count > 90, "only {count} commands were found");
    Ok(())
}

#[test]
fn programs_take_the_examples_of_their_own_help() -> Result<()> {
    let mut count = 0;
    for program in PROGRAMS {
        let help_text = help(&[program.to_owned()])?.replace("\\\n", " ");
        for line in help_text.lines() {
            for words in commands(line.trim()).into_iter().filter(|words| words[0] == program) {
                if names_a_command(&words) && line.starts_with("      ") {
                    help(&words)?;
                    count += 1;
                }
            }
        }
    }
    ensure!(count > 5, "only {count} examples were found");
    Ok(())
}

#[test]
fn a_wrong_command_is_seen() {
    for wrong in [
        "ezio-pxe aprove MACHINE",
        "ezio-pxe approve MACHINE --al",
        "ezio-pxe user add anna --role operater",
        "image-builder shrink IMAGE -o OUT --to much",
        "image-builder export IMAGE --clonezila",
    ] {
        assert!(help(&words(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_made_can_be_made() -> Result<()> {
    let makefile = fs::read_to_string(workspace().join("Makefile"))?;
    let targets = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).context("no .PHONY")?;
    let targets: Vec<&str> = targets.split(' ').collect();
    let mut count = 0;
    for (path, text) in documents()? {
        for words in of_program(&text, "make") {
            for word in &words[1..] {
                let is_there = match word.split_once('=') {
                    Some((variable, _)) => {
                        makefile.lines().any(|line| line.starts_with(&format!("{variable} ?=")))
                    }
                    None => targets.contains(&word.as_str()),
                };
                ensure!(is_there, "{}: {}: there is no {word}", path.display(), words.join(" "));
            }
            count += 1;
        }
    }
    ensure!(count > 20, "only {count} commands were found");
    Ok(())
}

/// The word after this one.
fn after<'a>(words: &'a [String], option: &str) -> Option<&'a str> {
    words.iter().skip_while(|word| *word != option).nth(1).map(String::as_str)
}

#[test]
fn crates_tests_and_scripts_that_are_named_are_there() -> Result<()> {
    let manifests = fs::read_dir(workspace())?
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("Cargo.toml")).ok());
    let manifests: String = manifests.collect();
    let mut count = 0;
    for (path, text) in documents()? {
        let place = path.display().to_string();
        for words in of_program(&text, "cargo") {
            if let Some(name) = after(&words, "-p") {
                ensure!(
                    manifests.contains(&format!("name = \"{name}\"")),
                    "{place}: there is no crate {name}"
                );
            }
            if let Some(name) = after(&words, "--test") {
                let test = workspace().join("tests/tests").join(name);
                ensure!(
                    test.is_dir() || test.with_extension("rs").exists(),
                    "{place}: there is no test {name}"
                );
            }
            count += 1;
        }
        for words in of_program(&text, "npm") {
            let folder = after(&words, "--prefix").with_context(|| format!("{place}: {words:?}"))?;
            let package = fs::read_to_string(workspace().join(folder).join("package.json"))?;
            let script =
                after(&words, "run").or(words.last().map(String::as_str).filter(|word| *word == "test"));
            let is_there = |script: &str| package.contains(&format!("\"{script}\":"));
            ensure!(script.is_none_or(is_there), "{place}: {folder} has no script {script:?}");
            count += 1;
        }
    }
    ensure!(count > 8, "only {count} commands were found");
    Ok(())
}
