//! A whole deployment, as a netbooted machine does it: `ezio-init deploy` to a disk, with or without the proof that the disk
//! gives back what was written.

use std::cell::RefCell;
use std::fs;

use anyhow::{Context as _, Result};

use super::ezio::{Ezio, IMAGE};
use super::{Finish, Process, SERVER, Stage, System, capture};
use crate::bench::case::Case;
use crate::loop_device::Loop;
use crate::netns::HTTP_PORT;
use crate::programs;

pub(super) struct Deploy {
    verify: &'static str,
    /// The machines' disks; the last trial's are gone when the next begins.
    disks: RefCell<Vec<Loop>>,
}

impl Deploy {
    /// With `verify` as in ezio.conf.
    pub(super) fn new(verify: &'static str) -> Self {
        Self { verify, disks: RefCell::default() }
    }
}

impl System for Deploy {
    fn name(&self) -> &'static str {
        self.verify
    }

    fn check(&self) -> Result<()> {
        Ezio.check()?;
        programs::need(&["losetup"])
    }

    fn suits(&self, case: &Case) -> bool {
        case.deploys
    }

    fn serve(&self, stage: &Stage<'_>) -> Result<Vec<Process>> {
        self.disks.borrow_mut().clear();
        let (folder, conf) = (stage.work.join(IMAGE), stage.work.join("ezio.conf"));
        capture(stage.image, &folder, stage.case.content)?;
        let orders = format!(
            "image = \"{IMAGE}\"\nseed = \"none\"\n[write]\nreuse = \"never\"\nverify = \"{}\"\n",
            self.verify
        );
        fs::write(&conf, orders).context("write ezio.conf")?;
        let (folder, conf, listen) =
            (folder.display().to_string(), conf.display().to_string(), stage.server().to_string());
        let args = ["serve", &folder, "--conf", &conf, "--dhcp", "off", "--listen", &listen];
        let server = stage.run(SERVER, "ezio-pxe", &programs::find("ezio-pxe")?, &args, Finish::Never)?;
        stage.wait_listening(SERVER, HTTP_PORT)?;
        Ok(vec![server])
    }

    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process> {
        let disk = Loop::new(&stage.target(host), 0, stage.case.bytes())?;
        let conf = format!("http://{}:{HTTP_PORT}/ezio.conf", stage.server());
        let args = ["deploy", "--yes", "--conf", &conf, "--disk", &disk.0];
        let process = stage.run(host, "ezio-init", &programs::find("ezio-init")?, &args, Finish::Exit);
        self.disks.borrow_mut().push(disk);
        process
    }
}
