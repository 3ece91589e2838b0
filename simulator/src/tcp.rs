//! One direction of a TCP connection, as far as it matters here.

use std::collections::{BTreeMap, VecDeque};

use ezio_scheduler::Blocks;

use super::link::Nanos;
use super::node::Message;

/// Payload of a full segment, and what headers add on the wire (Ethernet, IP, TCP with timestamps).
pub(super) const SEGMENT: u32 = 1448;
pub(super) const HEADER: u32 = 66;
/// Segments that travel as one packet (what the kernel hands down at such rates).
const SEGMENTS: u32 = 2;
/// Packets of one stream that may wait at the sender's own link (TCP small queues).
const SMALL_QUEUE: u32 = 3;
const INITIAL_WINDOW: f64 = 10.0 * SEGMENT as f64;
/// Unsent bytes in the kernel below which the driver takes for sent what it wrote, and writes more (TCP_NOTSENT_LOWAT).
pub(super) const LOW_WATER: u64 = 4 << 10;

/// A piece of a stream on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) from: u64,
    pub(super) len: u32,
}

impl Segment {
    /// Bytes on the wire.
    pub(super) fn wire(self) -> u32 {
        self.len + self.len.div_ceil(SEGMENT).max(1) * HEADER
    }
}

/// A stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) src: u32,
    pub(super) dst: u32,
    /// Messages written and not yet delivered, with the offset of their end.
    pub(super) messages: VecDeque<(u64, Message)>,
    /// Blocks that the driver still holds back, and whether they are what they should be.
    pub(super) waiting: VecDeque<(Blocks, bool)>,
    pub(super) written: u64,
    /// Payload written that the scheduler has not heard of as sent.
    pub(super) unreported: u32,
    sent: u64,
    in_flight: f64,
    window: f64,
    threshold: f64,
    /// Cubic: window at the last loss, time of it.
    peak: f64,
    epoch: Nanos,
    recover: u64,
    again: VecDeque<Segment>,
    /// Packets that wait at the own link.
    pub(super) queued: u32,
    rtt: f64,
    rtt_min: f64,
    last_send: Nanos,
    /// Receiver: everything before this is there.
    received: u64,
    beyond: BTreeMap<u64, u32>,
    pub(super) dead: bool,
}

impl Stream {
    pub(super) fn new(src: u32, dst: u32) -> Self {
        Self {
            src,
            dst,
            window: INITIAL_WINDOW,
            threshold: f64::INFINITY,
            rtt: 1e6,
            rtt_min: f64::INFINITY,
            ..Self::default()
        }
    }

    pub(super) fn unsent(&self) -> u64 {
        self.written - self.sent
    }

    pub(super) fn write(&mut self, message: Message, bytes: u32) {
        self.written += u64::from(bytes);
        self.messages.push_back((self.written, message));
    }

    /// The next segment that may go out now.
    pub(super) fn next_segment(&mut self, now: Nanos) -> Option<Segment> {
        if self.queued >= SMALL_QUEUE || self.dead {
            return None;
        }
        if self.in_flight == 0.0 && now > self.last_send + (200e6 + self.rtt) as Nanos {
            self.window = self.window.min(INITIAL_WINDOW);
        }
        if self.in_flight > 0.0 && self.in_flight + f64::from(SEGMENT) > self.window {
            return None;
        }
        let segment = match self.again.pop_front() {
            Some(segment) => segment,
            None => {
                let room = (self.window - self.in_flight).max(f64::from(SEGMENT)) as u64;
                let most = u64::from(SEGMENTS * SEGMENT).min(room / u64::from(SEGMENT) * u64::from(SEGMENT));
                let len = self.unsent().min(most) as u32;
                if len == 0 {
                    return None;
                }
                let segment = Segment { from: self.sent, len };
                self.sent += u64::from(len);
                segment
            }
        };
        self.in_flight += f64::from(segment.len);
        self.last_send = now;
        Some(segment)
    }

    /// An ACK for a segment sent at `sent_at`.
    pub(super) fn acked(&mut self, now: Nanos, len: u32, sent_at: Nanos) {
        let rtt = (now - sent_at) as f64;
        self.rtt += (rtt - self.rtt) * 0.125;
        self.rtt_min = self.rtt_min.min(rtt);
        let limited = self.in_flight + 2.0 * f64::from(SEGMENT * SEGMENTS) >= self.window;
        self.in_flight = (self.in_flight - f64::from(len)).max(0.0);
        if !limited {
            return;
        }
        if self.window < self.threshold {
            self.window += f64::from(len);
            let slack = (self.rtt_min / 8.0).clamp(4e6, 16e6);
            if self.window > 16.0 * f64::from(SEGMENT) && rtt > self.rtt_min + slack {
                self.threshold = self.window;
                self.peak = self.window;
                self.epoch = now;
            }
            return;
        }
        // Cubic, in segments and seconds, never slower than Reno would be.
        let segment = f64::from(SEGMENT);
        let t = now.saturating_sub(self.epoch) as f64 / 1e9;
        let k = (self.peak / segment * 0.3 / 0.4).cbrt();
        let cubic = (self.peak / segment + 0.4 * (t - k).powi(3)) * segment;
        let step = ((cubic - self.window) / self.window * f64::from(len))
            .max(0.5 * segment * f64::from(len) / self.window);
        self.window += step.min(0.5 * f64::from(len));
    }

    /// How long until the loss of a segment shows.
    pub(super) fn loss_delay(&self) -> Nanos {
        if self.in_flight > 3.0 * f64::from(SEGMENT) {
            self.rtt as Nanos
        } else {
            (2.0 * self.rtt + 10e6) as Nanos
        }
    }

    pub(super) fn lost(&mut self, now: Nanos, segment: Segment) {
        self.in_flight = (self.in_flight - f64::from(segment.len)).max(0.0);
        if segment.from >= self.recover {
            self.peak = self.window;
            self.window = (self.window * 0.7).max(2.0 * f64::from(SEGMENT));
            self.threshold = self.window;
            self.epoch = now;
            self.recover = self.sent;
        }
        self.again.push_back(segment);
    }

    /// A segment is here: the messages that are whole now are taken with [`Stream::delivered`].
    pub(super) fn arrived(&mut self, segment: Segment) {
        if segment.from > self.received {
            self.beyond.insert(segment.from, segment.len);
            return;
        }
        self.received = self.received.max(segment.from + u64::from(segment.len));
        while let Some(entry) = self.beyond.first_entry()
            && *entry.key() <= self.received
        {
            let (from, len) = entry.remove_entry();
            self.received = self.received.max(from + u64::from(len));
        }
    }

    /// The next message that is here as a whole.
    pub(super) fn delivered(&mut self) -> Option<Message> {
        let (end, _) = self.messages.front()?;
        if *end > self.received { None } else { self.messages.pop_front().map(|m| m.1) }
    }
}
