//! The receiving side of a transfer as a pure state machine.

use super::options::{Negotiated, Options};
use super::packet::{ErrorCode, Packet};

/// What to do after a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: wait for more.
    Wait,
    /// Send this, wait for more.
    Send(Vec<u8>),
    /// Send this; the file is complete.
    Finish(Vec<u8>),
    /// The transfer has failed; send this, if there is something to tell the sender.
    Abort(Failure, Option<Vec<u8>>),
}

/// Why a transfer fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The sender said no.
    Refused(ErrorCode, String),
    /// The sender grants options that cannot hold.
    Options(String),
    /// The file is larger than the receiver takes.
    TooLarge(u64),
    /// The sender broke the protocol.
    Protocol(String),
}

/// A file on its way in.
#[derive(Debug)]
pub struct Receiver {
    asked: Options,
    agreed: Option<Negotiated>,
    data: Vec<u8>,
    max_len: u64,
    /// Last block in order.
    last: u64,
    /// Blocks since the last acknowledgement.
    unacked: u16,
    /// The gap behind `last` has been told already: one acknowledgement a gap, or both sides double
    /// their packets from here on.
    gap_told: bool,
}

impl Receiver {
    /// A transfer that asked for `asked` and takes up to `max_len` bytes.
    #[must_use]
    pub fn new(asked: Options, max_len: u64) -> Self {
        Self { asked, agreed: None, data: Vec::new(), max_len, last: 0, unacked: 0, gap_told: false }
    }

    /// The file so far; all of it after [`Step::Finish`].
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Bytes so far.
    #[must_use]
    pub fn received(&self) -> usize {
        self.data.len()
    }

    /// Has the sender answered at all?
    #[must_use]
    pub fn started(&self) -> bool {
        self.agreed.is_some()
    }

    /// To be called with each packet of the sender.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Step {
        match packet {
            Packet::OptionAck { options } => self.options(options),
            Packet::Data { block, data } => self.data(*block, data),
            Packet::Error { code, message } => Step::Abort(Failure::Refused(*code, message.clone()), None),
            _ => Step::Wait,
        }
    }

    /// Nothing came for a while: what to send again. `None` before the sender's first word: that is the
    /// request itself.
    pub fn timeout(&mut self) -> Option<Vec<u8>> {
        self.gap_told = false;
        self.started().then(|| self.ack())
    }

    fn options(&mut self, options: &[(String, String)]) -> Step {
        if self.last > 0 {
            return Step::Wait;
        }
        if self.agreed.is_none() {
            match Negotiated::accept(&self.asked, options) {
                Ok(agreed) => self.agreed = Some(agreed),
                Err(e) => return self.abort(ErrorCode::OptionRefused, Failure::Options(e.to_string())),
            }
        }
        match self.agreed.and_then(|a| a.size) {
            Some(size) if size > self.max_len => self.abort(ErrorCode::DiskFull, Failure::TooLarge(size)),
            _ => Step::Send(self.ack()),
        }
    }

    fn data(&mut self, block: u16, data: &[u8]) -> Step {
        // A server without options answers with the first block at once.
        let agreed = *self.agreed.get_or_insert_with(Negotiated::default);
        if block != (self.last + 1) as u16 {
            return self.out_of_order(block, agreed.window);
        }
        if data.len() > usize::from(agreed.block_size) {
            let text = format!("a block of {} bytes where {} were agreed", data.len(), agreed.block_size);
            return self.abort(ErrorCode::IllegalOperation, Failure::Protocol(text));
        }
        let length = self.data.len() as u64 + data.len() as u64;
        if length > self.max_len {
            return self.abort(ErrorCode::DiskFull, Failure::TooLarge(length));
        }
        self.data.extend_from_slice(data);
        self.last += 1;
        self.unacked += 1;
        self.gap_told = false;
        if data.len() < usize::from(agreed.block_size) {
            return Step::Finish(self.ack());
        }
        if self.unacked >= agreed.window { Step::Send(self.ack()) } else { Step::Wait }
    }

    fn out_of_order(&mut self, block: u16, window: u16) -> Step {
        let ahead = block.wrapping_sub(self.last as u16);
        let behind = ahead > u16::MAX / 2;
        // An old block again means that our acknowledgement was lost, at least when it ends its window.
        if self.gap_told || (behind && window == 1 && ahead != 0) {
            return Step::Wait;
        }
        self.gap_told = true;
        Step::Send(self.ack())
    }

    fn ack(&mut self) -> Vec<u8> {
        self.unacked = 0;
        Packet::Ack { block: self.last as u16 }.encode()
    }

    fn abort(&self, code: ErrorCode, failure: Failure) -> Step {
        let message = match &failure {
            Failure::TooLarge(_) => "file too large".to_owned(),
            Failure::Protocol(text) | Failure::Options(text) | Failure::Refused(_, text) => text.clone(),
        };
        Step::Abort(failure, Some(Packet::Error { code, message }.encode()))
    }
}
