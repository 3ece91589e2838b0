//! The commands that talk to a running server.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ezio_contract::urls;
use reqwest::StatusCode;

use crate::cli::{ActArgs, HistoryArgs, StatusArgs};
use crate::fleet::{Acted, FleetView, Meant};
use crate::http::HistoryView;
use crate::{history, plan, status};

const TIMEOUT: Duration = Duration::from_secs(10);

fn client() -> Result<reqwest::Client> {
    reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().context("setting up HTTP")
}

/// `ezio-pxe status`.
pub(crate) async fn status(args: &StatusArgs) -> Result<()> {
    let url = args.server.url_of(urls::FLEET)?;
    let text = get(&url).await?;
    if args.json {
        return print(&format!("{text}\n"));
    }
    let view: FleetView = serde_json::from_str(&text).with_context(|| format!("the answer of {url}"))?;
    print(&status::table(&view))
}

/// `ezio-pxe plan`.
pub(crate) async fn plan(args: &StatusArgs) -> Result<()> {
    let text = get(&args.server.url_of(urls::PLAN)?).await?;
    match args.json {
        true => print(&format!("{text}\n")),
        false => print(&plan::print(&serde_json::from_str(&text).context("the server's answer")?)),
    }
}

/// `ezio-pxe history`.
pub(crate) async fn history(args: &HistoryArgs) -> Result<()> {
    let mut url = args.server.url_of(if args.csv { urls::HISTORY_CSV } else { urls::HISTORY })?;
    let machine = args.machine.iter().map(|machine| ("machine", machine.clone()));
    url.query_pairs_mut().extend_pairs(machine.chain(args.limit.map(|limit| ("limit", limit.to_string()))));
    let text = get(&url).await?;
    if args.csv {
        return print(&text);
    }
    match args.json {
        true => print(&format!("{text}\n")),
        false => {
            let view: HistoryView = serde_json::from_str(&text).context("the server's answer")?;
            print(&history::print(&view.deployments))
        }
    }
}

async fn get(url: &url::Url) -> Result<String> {
    let asked = || asking(url);
    let answer = client()?.get(url.clone()).send().await.with_context(asked)?;
    answer.error_for_status().with_context(asked)?.text().await.with_context(asked)
}

fn asking(url: &url::Url) -> String {
    format!("asking {url} (is ezio-pxe running? --server names another address)")
}

/// `ezio-pxe again`, `approve`, `hold` and `forget`, by the call of this name.
pub(crate) async fn act(call: &str, args: ActArgs) -> Result<()> {
    let url = args.server.url_of(call)?;
    let asked = || asking(&url);
    let order = serde_json::json!({ "machines": Meant::of(args.machines) });
    let mut request = client()?.post(url.clone()).json(&order);
    if let Some(token) = &args.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.with_context(asked)?;
    let status = answer.status();
    let text = answer.text().await.with_context(asked)?;
    if !(status.is_success() || status == StatusCode::NOT_FOUND) {
        bail!("{}", text.trim_end());
    }
    let acted: Acted = serde_json::from_str(&text).with_context(|| format!("the answer of {url}"))?;
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

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("printing")
}
