//! The commands that talk to a running server.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ezio_contract::urls;

use crate::cli::{AgainArgs, StatusArgs};
use crate::fleet::{AgainAnswer, FleetView};
use crate::status;

const TIMEOUT: Duration = Duration::from_secs(10);

fn client() -> Result<reqwest::Client> {
    reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().context("setting up HTTP")
}

/// `ezio-pxe status`.
pub(crate) async fn status(args: &StatusArgs) -> Result<()> {
    let url = args.server.url_of(urls::FLEET)?;
    let asked = || format!("asking {url} (is ezio-pxe running? --server names another address)");
    let answer = client()?.get(url.clone()).send().await.with_context(asked)?;
    let text = answer.error_for_status().with_context(asked)?.text().await.with_context(asked)?;
    if args.json {
        return print(&format!("{text}\n"));
    }
    let view: FleetView = serde_json::from_str(&text).with_context(|| format!("the answer of {url}"))?;
    print(&status::table(&view))
}

/// `ezio-pxe again`.
pub(crate) async fn again(args: &AgainArgs) -> Result<()> {
    let url = args.server.url_of(urls::AGAIN)?;
    let asked = || format!("asking {url} (is ezio-pxe running? --server names another address)");
    let mut request = client()?.post(url.clone()).json(&serde_json::json!({ "machine": args.machine }));
    if let Some(token) = &args.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.with_context(asked)?;
    let status = answer.status();
    let text = answer.text().await.with_context(asked)?;
    if !status.is_success() {
        bail!("{}", text.trim_end());
    }
    let answer: AgainAnswer = serde_json::from_str(&text).with_context(|| format!("the answer of {url}"))?;
    print(&match answer.machines {
        1 => "1 machine will be deployed at its next network boot\n".to_owned(),
        n => format!("{n} machines will be deployed at their next network boot\n"),
    })
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("printing")
}
