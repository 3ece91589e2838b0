//! Asks the server what is this machine's own. Only the server can count machines, and has the tables and files.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ezio_contract::MachineId;
use ezio_contract::identity::{IdentityAnswer, IdentityRequest};
use ezio_contract::urls;
use ezio_image::conf::Orders;
use ezio_image::identity::hostname::hostname;
use ezio_image::identity::template::values_of;
use tokio::time::{Instant, sleep};
use url::Url;

/// Until then the server, which gave the image a moment ago, must have answered.
const BOUND: Duration = Duration::from_secs(60);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// Do these orders say something that differs from machine to machine?
pub(crate) fn is_needed(orders: &Orders) -> bool {
    let identity = &orders.identity;
    identity.hostname.is_some() || identity.hosts.is_some() || orders.windows.unattend.is_some()
}

/// What a machine can work out by itself: a host name from its own values.
pub(crate) fn alone(orders: &Orders, machine: &MachineId) -> anyhow::Result<IdentityAnswer> {
    ensure!(
        orders.identity.hosts.is_none() && orders.windows.unattend.is_none(),
        "hosts and [windows] need an ezio-pxe that this machine reports to"
    );
    let template = orders.identity.hostname.as_ref();
    let hostname = template.map(|template| hostname(template, &values_of(machine))).transpose();
    let hostname = hostname
        .context("without an ezio-pxe that this machine reports to, only its own values are known")?;
    Ok(IdentityAnswer { hostname, windows: None })
}

/// Asks the server that reports go to. What it answers is not signed: an initrd with a key must not ask.
pub(crate) async fn server(report: &Url, request: &IdentityRequest) -> anyhow::Result<IdentityAnswer> {
    let url = report.join(&format!("/{}", urls::IDENTITY)).context("address for questions")?;
    let http = reqwest::Client::builder().no_proxy().timeout(ATTEMPT_TIMEOUT).build();
    let http = http.context("preparing to ask the server")?;
    let end = Instant::now() + BOUND;
    loop {
        let error = match http.post(url.clone()).json(request).send().await {
            Ok(answer) if answer.status().is_success() => {
                return answer.json().await.with_context(|| format!("{url}: the answer"));
            }
            Ok(answer) if answer.status().is_client_error() => {
                let status = answer.status();
                bail!("{url} answers {status}: {}", answer.text().await.unwrap_or_default().trim());
            }
            Ok(answer) => anyhow::anyhow!("{url} answers {}", answer.status()),
            Err(error) => anyhow::Error::from(error),
        };
        if Instant::now() + PAUSE > end {
            return Err(error.context(format!("the server did not answer within {} s", BOUND.as_secs())));
        }
        sleep(PAUSE).await;
    }
}
