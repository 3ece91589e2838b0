//! udpcast: multicast of the image from one sender.

use std::path::Path;

use anyhow::Result;

use super::{Case, Finish, Process, SERVER, Stage, System};
use crate::programs;

pub(super) struct Udpcast;

/// Multicast has no back-pressure: above this share of the link's rate it loses more than it gains.
const SHARE_OF_LINK: f64 = 0.9;

impl System for Udpcast {
    fn name(&self) -> &'static str {
        "udpcast"
    }

    fn check(&self) -> Result<()> {
        programs::need(&["udp-sender", "udp-receiver"])
    }

    fn suits(&self, case: &Case) -> bool {
        case.is_plain()
    }

    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process> {
        let target = stage.target(host).display().to_string();
        let args = ["--nokbd", "--interface", "eth0", "--file", &target];
        stage.run(host, "udp-receiver", Path::new("udp-receiver"), &args, Finish::Exit)
    }

    fn release(&self, stage: &Stage<'_>, members: &[&Process]) -> Result<Option<Process>> {
        let image = stage.image.display().to_string();
        let count = members.len().to_string();
        let rate = format!("{}k", (stage.case.mbit * 1000.0 * SHARE_OF_LINK) as u64);
        let args = ["--nokbd", "--interface", "eth0", "--file", &image, "--min-receivers", &count];
        let args = [&args[..], &["--full-duplex", "--max-bitrate", &rate, "--max-wait", "10"]].concat();
        stage.run(SERVER, "udp-sender", Path::new("udp-sender"), &args, Finish::Exit).map(Some)
    }
}
