//! The commands that talk to a running server.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ezio_contract::urls;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::access::Local;
use crate::cli::{ActArgs, HistoryArgs, ServerArgs, StatusArgs};
use crate::fleet::{Acted, FleetView, Meant};
use crate::http::HistoryView;
use crate::{history, plan, status};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A running server, and who asks it.
pub(crate) struct Server {
    http: reqwest::Client,
    url: Url,
    token: Option<String>,
}

impl Server {
    /// The one that was named, or that on this machine.
    pub(crate) fn of(args: &ServerArgs) -> Result<Self> {
        let (url, token) = match &args.server {
            Some(url) => (url.clone(), args.token.clone()),
            None => {
                let local = Local::read(&args.state)?;
                (local.url.parse().context("the server's own address")?, Some(local.token))
            }
        };
        let http =
            reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().context("setting up HTTP")?;
        Ok(Self { http, url, token })
    }

    /// What it answers: status and text.
    pub(crate) async fn call(
        &self,
        method: Method,
        name: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, String)> {
        let url = self.url.join(name).context("--server")?;
        let asked = || format!("asking {url} (is ezio-pxe running? --server names another address)");
        let mut request = self.http.request(method, url.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(asked)?;
        let status = answer.status();
        Ok((status, answer.text().await.with_context(asked)?))
    }

    /// The text that it answers if all is well.
    pub(crate) async fn ask(&self, method: Method, name: &str, body: Option<&Value>) -> Result<String> {
        let (status, text) = self.call(method, name, body).await?;
        ensure!(status.is_success(), "{}: {}", self.url, text.trim_end());
        Ok(text)
    }
}

/// `ezio-pxe status`.
pub(crate) async fn status(args: &StatusArgs) -> Result<()> {
    let text = Server::of(&args.server)?.ask(Method::GET, urls::FLEET, None).await?;
    match args.json {
        true => print(&format!("{text}\n")),
        false => print(&status::table(&read::<FleetView>(&text)?)),
    }
}

/// `ezio-pxe plan`.
pub(crate) async fn plan(args: &StatusArgs) -> Result<()> {
    let text = Server::of(&args.server)?.ask(Method::GET, urls::PLAN, None).await?;
    match args.json {
        true => print(&format!("{text}\n")),
        false => print(&plan::print(&read(&text)?)),
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

/// `ezio-pxe again`, `approve`, `hold` and `forget`, by the call of this name.
pub(crate) async fn act(call: &str, args: ActArgs) -> Result<()> {
    let order = serde_json::json!({ "machines": Meant::of(args.machines) });
    let (status, text) = Server::of(&args.server)?.call(Method::POST, call, Some(&order)).await?;
    if !(status.is_success() || status == StatusCode::NOT_FOUND) {
        bail!("{}", text.trim_end());
    }
    let acted: Acted = read(&text)?;
    match args.json {
        true => print(&format!("{text}\n"))?,
        false => print(&status::acted(&acted))?,
    }
    let unknown = acted.unknown.join(", ");
    ensure!(unknown.is_empty(), "no machine has this id, MAC, UUID or serial number: {unknown}");
    let refused = acted.machines.iter().filter(|machine| !machine.done).count();
    ensure!(refused == 0, "{refused} machines stay as they were");
    Ok(())
}

/// Reads an answer.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).context("the server's answer")
}

pub(crate) fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("printing")
}
