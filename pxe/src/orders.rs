//! The commands that order deployments: what would be done comes first, then a question, then the order.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use axum::http::Method;
use chrono::{Local, TimeZone};
use ezio_contract::urls;
use serde_json::json;

use crate::ask::Server;
use crate::cli::{DeployArgs, ScheduleCommand, StatusArgs, UnscheduleArgs};
use crate::client::{acted, is_confirmed, print, read};
use crate::fleet::Meant;
use crate::http::{ScheduleList, ScheduleView};
use crate::plan::{self, PlanView};

/// `ezio-pxe deploy`.
pub(crate) async fn deploy(args: &DeployArgs) -> Result<()> {
    let server = Server::of(&args.server)?;
    let mut wish = json!({ "machines": args.meant.meant(), "wake": args.wake, "approve": args.approve });
    for (name, value) in [("image", json!(args.image)), ("then", json!(args.then))] {
        if !value.is_null() {
            wish[name] = value;
        }
    }
    let text = server.order(urls::DEPLOY_PLAN, &wish).await?;
    let plan: PlanView = read(&text)?;
    if args.dry_run && args.json {
        return print(&format!("{text}\n"));
    }
    if !args.json {
        print(&plan::print(&plan))?;
    }
    let question = format!("{} disks hold something. Go on?", plan.disks_with_data());
    if args.dry_run || !(args.yes || is_confirmed(&question, "--dry-run only shows it")?) {
        return Ok(());
    }
    let (when, what) = match (&args.at, &args.schedule) {
        (Some(at), _) => ("at", at),
        (None, Some(cron)) => ("cron", cron),
        (None, None) => {
            let text = server.order(urls::DEPLOY, &wish).await?;
            return acted(&text, args.json);
        }
    };
    wish[when] = json!(what);
    let text = server.order(urls::SCHEDULES, &wish).await?;
    match args.json {
        true => print(&format!("{text}\n")),
        false => print(&line(&read(&text)?)),
    }
}

/// `ezio-pxe schedule`.
pub(crate) async fn schedule(command: &ScheduleCommand) -> Result<()> {
    match command {
        ScheduleCommand::List(args) => list(args).await,
        ScheduleCommand::Add(args) if args.at.is_none() && args.schedule.is_none() => {
            bail!("say when: --at TIME or --schedule CRON")
        }
        ScheduleCommand::Add(args) => deploy(args).await,
        ScheduleCommand::Remove(args) => remove(args).await,
    }
}

async fn list(args: &StatusArgs) -> Result<()> {
    let text = Server::of(&args.server)?.ask(Method::GET, urls::SCHEDULES, None).await?;
    if args.json {
        return print(&format!("{text}\n"));
    }
    let list: ScheduleList = read(&text)?;
    print(&list.schedules.iter().map(line).collect::<String>())
}

async fn remove(args: &UnscheduleArgs) -> Result<()> {
    let which = json!({ "id": args.id });
    Server::of(&args.server)?.ask(Method::POST, urls::UNSCHEDULE, Some(&which)).await?;
    Ok(())
}

/// For people.
fn line(view: &ScheduleView) -> String {
    let wish = &view.schedule.wish;
    let machines = match &wish.machines {
        Meant::All(_) => "all machines".to_owned(),
        Meant::Named(names) => names.join(", "),
        Meant::Group(group) => format!("group {}", group.group),
    };
    let next = view.next.and_then(|next| Local.timestamp_opt(next as i64, 0).single());
    let next = next.map_or_else(|| "never".to_owned(), |next| next.format("%Y-%m-%d %H:%M %Z").to_string());
    let mut out = format!("{}: {next}: {machines}", view.schedule.id);
    let image = wish.order.image.as_ref().map(|image| format!("image {image}"));
    let then = wish.order.then.map(|then| format!("then {}", json!(then).as_str().unwrap_or_default()));
    let words =
        [image, wish.wake.then(|| "woken".to_owned()), wish.approve.then(|| "approved".to_owned()), then];
    for word in words.into_iter().flatten() {
        // Writing to a String cannot fail.
        let _ = write!(out, ", {word}");
    }
    out.push('\n');
    out
}
