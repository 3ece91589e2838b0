//! The kernel command line: what an operator, GRUB or iPXE tells a machine before there is a network.
//! The kernel's own words (`ip=`, `BOOTIF=`, `console=`) keep their meaning; ours begin with `ezio.`.

use ezio_contract::{Mac, parameters};
use ezio_image::conf::EndAction;
use thiserror::Error;
use uuid::Uuid;

use super::SystemPaths;
use super::ip_param::{IpParam, IpParamError};

/// What the kernel command line says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Cmdline {
    /// `ezio.conf=`: where ezio.conf lies.
    pub(crate) conf: Option<String>,
    /// `ezio.server=`: the server that has it, where no address of a file is known.
    pub(crate) server: Option<String>,
    /// `ezio.group=`: the group of this machine in ezio.conf.
    pub(crate) group: Option<String>,
    /// `ezio.report=`: where reports go.
    pub(crate) report: Option<String>,
    /// `ezio.stick=`: GPT id of the stick that this machine was started from.
    pub(crate) stick: Option<Uuid>,
    /// `ezio.end=`: end action, after success and failure alike, whatever ezio.conf says.
    pub(crate) end: Option<EndAction>,
    /// `BOOTIF=`: MAC of the card that booted.
    pub(crate) boot_mac: Option<Mac>,
    /// `ip=`.
    pub(crate) ip: Option<IpParam>,
    /// `console=`, device names without options, in order.
    pub(crate) consoles: Vec<String>,
    /// What could not be understood, but does no harm.
    pub(crate) warnings: Vec<String>,
}

/// Why a command line is refused.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum CmdlineError {
    #[error("ezio.end: {0}")]
    End(String),
    #[error("ezio.stick={0}: no GUID")]
    Stick(String),
    #[error("{0}: no such parameter (ezio.conf, ezio.server, ezio.group, ezio.report, ezio.end, ezio.stick)")]
    Unknown(String),
    #[error("ip={value}")]
    Ip { value: String, source: IpParamError },
}

impl Cmdline {
    /// The command line of this machine.
    pub(crate) fn of_machine(paths: &SystemPaths) -> Result<Self, CmdlineError> {
        Self::parse(&std::fs::read_to_string(paths.proc.join("cmdline")).unwrap_or_default())
    }

    /// Reads a command line as `/proc/cmdline` gives it.
    pub(crate) fn parse(text: &str) -> Result<Self, CmdlineError> {
        let mut cmdline = Self::default();
        for word in words(text) {
            let (key, value) = word.split_once('=').unwrap_or((&word, ""));
            match key {
                parameters::CONF => cmdline.conf = non_empty(value),
                parameters::SERVER => cmdline.server = non_empty(value),
                parameters::GROUP => cmdline.group = non_empty(value),
                parameters::REPORT => cmdline.report = non_empty(value),
                parameters::STICK => {
                    cmdline.stick = Some(value.parse().map_err(|_| CmdlineError::Stick(value.into()))?);
                }
                parameters::END => {
                    cmdline.end = Some(value.parse().map_err(CmdlineError::End)?);
                }
                _ if key.starts_with(parameters::PREFIX) => {
                    return Err(CmdlineError::Unknown(key.to_owned()));
                }
                parameters::BOOTIF => match value.parse() {
                    Ok(mac) => cmdline.boot_mac = Some(mac),
                    Err(_) => cmdline.warnings.push(format!("BOOTIF={value} is no MAC address: ignored")),
                },
                "ip" => {
                    let parsed =
                        value.parse().map_err(|source| CmdlineError::Ip { value: value.into(), source });
                    cmdline.ip = Some(parsed?);
                }
                "console" => cmdline.consoles.extend(console(value)),
                _ => {}
            }
        }
        Ok(cmdline)
    }
}

/// Words parted by blanks; double quotes keep blanks together, as the kernel has it.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn non_empty(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// Device name of a `console=`: `ttyS0,115200n8` is `ttyS0`; `null` and empty switch consoles off.
fn console(value: &str) -> Option<String> {
    let name = value.split(',').next().unwrap_or_default();
    let plain = !name.is_empty() && name != "null" && name.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_grub_and_ipxe_pass() {
        let cmdline = Cmdline::parse(
            "BOOT_IMAGE=vmlinuz initrd=initrd.img quiet ezio.conf=http://10.0.0.1:8080/ezio.conf \
             BOOTIF=01-52-54-00-AB-cd-01 console=tty0 console=ttyS0,115200n8 ezio.group=room1 ezio.end=hold \
             ezio.server=10.0.0.1\n",
        )
        .unwrap();
        assert_eq!(cmdline.conf.as_deref(), Some("http://10.0.0.1:8080/ezio.conf"));
        assert_eq!(cmdline.server.as_deref(), Some("10.0.0.1"));
        assert_eq!(cmdline.boot_mac, Some("52:54:00:ab:cd:01".parse().unwrap()));
        assert_eq!(cmdline.consoles, ["tty0", "ttyS0"]);
        assert_eq!(cmdline.group.as_deref(), Some("room1"));
        assert_eq!(cmdline.end, Some(EndAction::Hold));
        assert!(cmdline.warnings.is_empty());
    }

    #[test]
    fn a_bootif_that_is_no_address_does_no_harm() {
        let cmdline = Cmdline::parse("BOOTIF=01-").unwrap();
        assert_eq!((cmdline.boot_mac, cmdline.warnings.len()), (None, 1));
    }

    #[test]
    fn quotes_keep_blanks() {
        assert_eq!(Cmdline::parse("ezio.group=\"room 1\" x").unwrap().group.as_deref(), Some("room 1"));
    }

    #[test]
    fn refuses_what_it_would_otherwise_misunderstand() {
        assert!(matches!(Cmdline::parse("ezio.end=halt"), Err(CmdlineError::End(_))));
        assert_eq!(Cmdline::parse("ezio.stick=x"), Err(CmdlineError::Stick("x".into())));
        assert_eq!(Cmdline::parse("ezio.cfg=x"), Err(CmdlineError::Unknown("ezio.cfg".into())));
        assert!(matches!(Cmdline::parse("ip=10.0.0.300::"), Err(CmdlineError::Ip { .. })));
    }

    #[test]
    fn consoles_are_device_names_only() {
        let cmdline = Cmdline::parse("console=null console= console=../x console=hvc0").unwrap();
        assert_eq!(cmdline.consoles, ["hvc0"]);
    }
}
