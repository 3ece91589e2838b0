//! What the kernel says about devices as they come and go (`NETLINK_KOBJECT_UEVENT`).

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt, socket,
    sockopt::RcvBufForce,
};

/// Group of messages that the kernel itself sends (2 would be udev's).
const KERNEL_GROUP: u32 = 1;
/// Room for the storm at boot; the kernel drops what does not fit, and says so.
const RECEIVE_BUFFER: usize = 4 << 20;
/// `UEVENT_BUFFER_SIZE` of the kernel (2 KiB) and its header fit well.
const MESSAGE: usize = 8 << 10;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Uevent {
    /// "add", "remove", "change", "bind", ...
    pub(crate) action: String,
    /// What driver the device asks for.
    pub(crate) modalias: Option<String>,
    /// Its number; the kernel counts them.
    pub(crate) number: u64,
}

impl Uevent {
    /// Reads a message: `ACTION@DEVPATH`, then `KEY=value`, each ended by a zero byte. None where it is
    /// something else.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let mut fields = message.split(|&b| b == 0).map(String::from_utf8_lossy);
        let header = fields.next()?;
        let (action, _path) = header.split_once('@')?;
        let mut event = Self { action: action.to_owned(), ..Self::default() };
        for field in fields {
            match field.split_once('=') {
                Some(("MODALIAS", value)) if !value.is_empty() => event.modalias = Some(value.to_owned()),
                Some(("SEQNUM", value)) => event.number = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        Some(event)
    }
}

/// Number of the last message that the kernel has sent.
pub(crate) fn last_number(sys: &Path) -> u64 {
    let text = fs::read_to_string(sys.join("kernel/uevent_seqnum")).unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

/// What a wait for messages ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Event(Uevent),
    /// Nothing within the time given.
    Quiet,
    /// Messages were lost: look at everything again.
    Lost,
}

/// The socket.
#[derive(Debug)]
pub(crate) struct UeventSocket(OwnedFd);

impl UeventSocket {
    /// Begins to listen; what happens from now on is not missed.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )
        .context("opening the kernel's uevent socket")?;
        // Without the privilege the default is used; losses are noticed anyway.
        let _ = setsockopt(&fd, RcvBufForce, &RECEIVE_BUFFER);
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))
            .context("listening for the kernel's uevents")?;
        Ok(Self(fd))
    }

    /// Waits for the next message, at most `bound`.
    pub(crate) fn receive(&self, bound: Duration) -> io::Result<Received> {
        let timeout = PollTimeout::try_from(bound).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Received::Quiet),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let mut buffer = [0u8; MESSAGE];
        match recvfrom::<NetlinkAddr>(self.0.as_raw_fd(), &mut buffer) {
            // Port 0 is the kernel; another process must not make us load modules.
            Ok((length, Some(from))) if from.pid() == 0 => {
                Ok(Uevent::parse(&buffer[..length]).map_or(Received::Quiet, Received::Event))
            }
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(Received::Quiet),
            Err(Errno::ENOBUFS) => Ok(Received::Lost),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_form() {
        let message = b"add@/devices/pci0000:00/0000:00:02.0\0ACTION=add\0SUBSYSTEM=pci\0PCI_CLASS=20000\0\
            MODALIAS=pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00\0SEQNUM=700\0";
        let event = Uevent::parse(message).unwrap();
        assert_eq!(event.action, "add");
        assert_eq!(event.modalias.as_deref(), Some("pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00"));
        assert_eq!(event.number, 700);
    }

    #[test]
    fn what_is_no_uevent_is_none() {
        assert_eq!(Uevent::parse(b"libudev\0\xfe\xed"), None);
        assert_eq!(Uevent::parse(b""), None);
        assert_eq!(Uevent::parse(b"\xff\xff@x\0\0=\0MODALIAS=\0").unwrap().modalias, None);
    }
}
