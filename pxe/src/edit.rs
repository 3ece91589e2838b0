//! The commands that show an ezio.conf, look at another one, and put it in place.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use axum::http::{Method, StatusCode};
use ezio_contract::urls;
use serde_json::json;

use crate::ask::Server;
use crate::cli::{ConfCheckArgs, ConfCommand, ConfPutArgs};
use crate::client::{is_confirmed, list, print, read};
use crate::conf::Mistake;
use crate::http::{ConfCheck, ConfView};
use crate::plan;

/// `ezio-pxe conf`.
pub(crate) async fn conf(command: &ConfCommand) -> Result<()> {
    match command {
        ConfCommand::Show(args) => list(args, urls::CONF_TEXT, |held: ConfView| held.text).await,
        ConfCommand::Check(args) => check(args).await,
        ConfCommand::Put(args) => put(args).await,
    }
}

async fn check(args: &ConfCheckArgs) -> Result<()> {
    let (server, text) = (Server::of(&args.server)?, text_of(&args.file)?);
    let answer = ask(&server, &text).await?;
    if args.json {
        print(&format!("{answer}\n"))?;
    }
    let checked: ConfCheck = read(&answer)?;
    match args.json {
        true => no_mistakes(&checked.mistakes),
        false => show(&checked, &args.file),
    }
}

async fn put(args: &ConfPutArgs) -> Result<()> {
    let (server, text) = (Server::of(&args.server)?, text_of(&args.file)?);
    let replaces = match (&args.replaces, args.yes) {
        (Some(version), true) => version.clone(),
        (version, _) => {
            let held: ConfView = read(&server.ask(Method::GET, urls::CONF_TEXT, None).await?)?;
            if let Some(why) = held.by_hand {
                bail!("{why}");
            }
            let checked: ConfCheck = read(&ask(&server, &text).await?)?;
            show(&checked, &args.file)?;
            no_mistakes(&checked.by_hand)?;
            print(&difference(&held.text, &text))?;
            if !is_confirmed("Put it in place?", "`conf check` only shows it")? {
                return Ok(());
            }
            version.clone().unwrap_or(held.version)
        }
    };
    let body = json!({ "text": text, "replaces": replaces });
    let (status, answer) = server.call(Method::PUT, urls::CONF_TEXT, Some(&body)).await?;
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        return show(&read(&answer)?, &args.file);
    }
    ensure!(status.is_success(), "{}", answer.trim_end());
    match args.json {
        true => print(&format!("{answer}\n")),
        false => print(&format!("{} holds now\n", read::<ConfView>(&answer)?.origin)),
    }
}

/// What the server says of a text.
async fn ask(server: &Server, text: &str) -> Result<String> {
    server.ask(Method::POST, urls::CONF_CHECK, Some(&json!({ "text": text }))).await
}

fn text_of(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// For people: what is wrong, as compilers say it, or what each machine would do.
fn show(checked: &ConfCheck, file: &Path) -> Result<()> {
    for Mistake { line, column, message } in checked.mistakes.iter().chain(&checked.by_hand) {
        print(&format!("{}:{line}:{column}: {message}\n", file.display()))?;
    }
    no_mistakes(&checked.mistakes)?;
    print(&checked.plan.as_ref().map_or_else(String::new, plan::print))
}

fn no_mistakes(mistakes: &[Mistake]) -> Result<()> {
    match mistakes.len() {
        0 => Ok(()),
        1 => bail!("1 mistake"),
        several => bail!("{several} mistakes"),
    }
}

/// What goes and what comes: all lines from the first that differs to the last.
fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[head..], &after[head..]);
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    let (goes, comes) = (&before[..before.len() - tail], &after[..after.len() - tail]);
    if goes.is_empty() && comes.is_empty() {
        return "nothing changes\n".to_owned();
    }
    let signed =
        |sign, lines: &[&str]| lines.iter().map(|line| format!("{sign}{line}\n")).collect::<String>();
    format!("from line {}:\n{}{}", head + 1, signed('-', goes), signed('+', comes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_shown_and_nothing_else() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\ny\nc\n"), "from line 2:\n-b\n+x\n+y\n");
        assert_eq!(difference("a\na\n", "a\n"), "from line 2:\n-a\n");
        assert_eq!(difference("", "a\n"), "from line 1:\n+a\n");
        assert_eq!(difference("a\nb\n", "a\nb\n"), "nothing changes\n");
    }
}
