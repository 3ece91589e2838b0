//! The commands of administrators: accounts, tokens, and the audit log.

use std::io::{IsTerminal, Write};

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use ezio_contract::urls;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::access::{AccountView, Deed, NewToken, TokenView};
use crate::ask::Server;
use crate::cli::{NamedArgs, ServerArgs, StatusArgs, TokenCommand, UserCommand};
use crate::client::{list, print, read};
use crate::clock::{now, rfc3339};

/// Seconds of a day.
const DAY_S: f64 = 86_400.0;

/// `ezio-pxe user`.
pub(crate) async fn user(command: UserCommand) -> Result<()> {
    match command {
        UserCommand::List(args) => {
            list(&args, urls::USERS, |users: Vec<AccountView>| {
                let row = |user: AccountView| vec![user.name, user.role.to_string(), rfc3339(user.created)];
                table(&["NAME", "ROLE", "MADE"], users.into_iter().map(row).collect())
            })
            .await
        }
        UserCommand::Add { name, role, server } => {
            let body = json!({ "name": name, "role": role, "password": password()? });
            say(&server, Method::POST, urls::USERS, Some(body)).await
        }
        UserCommand::Role { name, role, server } => {
            say(&server, Method::PATCH, &one(urls::USERS, &name)?, Some(json!({ "role": role }))).await
        }
        UserCommand::Password(NamedArgs { name, server }) => {
            let body = json!({ "password": password()? });
            say(&server, Method::PATCH, &one(urls::USERS, &name)?, Some(body)).await
        }
        UserCommand::Remove(NamedArgs { name, server }) => {
            say(&server, Method::DELETE, &one(urls::USERS, &name)?, None).await
        }
    }
}

/// `ezio-pxe token`.
pub(crate) async fn token(command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::List(args) => {
            list(&args, urls::TOKENS, |tokens: Vec<TokenView>| {
                let until = |token: &TokenView| match (token.until.map(rfc3339), token.expired) {
                    (None, _) => "always".to_owned(),
                    (Some(until), false) => until,
                    (Some(until), true) => format!("{until} (has ended)"),
                };
                let row = |token: TokenView| {
                    let until = until(&token);
                    let used = token.used.map_or("-".to_owned(), rfc3339);
                    vec![token.name, token.role.to_string(), rfc3339(token.created), used, until]
                };
                table(
                    &["NAME", "ROLE", "MADE", "LAST USED", "COUNTS UNTIL"],
                    tokens.into_iter().map(row).collect(),
                )
            })
            .await
        }
        TokenCommand::New { name, role, days, server } => {
            let new = NewToken { name, role, until: days.map(|days| now() + f64::from(days) * DAY_S) };
            let body = serde_json::to_value(new).context("the token")?;
            let text = Server::of(&server)?.ask(Method::POST, urls::TOKENS, Some(&body)).await?;
            let made: Value = read(&text)?;
            print(&format!("{}\n", made["token"].as_str().context("the server's answer has no token")?))
        }
        TokenCommand::Revoke(NamedArgs { name, server }) => {
            say(&server, Method::DELETE, &one(urls::TOKENS, &name)?, None).await
        }
    }
}

/// `ezio-pxe audit`.
pub(crate) async fn audit(args: &StatusArgs) -> Result<()> {
    list(args, urls::AUDIT, |deeds: Vec<Deed>| {
        let row = |deed: Deed| {
            let what =
                if deed.times > 1 { format!("{} ({} times)", deed.what, deed.times) } else { deed.what };
            vec![rfc3339(deed.at), deed.who, deed.from, deed.status.to_string(), what]
        };
        table(&["WHEN", "WHO", "FROM", "STATUS", "WHAT"], deeds.into_iter().map(row).collect())
    })
    .await
}

async fn say(server: &ServerArgs, method: Method, call: &str, body: Option<Value>) -> Result<()> {
    Server::of(server)?.ask(method, call, body.as_ref()).await.map(drop)
}

/// The call for one of a list.
fn one(list: &str, name: &str) -> Result<String> {
    ensure!(!name.is_empty() && !name.contains(['/', '?', '#', '%']), "{name:?} is no name");
    Ok(format!("{list}/{name}"))
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let rows: Vec<Vec<String>> =
        [head.iter().map(|&cell| cell.to_owned()).collect()].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Reads a password: from a terminal unseen and twice, else a line.
fn password() -> Result<String> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return line();
    }
    let shown = tcgetattr(&input).context("asking the terminal")?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&input, SetArg::TCSANOW, &hidden).context("hiding what is typed")?;
    let both = ask("Password: ").and_then(|first| Ok((first, ask("Once more: ")?)));
    tcsetattr(&input, SetArg::TCSANOW, &shown).context("showing what is typed")?;
    let (first, second) = both?;
    ensure!(first == second, "these are two passwords");
    Ok(first)
}

fn ask(what: &str) -> Result<String> {
    let mut terminal = std::io::stderr();
    terminal.write_all(what.as_bytes()).and_then(|()| terminal.flush()).context("asking for a password")?;
    let read = line();
    let _ = terminal.write_all(b"\n");
    read
}

fn line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("reading a password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
