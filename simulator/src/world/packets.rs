//! Segments and their ACKs on their way over the links.

use super::super::link::Nanos;
use super::super::node::Message;
use super::super::tcp::{HEADER, LOW_WATER, Segment};
use super::World;
use super::event::{Told, What};
use ezio_scheduler::{Input, SENT_AT_ONCE};

impl World<'_> {
    pub(super) fn send(&mut self, stream: u32, message: Message) {
        let s = &mut self.streams[stream as usize];
        if s.dead {
            return;
        }
        if let Message::Block(blocks, intact) = message {
            s.waiting.push_back((blocks, intact));
        } else {
            let bytes = message.bytes();
            s.write(message, bytes);
        }
        self.dirty.push(stream);
    }

    /// Lets a stream send what it may.
    pub(super) fn flush(&mut self, stream: u32) {
        loop {
            let s = &mut self.streams[stream as usize];
            if s.dead {
                return;
            }
            let drained = s.unsent() < LOW_WATER;
            if drained && s.unreported > 0 {
                let (src, bytes) = (s.src, std::mem::take(&mut s.unreported));
                let id = self.ends[stream as usize / 2][stream as usize % 2];
                self.told.push_back((src, Told::Plain(Input::Sent(id, bytes))));
                return self.after_sent(stream);
            }
            while drained
                && s.unreported < SENT_AT_ONCE
                && let Some((blocks, intact)) = s.waiting.pop_front()
            {
                let bytes = self.geometry.bytes_of(blocks);
                s.write(Message::Block(blocks, intact), bytes + 13);
                s.unreported += bytes;
            }
            let Some(segment) = s.next_segment(self.now) else { return };
            s.queued += 1;
            let link = s.src as usize;
            match self.links[link].take(self.now, segment.wire(), false) {
                Some(at) => {
                    let sent_at = self.now;
                    self.at(at, What::Data { stream, segment, sent_at, hop: 0 });
                }
                None => {
                    s.queued -= 1;
                    let delay = s.loss_delay();
                    self.at(self.now + delay, What::Lost { stream, segment });
                }
            }
        }
    }

    /// A block has left the driver's hands: the scheduler hears of it before the stream goes on.
    fn after_sent(&mut self, stream: u32) {
        while let Some((node, told)) = self.told.pop_front() {
            self.tell(node, told);
        }
        self.flush(stream);
    }

    /// The link that a packet takes as hop `hop` of its way; none when it is there.
    fn link(&self, src: u32, dst: u32, hop: u8) -> Option<usize> {
        let nodes = self.nodes.len();
        let (a, b) = (self.room.switch_of(src as usize), self.room.switch_of(dst as usize));
        let trunks = self.room.trunks(a, b).map(|(switch, down)| 2 * nodes + 2 * switch + usize::from(down));
        std::iter::once(src as usize).chain(trunks).chain([nodes + dst as usize]).nth(usize::from(hop))
    }

    pub(super) fn data(&mut self, stream: u32, segment: Segment, sent_at: Nanos, hop: u8) {
        let s = &mut self.streams[stream as usize];
        if hop == 0 {
            s.queued -= 1;
            self.dirty.push(stream);
        }
        let s = &self.streams[stream as usize];
        if s.dead {
            return;
        }
        let (src, dst) = (s.src, s.dst);
        if let Some(link) = self.link(src, dst, hop + 1) {
            let latency = self.room.latency.as_nanos() as u64;
            match self.links[link].take(self.now + latency, segment.wire(), false) {
                Some(at) => self.at(at, What::Data { stream, segment, sent_at, hop: hop + 1 }),
                None => {
                    let delay = self.streams[stream as usize].loss_delay();
                    self.at(self.now + delay, What::Lost { stream, segment });
                }
            }
            return;
        }
        if let Some(at) = self.links[dst as usize].take(self.now, HEADER, true) {
            self.at(at, What::Ack { stream, len: segment.len, sent_at, hop: 0 });
        }
        self.streams[stream as usize].arrived(segment);
        let id = self.ends[stream as usize / 2][1 - stream as usize % 2];
        while let Some(message) = self.streams[stream as usize].delivered() {
            self.receive(dst, id, message);
        }
    }

    pub(super) fn ack(&mut self, stream: u32, len: u32, sent_at: Nanos, hop: u8) {
        let s = &self.streams[stream as usize];
        if s.dead {
            return;
        }
        if let Some(link) = self.link(s.dst, s.src, hop + 1) {
            let latency = self.room.latency.as_nanos() as u64;
            if let Some(at) = self.links[link].take(self.now + latency, HEADER, true) {
                self.at(at, What::Ack { stream, len, sent_at, hop: hop + 1 });
            }
            return;
        }
        self.streams[stream as usize].acked(self.now, len, sent_at);
        self.dirty.push(stream);
    }
}
