//! The commands that talk to a running server.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::http::{Method, StatusCode};
use ezio_contract::urls;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::Local;
use crate::ask::Server;
use crate::cli::{ActArgs, ConsoleArgs, HistoryArgs, ServerArgs, StatusArgs};
use crate::fleet::{Acted, FleetView};
use crate::http::HistoryView;
use crate::plan::PlanView;
use crate::{history, plan, status};

/// Until then a machine has sent its console: one that waits for a word reports every five seconds.
const CONSOLE_BOUND: Duration = Duration::from_secs(20);
/// Between two looks whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

impl Server {
    /// The one that was named, or that on this machine.
    pub(crate) fn of(args: &ServerArgs) -> Result<Self> {
        if let Some(url) = &args.server {
            let (url, token) = (url.clone(), args.token.clone());
            return Ok(Self { url, token, fingerprint: args.fingerprint.clone() });
        }
        let Local { url, token, fingerprint } = Local::read(&args.state)?;
        let url = url.parse().context("the server's own address")?;
        Ok(Self { url, token: Some(token), fingerprint })
    }

    /// The text that it answers if all is well.
    pub(crate) async fn ask(&self, method: Method, name: &str, body: Option<&Value>) -> Result<String> {
        let (status, text) = self.call(method, name, body).await?;
        ensure!(status.is_success(), "{}: {}", self.url, text.trim_end());
        Ok(text)
    }

    /// What it answers to an order: that some machines are not known is an answer, too.
    pub(crate) async fn order(&self, name: &str, order: &Value) -> Result<String> {
        let (status, text) = self.call(Method::POST, name, Some(order)).await?;
        ensure!(status.is_success() || status == StatusCode::NOT_FOUND, "{}", text.trim_end());
        Ok(text)
    }
}

/// `ezio-pxe status`.
pub(crate) async fn status(args: &StatusArgs) -> Result<()> {
    list(args, urls::FLEET, |fleet: FleetView| status::table(&fleet)).await
}

/// `ezio-pxe plan`.
pub(crate) async fn plan(args: &StatusArgs) -> Result<()> {
    list(args, urls::PLAN, |view: PlanView| plan::print(&view)).await
}

/// Prints what the server answers: as it is, or as people read it.
pub(crate) async fn list<T: DeserializeOwned>(
    args: &StatusArgs,
    call: &str,
    show: impl FnOnce(T) -> String,
) -> Result<()> {
    let text = Server::of(&args.server)?.ask(Method::GET, call, None).await?;
    match args.json {
        true => print(&format!("{text}\n")),
        false => print(&show(read(&text)?)),
    }
}

/// `ezio-pxe history`.
pub(crate) async fn history(args: &HistoryArgs) -> Result<()> {
    let call = if args.csv { urls::HISTORY_CSV } else { urls::HISTORY };
    let machine = args.machine.iter().map(|machine| ("machine", machine.clone()));
    let query = machine.chain(args.limit.map(|limit| ("limit", limit.to_string())));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let text = Server::of(&args.server)?.ask(Method::GET, &format!("{call}?{query}"), None).await?;
    match (args.csv, args.json) {
        (true, _) => print(&text),
        (false, true) => print(&format!("{text}\n")),
        (false, false) => print(&history::print(&read::<HistoryView>(&text)?.deployments)),
    }
}

/// `ezio-pxe again`, `approve`, `hold`, `restart`, `poweroff`, `forget`, `wake` and `cancel`, by the call of this name.
pub(crate) async fn act(call: &str, args: ActArgs) -> Result<()> {
    let wish = serde_json::json!({ "machines": args.meant.meant() });
    acted(&Server::of(&args.server)?.order(call, &wish).await?, args.json)
}

/// `ezio-pxe console`.
pub(crate) async fn console(args: &ConsoleArgs) -> Result<()> {
    let server = Server::of(&args.server)?;
    let order = serde_json::json!({ "machines": [args.machine] });
    let asked: Acted = read(&server.order(urls::CONSOLES, &order).await?)?;
    let [machine] = asked.machines.as_slice() else {
        bail!(
            "{} is the id, MAC, UUID, serial number or host name of {} machines",
            args.machine,
            asked.machines.len()
        );
    };
    let call = format!("{}?fresh=true", urls::console(&machine.id));
    let until = Instant::now() + CONSOLE_BOUND;
    loop {
        let (status, text) = server.call(Method::GET, &call, None).await?;
        if status.is_success() {
            return print(&format!("{text}\n"));
        }
        ensure!(status == StatusCode::NOT_FOUND, "{}", text.trim_end());
        ensure!(machine.done, "{} {}, and it has sent no console before", machine.id, machine.what);
        ensure!(
            Instant::now() < until,
            "{} sent nothing within {} s: `ezio-pxe status` says when it was heard of last",
            machine.id,
            CONSOLE_BOUND.as_secs()
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Prints what became of machines; it is an error where something was not done.
pub(crate) fn acted(text: &str, json: bool) -> Result<()> {
    let acted: Acted = read(text)?;
    match json {
        true => print(&format!("{text}\n"))?,
        false => print(&status::acted(&acted))?,
    }
    let unknown = acted.unknown.join(", ");
    ensure!(
        unknown.is_empty(),
        "no machine has this id, MAC, UUID or serial number, and no group this name: {unknown}"
    );
    let refused = acted.machines.iter().filter(|machine| !machine.done).count();
    ensure!(refused == 0, "{refused} machines stay as they were");
    Ok(())
}

/// A person says yes, having seen what is lost. `else_say` is what else there is where nobody can be asked.
pub(crate) fn is_confirmed(question: &str, else_say: &str) -> Result<bool> {
    ensure!(std::io::stdin().is_terminal(), "nobody is here to be asked: --yes does it, {else_say}");
    print(&format!("{question} [y/N] "))?;
    std::io::stdout().flush().context("printing")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

/// Reads an answer.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).context("the server's answer")
}

pub(crate) fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("printing")
}
