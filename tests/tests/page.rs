//! The page in a browser: Debian's Chromium, driven by the scripts in `tests/browser`, before a server to which machines
//! report that are not there.

use anyhow::Result;
use ezio_tests::browser::Scripts;
use ezio_tests::loopback::{Server, image};

#[test]
fn forty_machines_are_shown_found_and_deployed_again() -> Result<()> {
    script("forty.test.mjs", &["--silent-after", "15s"])
}

#[test]
#[ignore = "soak: a minute of figures"]
fn thousands_of_machines_cost_the_page_little() -> Result<()> {
    script("many.test.mjs", &["--silent-after", "1h"])
}

/// Runs a script against a server of its own.
fn script(name: &str, more: &[&str]) -> Result<()> {
    let scripts = Scripts::install()?;
    let image = image()?;
    let server = Server::start(&image.path().join("lab"), &[&["--https-port", "0"], more].concat())?;
    scripts.run(name, &server.state, &[("EZIO_SERVER", &server.url)])
}
