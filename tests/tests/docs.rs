//! What the documents name is there: files that they link to, and commands with their options.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ezio_tests::programs;
use ezio_tests::vm::material::workspace;

const PROGRAMS: [&str; 3] = ["ezio-pxe", "ezio-init", "image-builder"];

/// All documents, with their text.
fn documents() -> Result<Vec<(PathBuf, String)>> {
    let mut documents = Vec::new();
    for folder in ["", "docs", "pxe", "config-examples"] {
        for entry in fs::read_dir(workspace().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                documents.push((path, text));
            }
        }
    }
    Ok(documents)
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

/// The lines of what stands in backticks, one or three, that begin with one of our programs.
fn commands(text: &str) -> Vec<Vec<&str>> {
    let lines = text.split('`').skip(1).step_by(2).flat_map(str::lines);
    let commands = lines.map(|line| line.split(" # ").next().unwrap_or(line));
    commands
        .map(|command| command.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.first().is_some_and(|program| PROGRAMS.contains(program)))
        .collect()
}

fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase())
}

/// What a command says of itself with `--help`, asked once.
#[derive(Default)]
struct Helps(BTreeMap<String, String>);

impl Helps {
    fn of(&mut self, command: &[&str]) -> Result<&str> {
        let name = command.join(" ");
        if !self.0.contains_key(&name) {
            let output =
                Command::new(programs::find(command[0])?).args(&command[1..]).arg("--help").output()?;
            ensure!(output.status.success(), "there is no {name}");
            self.0.insert(name.clone(), String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(&self.0[&name])
    }

    /// How many of these words name the program and its command: `ezio-pxe`, `user`, `add`.
    fn command_length(&mut self, words: &[&str]) -> Result<usize> {
        let mut length = 1;
        while let Some(name) = words.get(length).filter(|word| is_name(word)) {
            let is_command = |line: &str| {
                line.trim_start().trim_start_matches("ezio-init ").split_whitespace().next() == Some(*name)
            };
            if !self.of(&words[..length])?.lines().any(is_command) {
                break;
            }
            length += 1;
        }
        Ok(length)
    }
}

#[test]
fn commands_and_their_options_exist() -> Result<()> {
    let (mut helps, mut count) = (Helps::default(), 0);
    for (path, text) in &documents()? {
        for words in commands(text) {
            let length = helps.command_length(&words)?;
            if length == 1 && !words.get(1).is_some_and(|word| is_name(word)) {
                continue;
            }
            let help = helps.of(&words[..length])?;
            ensure!(length > 1, "{}: there is no command {words:?}", path.display());
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.split(['=', ',', ';', ']', '|']).next().unwrap_or(option);
                ensure!(help.contains(option), "{}: {words:?}: there is no {option}", path.display());
            }
            count += 1;
        }
    }
    ensure!(count > 40, "only {count} commands were found");
    Ok(())
}
