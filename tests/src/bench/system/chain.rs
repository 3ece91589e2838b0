//! The plain chain of relays.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::{Case, Finish, Process, SERVER, Stage, System};
use crate::bench::relay;

pub(super) struct Chain;

impl System for Chain {
    fn name(&self) -> &'static str {
        "chain"
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn suits(&self, case: &Case) -> bool {
        case.is_plain()
    }

    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process> {
        let target = stage.target(host).display().to_string();
        let next = SocketAddr::from((stage.room.address(host + 1), relay::PORT)).to_string();
        let mut args = vec!["relay", &target];
        if host < stage.case.members {
            args.extend(["--next", &next]);
        }
        stage.run_own(host, "relay", &args, Finish::Event)
    }

    fn release(&self, stage: &Stage<'_>, members: &[&Process]) -> Result<Option<Process>> {
        for relay in members {
            relay.wait_for("ready", Duration::from_secs(60))?;
        }
        let first = SocketAddr::from((stage.room.address(SERVER + 1), relay::PORT)).to_string();
        let image = stage.image.display().to_string();
        stage.run_own(SERVER, "send", &["send", &image, &first], Finish::Exit).map(Some)
    }
}
