//! ezio itself: `ezio-pxe` serves a captured image, `ezio-init write` takes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ezio_contract::urls;

use super::{Finish, Process, SERVER, Stage, System};
use crate::bench::case::{Case, Content};
use crate::bench::liar::read_torrent;
use crate::netns::HTTP_PORT;
use crate::programs;

pub(super) struct Ezio;

/// Base name of the image directory.
pub(super) const IMAGE: &str = "room";

/// Captures a raw file into an image directory, as "disk": one file with these very bytes, or one of frames.
pub(in crate::bench) fn capture(image: &Path, folder: &Path, content: Content) -> Result<()> {
    let builder = programs::find("image-builder")?;
    let mut command = Command::new(&builder);
    let store = match content {
        Content::Incompressible => "files",
        Content::Debian => "zstd",
    };
    command.args(["capture", "--raw", "--store", store]).arg(image).arg("-o").arg(folder);
    let output = command.output().with_context(|| format!("start {}", builder.display()))?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "image-builder capture: {}: {}", output.status, problem.trim());
    Ok(())
}

impl System for Ezio {
    fn name(&self) -> &'static str {
        "ezio"
    }

    fn check(&self) -> Result<()> {
        ["image-builder", "ezio-pxe", "ezio-init"].iter().try_for_each(|name| programs::find(name).map(drop))
    }

    fn suits(&self, case: &Case) -> bool {
        !case.deploys
    }

    fn serve(&self, stage: &Stage<'_>) -> Result<Vec<Process>> {
        let folder = stage.work.join(IMAGE);
        capture(stage.image, &folder, stage.case.content)?;
        let listen = stage.server().to_string();
        let mut args = vec!["serve".to_owned(), folder.display().to_string()];
        args.extend(["--dhcp", "off", "--listen", &listen].map(str::to_owned));
        if stage.case.switches > 1 && stage.case.told {
            args.extend(sites(stage));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        // Where they do not fetch it, machines have the torrent beforehand, as all systems here.
        let ours = read_torrent(&folder.join("disk.torrent"))?.to_torrent(&[stage.announce(HTTP_PORT)]);
        fs::write(stage.torrent(), ours).context("write the torrent")?;
        let server = stage.run(SERVER, "ezio-pxe", &programs::find("ezio-pxe")?, &args, Finish::Never)?;
        stage.wait_listening(SERVER, HTTP_PORT)?;
        Ok(vec![server])
    }

    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process> {
        let source = match stage.case.fetches {
            true => format!("http://{}:{HTTP_PORT}/{}/disk.torrent", stage.server(), urls::image(IMAGE)),
            false => stage.torrent().display().to_string(),
        };
        let target = stage.target(host).display().to_string();
        let args = ["write", "--yes", &source, &target, "--progress", "json", "--seed", "forever"];
        stage.run(host, "ezio-init", &programs::find("ezio-init")?, &args, Finish::Event)
    }

    fn swarm(&self, stage: &Stage<'_>) -> Option<(PathBuf, String)> {
        Some((stage.torrent(), stage.announce(HTTP_PORT)))
    }
}

/// The table of who is on which switch, as the operator of such a room would give it.
fn sites(stage: &Stage<'_>) -> Vec<String> {
    let links = stage.room.links();
    let ranges = (0..links.switches).filter_map(|switch| Some((switch, links.range_of(switch)?)));
    ranges
        .flat_map(|(switch, (first, last))| ["--site".to_owned(), format!("switch{switch}={first}-{last}")])
        .collect()
}
