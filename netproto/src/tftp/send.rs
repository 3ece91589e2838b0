//! The sending side of a transfer as a pure state machine.

use super::options::Negotiated;
use super::packet::{ErrorCode, Packet};

/// What to do after a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: wait for more.
    Wait,
    /// Send what [`Sender::window`] gives.
    SendWindow,
    /// Everything has arrived.
    Finished,
    /// The receiver ended the transfer.
    Cancelled(ErrorCode, String),
}

/// A file on its way out. Block numbers are kept whole, and are cut to 16 bits on the wire.
#[derive(Debug)]
pub struct Sender<D> {
    data: D,
    agreed: Negotiated,
    option_ack: Option<Vec<u8>>,
    /// Last acknowledged block.
    acked: u64,
    /// The window behind `acked` was sent again because of an acknowledgement for `acked` already.
    resent: bool,
}

impl<D: AsRef<[u8]>> Sender<D> {
    /// A transfer of `data`; `answer` are the options to acknowledge first, if any.
    #[must_use]
    pub fn new(data: D, agreed: Negotiated, answer: Vec<(String, String)>) -> Self {
        let option_ack = (!answer.is_empty()).then(|| Packet::OptionAck { options: answer }.encode());
        Self { data, agreed, option_ack, acked: 0, resent: false }
    }

    /// Bytes that the receiver has for sure.
    #[must_use]
    pub fn acknowledged_bytes(&self) -> u64 {
        (self.acked * u64::from(self.agreed.block_size)).min(self.data.as_ref().len() as u64)
    }

    /// The packets now due: the option acknowledgement, or the blocks of the window.
    pub fn window(&self) -> impl Iterator<Item = Vec<u8>> {
        let first = self.option_ack.clone();
        let blocks = if first.is_some() { 0 } else { u64::from(self.agreed.window) };
        let last = self.last_block().min(self.acked + blocks);
        first.into_iter().chain((self.acked + 1..=last).map(|block| self.block(block)))
    }

    /// To be called with each packet of the receiver.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Step {
        match packet {
            Packet::Ack { block } => self.ack(*block),
            Packet::Error { code, message } => Step::Cancelled(*code, message.clone()),
            _ => Step::Wait,
        }
    }

    /// Nothing came for a while: the window may be sent again.
    pub fn timeout(&mut self) {
        self.resent = false;
    }

    fn ack(&mut self, block: u16) -> Step {
        if self.option_ack.is_some() {
            if block != 0 {
                return Step::Wait;
            }
            self.option_ack = None;
            return Step::SendWindow;
        }
        let advance = u64::from(block.wrapping_sub(self.acked as u16));
        if advance == 0 {
            // With windows, this says that the window's first block was lost. Without, it is only a
            // duplicate: answering it would double every packet from here on.
            if self.agreed.window == 1 || self.resent {
                return Step::Wait;
            }
            self.resent = true;
            return Step::SendWindow;
        }
        if advance > u64::from(self.agreed.window) || self.acked + advance > self.last_block() {
            return Step::Wait;
        }
        self.acked += advance;
        self.resent = false;
        if self.acked == self.last_block() { Step::Finished } else { Step::SendWindow }
    }

    /// The last block is short, or empty where the file ends with a whole one.
    fn last_block(&self) -> u64 {
        self.data.as_ref().len() as u64 / u64::from(self.agreed.block_size) + 1
    }

    fn block(&self, number: u64) -> Vec<u8> {
        let size = usize::from(self.agreed.block_size);
        let data = self.data.as_ref();
        let start = (number as usize - 1).saturating_mul(size).min(data.len());
        let end = (start + size).min(data.len());
        Packet::Data { block: number as u16, data: &data[start..end] }.encode()
    }
}
