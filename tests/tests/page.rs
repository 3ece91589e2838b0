//! The page in a browser: Debian's Chromium, driven by the scripts in `tests/browser`, before a server to which machines
//! report that are not there.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::browser::Scripts;
use ezio_tests::loopback::{Server, add_image, image};
use ezio_tests::vm::material;

/// The first machines of the room are a group, and switch themselves off.
const CONF: &str = r#"image = "lab"

[[group]]
name = "front"
serials = ["PC-1", "PC-2", "PC-3", "PC-4"]

[[machine]]
match.group = "front"
end = "poweroff"
"#;

#[test]
fn forty_machines_are_shown_found_and_deployed_again() -> Result<()> {
    script("forty.test.mjs", &["--silent-after", "15s"])
}

#[test]
fn each_act_is_carried_out_and_a_machine_is_woken() -> Result<()> {
    let card = UdpSocket::bind("0.0.0.0:0")?;
    let port = card.local_addr()?.port().to_string();
    script("acts.test.mjs", &["--silent-after", "1h", "--wake-port", &port])?;
    // What its network card would have heard.
    card.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut packet = [0; 200];
    let (length, _) = card.recv_from(&mut packet).context("no magic packet")?;
    let mac = [0x52, 0x54, 0, 0, 0, 0];
    ensure!(packet[..length] == [vec![255; 6], mac.repeat(16)].concat(), "{:?}", &packet[..length]);
    Ok(())
}

#[test]
fn machines_are_deployed_by_order_and_by_schedule() -> Result<()> {
    script("deploy.test.mjs", &["--silent-after", "1h"])
}

#[test]
fn accounts_tokens_and_the_audit_log_are_managed() -> Result<()> {
    script("access.test.mjs", &[])
}

#[test]
fn what_became_of_deployments_is_shown_page_by_page() -> Result<()> {
    script("history.test.mjs", &["--silent-after", "1h"])
}

#[test]
fn images_are_shown_and_an_ezio_conf_is_looked_at() -> Result<()> {
    script("images.test.mjs", &["--silent-after", "1h"])
}

#[test]
#[ignore = "soak: a minute of figures"]
fn thousands_of_machines_cost_the_page_little() -> Result<()> {
    script("many.test.mjs", &["--silent-after", "1h"])
}

/// Runs a script against a server of its own.
fn script(name: &str, more: &[&str]) -> Result<()> {
    let scripts = Scripts::install()?;
    // Beside virtual machines a browser draws so rarely that nothing can be clicked in time.
    let _turn = material::turn()?;
    let image = image()?;
    add_image(image.path(), "kiosk", 8)?;
    let conf = image.path().join("ezio.conf");
    std::fs::write(&conf, CONF).context("writing ezio.conf")?;
    let conf = conf.to_str().context("the path of ezio.conf")?;
    let kiosk = image.path().join("kiosk");
    let kiosk = kiosk.to_str().context("the path of an image")?;
    let args = [&["--conf", conf, kiosk], more].concat();
    let server = Server::start(&image.path().join("lab"), &args)?;
    let first = server.first.as_deref().context("no link for the first account")?;
    scripts.run(name, &server.state, &[("EZIO_SERVER", &server.url), ("EZIO_FIRST", first)])
}
