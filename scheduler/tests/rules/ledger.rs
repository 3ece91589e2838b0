//! What one scheduler has said and was told, kept apart from it, and what must hold of that at any time.

use std::collections::{BTreeMap, BTreeSet};

use ezio_scheduler::{Blocks, ConnId, Input, Output, PieceId, Scheduler, TorrentId};

type BlockId = (u32, u32);

fn each(blocks: Blocks) -> impl Iterator<Item = BlockId> {
    (blocks.first..blocks.first + blocks.count).map(move |block| (blocks.piece.0, block))
}

/// One connection, as both ends have told each other.
#[derive(Default)]
struct Conn {
    torrent: Option<TorrentId>,
    member: u64,
    fast: bool,
    /// Requests that the peer keeps, in blocks.
    queue: u32,
    /// What the peer said it has, and what it was told that we have.
    theirs: BTreeSet<u32>,
    told: BTreeSet<u32>,
    choked: bool,
    interested: bool,
    /// We asked, they have not answered; they asked, we have not (twice, if a block crossed with its cancellation).
    asked: BTreeSet<BlockId>,
    wanted: Vec<BlockId>,
    disconnected: bool,
}

impl Conn {
    /// Whether the peer waits for a block, which it gets now, or is refused.
    fn answers(&mut self, block: BlockId) -> bool {
        let at = self.wanted.iter().position(|wanted| *wanted == block);
        at.map(|at| self.wanted.swap_remove(at)).is_some()
    }
}

#[derive(Default)]
pub(crate) struct Ledger {
    conns: BTreeMap<ConnId, Conn>,
    pub(crate) have: BTreeSet<u32>,
    /// Blocks that arrived and were taken; whether they are right.
    arrived: BTreeMap<BlockId, bool>,
    /// Pieces that are being hashed.
    checked: BTreeSet<u32>,
    /// Pieces that the target is searched for.
    sought: BTreeSet<u32>,
    /// Pieces that lay there.
    found: BTreeSet<u32>,
    pub(crate) complete: bool,
    /// Who passes pieces on to us before it has them.
    parents: BTreeMap<TorrentId, [u64; 2]>,
    memory: u64,
}

impl Ledger {
    /// `memory`: what the scheduler may use, in bytes.
    pub(crate) fn new(have: BTreeSet<u32>, memory: u64) -> Self {
        Self { have, memory, ..Self::default() }
    }

    /// Takes a block that arrives: whether the scheduler took it is seen from outside.
    pub(crate) fn arrived(&mut self, conn: ConnId, piece: PieceId, block: u32, right: bool, taken: bool) {
        let asked = self.conns.get_mut(&conn).is_some_and(|c| c.asked.remove(&(piece.0, block)));
        if taken {
            assert!(!self.have.contains(&piece.0) && !self.checked.contains(&piece.0));
            assert_eq!(self.arrived.insert((piece.0, block), right), None, "taken twice");
        } else {
            assert!(!asked || self.arrived.contains_key(&(piece.0, block)) || self.have.contains(&piece.0));
        }
    }

    /// Notes an input before the scheduler sees it.
    pub(crate) fn tell(&mut self, input: &Input<'_>, scheduler: &Scheduler) {
        match *input {
            Input::Connected(id, peer) => {
                let range = scheduler.geometry().pieces_of(peer.torrent).unwrap();
                let told = self.have.iter().copied().filter(|p| range.contains(p)).collect();
                let (torrent, member) = (Some(peer.torrent), peer.member);
                let conn = Conn {
                    torrent,
                    member,
                    fast: peer.fast,
                    queue: peer.queue,
                    choked: true,
                    told,
                    ..Conn::default()
                };
                assert!(self.conns.insert(id, conn).is_none());
            }
            Input::Closed(id) => {
                self.conns.remove(&id);
            }
            Input::Verified(piece) => {
                assert!(self.checked.remove(&piece.0) && self.have.insert(piece.0));
            }
            Input::Sought(piece) => drop(self.sought.insert(piece.0)),
            // What is being hashed comes from there.
            Input::Found(piece) if !self.checked.contains(&piece.0) => {
                self.sought.remove(&piece.0);
                self.found.insert(piece.0);
                self.have.insert(piece.0);
            }
            Input::Absent(piece) => drop(self.sought.remove(&piece.0)),
            Input::Failed(piece) => assert!(self.checked.remove(&piece.0)),
            Input::Have(id, pieces) => self.conn(id).theirs.extend(pieces.iter().map(|p| p.0)),
            Input::Placed(id, place) => {
                let torrent = self.conn(id).torrent.unwrap();
                self.parents.remove(&torrent);
                self.parents.extend(place.map(|p| (torrent, p.parents)));
            }
            Input::Choked(id) => {
                let conn = self.conn(id);
                conn.choked = true;
                if !conn.fast {
                    conn.asked.clear();
                }
            }
            Input::Unchoked(id) => self.conn(id).choked = false,
            Input::Rejected(id, blocks) => each(blocks).for_each(|b| {
                self.conn(id).asked.remove(&b);
            }),
            Input::Requested(id, blocks) => self.conn(id).wanted.extend(each(blocks)),
            Input::Cancelled(id, blocks) => {
                each(blocks).for_each(|b| self.conn(id).wanted.retain(|w| *w != b))
            }
            _ => {}
        }
    }

    /// What a peer has at the start.
    pub(crate) fn bitfield(&mut self, id: ConnId, pieces: &[u32]) {
        self.conn(id).theirs.extend(pieces);
    }

    fn conn(&mut self, id: ConnId) -> &mut Conn {
        self.conns.get_mut(&id).unwrap()
    }

    /// Checks one output; for a check, whether the hash will be right.
    pub(crate) fn said(&mut self, output: Output, scheduler: &Scheduler) -> Option<bool> {
        match output {
            Output::Request(id, blocks) => self.said_request(id, blocks, scheduler),
            Output::Cancel(id, blocks) => {
                each(blocks)
                    .for_each(|b| assert!(self.conn(id).asked.remove(&b), "cancels what it did not ask"));
            }
            Output::Have(id, piece) => {
                assert!(self.have.contains(&piece.0), "announces what it has not");
                assert!(self.conn(id).told.insert(piece.0), "announces twice");
            }
            Output::Suggest(id, piece) => {
                assert!(self.have.contains(&piece.0), "suggests what it has not");
                assert!(!self.conn(id).theirs.contains(&piece.0), "suggests what is there");
            }
            Output::Place(id, _)
            | Output::Report(id)
            | Output::Probe(id)
            | Output::Echoes(id)
            | Output::Near(id)
            | Output::Meet(id) => drop(self.open(id)),
            Output::Interested(id) => assert!(!std::mem::replace(&mut self.conn(id).interested, true)),
            Output::NotInterested(id) => assert!(std::mem::replace(&mut self.conn(id).interested, false)),
            Output::Unchoke(_) => {}
            Output::Serve(id, blocks) => {
                assert!(self.have.contains(&blocks.piece.0), "sends what it has not");
                each(blocks).for_each(|b| assert!(self.conn(id).answers(b), "sends what was not asked"));
            }
            Output::Reject(id, blocks) => {
                assert!(self.conn(id).fast);
                each(blocks).for_each(|b| assert!(self.conn(id).answers(b), "rejects what was not asked"));
            }
            Output::Check(piece) => return Some(self.said_check(piece, scheduler)),
            Output::Discard(piece) => {
                let found = self.found.contains(&piece.0);
                assert!(!self.checked.contains(&piece.0) && (found || !self.have.contains(&piece.0)));
                let asked = self.conns.values().flat_map(|c| &c.asked).filter(|b| b.0 == piece.0);
                assert_eq!(asked.count(), 0, "discards what is under way");
                self.arrived.retain(|block, _| block.0 != piece.0);
            }
            Output::Disconnect(id, _) => {
                assert!(!std::mem::replace(&mut self.conn(id).disconnected, true), "disconnects twice");
            }
            Output::Complete => {
                assert!(!std::mem::replace(&mut self.complete, true), "complete twice");
                assert_eq!(self.have.len(), scheduler.geometry().piece_count() as usize);
            }
        }
        None
    }

    /// A connection that was not given up: only to such a one anything is sent, or asked of.
    fn open(&mut self, id: ConnId) -> &mut Conn {
        let conn = self.conn(id);
        assert!(!conn.disconnected, "works with whom it has disconnected");
        conn
    }

    fn said_request(&mut self, id: ConnId, blocks: Blocks, scheduler: &Scheduler) {
        let piece = blocks.piece.0;
        let parents = self.parents.get(&scheduler.geometry().locate(blocks.piece).0).copied();
        assert!(
            blocks.count > 0 && blocks.first + blocks.count <= scheduler.geometry().blocks_in(blocks.piece)
        );
        assert!(!self.have.contains(&piece) && !self.checked.contains(&piece), "asks for what it has");
        assert!(!self.sought.contains(&piece), "asks for what may be on the target");
        for block in each(blocks) {
            assert!(!self.arrived.contains_key(&block), "asks for a block it has");
            let others = self.conns.values().filter(|c| c.asked.contains(&block)).count();
            assert!(others <= 1, "asks three at once");
            let conn = self.open(id);
            assert!(!conn.choked, "asks who chokes it");
            let is_parent = parents.is_some_and(|p| p.contains(&conn.member));
            assert!(is_parent || conn.theirs.contains(&piece), "asks who has it not");
            assert!(conn.asked.insert(block), "asks the same twice");
            assert!(conn.asked.len() <= conn.queue as usize, "asks for more than the peer keeps");
        }
    }

    fn said_check(&mut self, piece: PieceId, scheduler: &Scheduler) -> bool {
        let blocks = Blocks { piece, first: 0, count: scheduler.geometry().blocks_in(piece) };
        let right: Vec<bool> =
            each(blocks).map(|b| self.arrived.remove(&b).expect("hashes what is not all there")).collect();
        assert!(self.checked.insert(piece.0), "hashes twice");
        right.into_iter().all(|block| block)
    }

    /// What is missing, what of it is under way, and what was said on each connection.
    pub(crate) fn state(&self, scheduler: &Scheduler) -> String {
        let missing: Vec<u32> =
            (0..scheduler.geometry().piece_count()).filter(|p| !self.have.contains(p)).collect();
        let conns: Vec<String> = self
            .conns
            .iter()
            .map(|(id, c)| {
                format!("{}: choked {}, has {}, asked {:?}", id.0, c.choked, c.theirs.len(), c.asked)
            })
            .collect();
        format!("lacks {missing:?}, uses {} bytes, {}", scheduler.memory(), conns.join(", "))
    }

    /// What holds between any two inputs.
    pub(crate) fn check(&self, scheduler: &Scheduler) {
        let geometry = scheduler.geometry();
        let size =
            |&(piece, block): &BlockId| u64::from(geometry.bytes_of(Blocks::one(PieceId(piece), block)));
        let asked: u64 = self.conns.values().flat_map(|c| c.asked.iter()).map(size).sum();
        assert_eq!(scheduler.outstanding(), asked, "bytes outstanding");
        let most = self.memory.max(2 * geometry.largest_piece());
        assert!(scheduler.memory() <= most, "uses {} bytes", scheduler.memory());
        let arrived: u64 = self.arrived.keys().map(size).sum();
        assert!(arrived <= scheduler.memory(), "{arrived} bytes are here");
        assert_eq!(scheduler.is_complete(), self.complete);
    }
}
