//! What a machine does with what comes, and with what its scheduler answers: the driver's part.

use std::time::Duration;

use super::super::link::Nanos;
use super::super::node::Message;
use super::World;
use super::event::{Told, What};
use ezio_scheduler::{Blocks, ConnId, Input, Output, PieceId};

/// Time between the arrival of a segment and the program's answer.
const WAKE_UP: Nanos = 50_000;

impl World<'_> {
    pub(super) fn receive(&mut self, node: u32, id: ConnId, message: Message) {
        let input = match message {
            Message::Bitfield(bits) => {
                self.told.push_back((node, Told::Bitfield(id, bits)));
                return;
            }
            Message::Report(paces) => {
                self.told.push_back((node, Told::Report(id, paces)));
                return;
            }
            Message::Echoes(echoes) => {
                self.told.push_back((node, Told::Echoes(id, echoes)));
                return;
            }
            Message::Probe => return self.send(self.stream(node, id), Message::Echo),
            Message::Echo => Input::Echoed(id),
            Message::Near(near) => return self.learn_near(node, near),
            Message::Meet(members) => {
                self.dial(node, members.into_iter().map(|member| member as u32));
                Input::Meet
            }
            Message::Have(piece) => {
                self.told.push_back((node, Told::Have(id, piece)));
                return;
            }
            Message::Interested(true) => Input::Interested(id),
            Message::Interested(false) => Input::NotInterested(id),

            Message::Unchoked => Input::Unchoked(id),
            Message::Request(b) => Input::Requested(id, b),
            Message::Cancel(b) => Input::Cancelled(id, b),
            Message::Reject(b) => Input::Rejected(id, b),
            Message::Suggest(p) => Input::Suggested(id, p),
            Message::Place(place) => {
                self.connect_parents(node, place);
                Input::Placed(id, place)
            }
            Message::Block(b, good) => {
                let n = &mut self.nodes[node as usize];
                if n.scheduler.as_ref().is_some_and(|s| s.wants(b.piece, b.first)) {
                    if good {
                        n.bad.remove(&(b.piece.0, b.first));
                    } else {
                        n.bad.insert((b.piece.0, b.first));
                    }
                    if node > 0 {
                        let step =
                            (self.now as f64 / 1e9 / self.room.ideal_s() * self.room.steps as f64) as usize;
                        if let Some(r) = self.received.get_mut(step) {
                            *r += u64::from(self.geometry.bytes_of(b));
                        }
                    }
                }
                Input::Arrived(id, b)
            }
        };
        self.told.push_back((node, Told::Plain(input)));
    }

    pub(super) fn hashed(&mut self, node: u32, piece: PieceId) {
        let n = &mut self.nodes[node as usize];
        let blocks = self.geometry.blocks_in(piece);
        let bad = (0..blocks).any(|b| n.bad.contains(&(piece.0, b)));
        n.bad.retain(|b| b.0 != piece.0);
        if bad {
            self.told.push_back((node, Told::Plain(Input::Failed(piece))));
            return;
        }
        self.told.push_back((node, Told::Plain(Input::Verified(piece))));
        self.told.push_back((node, Told::Plain(Input::Stored(piece))));
        if self.out.insert(piece.0)
            && self.out.len() as u32 == self.geometry.piece_count()
            && self.room.server_leaves
        {
            self.at(self.now + 1, What::Kill(0));
        }
    }

    pub(super) fn tell(&mut self, node: u32, told: Told) {
        let n = &mut self.nodes[node as usize];
        if n.dead {
            return;
        }
        let Some(scheduler) = n.scheduler.as_mut() else { return };
        let now = Duration::from_nanos(self.now);
        let mut out = Vec::new();
        match told {
            Told::Plain(input) => scheduler.handle(now, input),
            Told::Nothing => {}
            Told::Bitfield(id, bits) => scheduler.handle(now, Input::Bitfield(id, &bits)),
            Told::Report(id, paces) => scheduler.handle(now, Input::Reported(id, &paces)),
            Told::Echoes(id, echoes) => scheduler.handle(now, Input::Echoes(id, &echoes)),
            Told::Routes(routes) => scheduler.handle(now, Input::Routes(&routes)),
            Told::Have(id, piece) => scheduler.handle(now, Input::Have(id, &[piece])),
        }
        scheduler.poll(now, &mut out);
        n.outstanding = n.outstanding.max(scheduler.outstanding());
        if let Some(wake) = scheduler.next_wakeup() {
            let wake = wake.as_nanos() as u64;
            if n.wake == 0 || wake < n.wake {
                let wake = wake.max(self.now + 1);
                n.wake = wake;
                self.at(wake, What::Wake(node, wake));
            }
        }
        for output in out {
            self.act(node, output);
        }
    }

    fn act(&mut self, node: u32, output: Output) {
        let (id, message) = match output {
            Output::Request(id, b) => (id, Message::Request(b)),
            Output::Cancel(id, b) => (id, Message::Cancel(b)),
            Output::Reject(id, b) => (id, Message::Reject(b)),
            Output::Have(id, p) => (id, Message::Have(p)),
            Output::Suggest(id, p) => (id, Message::Suggest(p)),
            Output::Place(id, place) => (id, Message::Place(place)),
            Output::Report(id) => {
                let Some(scheduler) = self.nodes[node as usize].scheduler.as_mut() else { return };
                (id, Message::Report(scheduler.take_report()))
            }
            Output::Probe(id) => (id, Message::Probe),
            Output::Echoes(id) => {
                let Some(scheduler) = self.nodes[node as usize].scheduler.as_mut() else { return };
                (id, Message::Echoes(scheduler.take_echoes()))
            }
            Output::Near(id) => {
                let Some(scheduler) = self.nodes[node as usize].scheduler.as_ref() else { return };
                let Some(near) = scheduler.near(id) else { return };
                (id, Message::Near(near))
            }
            Output::Meet(id) => {
                let Some(scheduler) = self.nodes[node as usize].scheduler.as_ref() else { return };
                (id, Message::Meet(scheduler.to_meet(id)))
            }
            Output::Interested(id) => (id, Message::Interested(true)),
            Output::NotInterested(id) => (id, Message::Interested(false)),
            Output::Unchoke(id) => (id, Message::Unchoked),
            Output::Serve(id, blocks) => {
                let good = !self.nodes[node as usize].corrupt;
                let stream = self.stream(node, id);
                for b in blocks.first..blocks.first + blocks.count {
                    self.send(stream, Message::Block(Blocks::one(blocks.piece, b), good));
                }
                return;
            }
            Output::Check(piece) => {
                let bytes = u64::from(self.geometry.piece_size(piece));
                self.at(self.now + WAKE_UP + bytes, What::Hashed(node, piece));
                return;
            }
            Output::Discard(_) => return,
            Output::Disconnect(id, _) => return self.close(node, id, false),
            Output::Complete => {
                let n = &mut self.nodes[node as usize];
                if node > 0 && n.done.is_none() {
                    n.done = Some(self.now);
                    self.left -= usize::from(self.healthy[node as usize]);
                }
                return;
            }
        };
        self.send(self.stream(node, id), message);
    }

    fn stream(&self, node: u32, id: ConnId) -> u32 {
        let (conn, end) = self.nodes[node as usize].conns[id.0 as usize];
        conn * 2 + u32::from(end)
    }
}
