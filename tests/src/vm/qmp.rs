//! The little of QEMU's machine protocol that tests need: screenshots, reset, power.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// QEMU answers at once, or is stuck.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs one command on the machine whose QMP socket is `socket`.
pub fn execute(socket: &Path, command: &str, arguments: Value) -> Result<Value> {
    let stream =
        UnixStream::connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
    stream.set_read_timeout(Some(TIMEOUT)).context("setting a time-out on QMP")?;
    let mut reader = BufReader::new(stream.try_clone().context("cloning the QMP connection")?);
    let mut writer = stream;
    read_message(&mut reader)?; // the greeting
    ask(&mut writer, &mut reader, &json!({ "execute": "qmp_capabilities" }))?;
    ask(&mut writer, &mut reader, &json!({ "execute": command, "arguments": arguments }))
}

/// Saves what is on the machine's screen, as "png" or "ppm".
pub fn screenshot(socket: &Path, picture: &Path, format: &str) -> Result<()> {
    let name = picture.to_str().context("the path of a screenshot must be UTF-8")?;
    execute(socket, "screendump", json!({ "filename": name, "format": format })).map(|_| ())
}

/// Presses a key of the machine's keyboard, by QEMU's name of it.
pub fn press(socket: &Path, key: &str) -> Result<()> {
    let keys = json!({ "keys": [{ "type": "qcode", "data": key }] });
    execute(socket, "send-key", keys).map(|_| ())
}

fn ask(writer: &mut UnixStream, reader: &mut impl BufRead, message: &Value) -> Result<Value> {
    writeln!(writer, "{message}").context("writing to QMP")?;
    loop {
        let answer = read_message(reader)?;
        if let Some(value) = answer.get("return") {
            return Ok(value.clone());
        }
        if let Some(error) = answer.get("error") {
            bail!("QEMU refused {message}: {error}");
        }
    }
}

fn read_message(reader: &mut impl BufRead) -> Result<Value> {
    let mut line = String::new();
    if reader.read_line(&mut line).context("reading from QMP")? == 0 {
        bail!("QEMU closed its QMP connection");
    }
    serde_json::from_str(&line).with_context(|| format!("reading QMP message {line:?}"))
}
