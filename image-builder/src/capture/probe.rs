//! What is on a stretch of the source: `blkid -p` looks at the bytes themselves.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::stop::Stop;

/// Answer of blkid.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Probed {
    /// File system type ("ext4", "swap"); none where blkid knows nothing.
    pub(crate) filesystem: Option<String>,
    /// Its UUID as blkid prints it.
    pub(crate) uuid: Option<String>,
    /// Its label.
    pub(crate) label: Option<String>,
    /// Kind of partition table ("gpt", "dos"), where it is one.
    pub(crate) table: Option<String>,
}

/// Looks at `length` bytes from `offset` of `path`.
pub(crate) fn probe(stop: &Stop, path: &Path, offset: u64, length: u64) -> Result<Probed> {
    let mut command = Command::new("blkid");
    command.args(["--probe", "--output", "export"]).env("PATH", crate::SEARCH_PATH);
    command.args(["--offset", &offset.to_string(), "--size", &length.to_string()]).arg(path);
    let finished = stop.run(&mut command)?;
    match finished.code {
        Some(0) => Ok(parse(&finished.stdout)),
        // Nothing found.
        Some(2) => Ok(Probed::default()),
        Some(8) => bail!(
            "blkid finds several file systems at byte {offset} of {}: wipe the old ones (wipefs), or use --raw",
            path.display()
        ),
        _ => bail!("blkid failed on {}: {}", path.display(), finished.stderr.trim()),
    }
}

/// Lines of `KEY=value`, where the value has a `\` before what a shell would take amiss.
fn parse(output: &str) -> Probed {
    let mut probed = Probed::default();
    for (key, value) in output.lines().filter_map(|line| line.split_once('=')) {
        let field = match key {
            "TYPE" => &mut probed.filesystem,
            "UUID" => &mut probed.uuid,
            "LABEL" => &mut probed.label,
            "PTTYPE" => &mut probed.table,
            _ => continue,
        };
        *field = Some(unescape(value));
    }
    probed
}

fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_blkid_prints() {
        let probed =
            parse("DEVNAME=x\nLABEL=My\\ disk\\\\x\nUUID=ab-cd\nVERSION=1.0\nTYPE=ext4\nUSAGE=filesystem\n");
        assert_eq!(probed.filesystem.as_deref(), Some("ext4"));
        assert_eq!(probed.uuid.as_deref(), Some("ab-cd"));
        assert_eq!(probed.label.as_deref(), Some(r"My disk\x"));
        assert_eq!(probed.table, None);
        assert_eq!(parse("PTTYPE=gpt\n").table.as_deref(), Some("gpt"));
    }
}
