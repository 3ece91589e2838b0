//! What the scheduler is told, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::geometry::{BLOCK_SIZE, Blocks, PieceId, TorrentId};
use super::routes::{Routes, SiteId};
use super::stopwatch::Pace;

/// Payload bytes that a driver gives a connection's kernel queue at once where the link is slow.
pub const SENT_AT_ONCE: u32 = 2 * BLOCK_SIZE;

/// Blocks that a driver may send as one: parts that are given to it end at multiples of this, where so much was asked for.
pub const PACK_BLOCKS: u32 = 16;

/// Requests that are kept of one peer, in blocks: what a driver announces as `reqq`. More than the server suggests ahead, and than a
/// member asks ahead on the fastest links.
pub const REQUEST_QUEUE: u32 = 4096;

/// Bytes of a probe: a few packets, which fill the queue before a thin link when many send them, and leave a member's own link
/// in a few milliseconds.
pub const PROBE: usize = 4 << 10;

/// A connection: one peer, one torrent. Given by the driver, small and dense (an index of a slab); may be used again
/// after [`Input::Closed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

impl ConnId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a member is among the sites ([`super::Scheduler::near`]); members by number, or by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near<T> {
    /// Its own site.
    pub site: SiteId,
    /// How pieces come there, and go on.
    pub routes: Routes,
    /// Who is at its own site, itself left out, and at those on the routes; none where the operator has said who is where.
    pub members: BTreeMap<SiteId, Vec<T>>,
}

/// How long a member's echo took, or has taken until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// Whose ([`super::Peer::member`]).
    pub member: u64,
    /// From the probe to its echo.
    pub time: Duration,
}

/// What a node is to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Has everything from the start and steers who fetches what (`ezio-pxe`).
    Server,
    /// One of ours that downloads and passes on.
    Member,
    /// Any other BitTorrent client.
    Foreign,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Torrent of this connection.
    pub torrent: TorrentId,
    /// Same for all connections of one peer, over all torrents (a hash of its run id or of its peer id).
    pub member: u64,
    /// Its part in the job, by its extended handshake.
    pub role: Role,
    /// Where it is; none when unknown.
    pub site: Option<SiteId>,
    /// Whether both ends speak BEP 6 (reject, suggest, have-all).
    pub fast: bool,
    /// Requests that it keeps, in blocks ([`REQUEST_QUEUE`] where it is one of ours).
    pub queue: u32,
}

/// Where a member is in the two trees of a torrent: that of the pieces with an even index, and that of the odd ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Numbers ([`Peer::member`]) of those who pass the pieces on to it; the server's own for itself.
    pub parents: [u64; 2],
    /// The first pieces to ask the parents for, as indices in the torrent.
    pub from: [u32; 2],
    /// Numbers of those whom it passes on to.
    pub children: [Option<u64>; 2],
}

/// What the driver tells the scheduler. Messages that name pieces or blocks which do not exist are ignored or answered
/// with [`Output::Disconnect`]; nothing a peer sends can break the scheduler.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A connection is ready: handshakes (with the extended one, where spoken) are through. Comes before anything else of
    /// that connection.
    Connected(ConnId, Peer),
    /// A connection is gone; also after [`Output::Disconnect`].
    Closed(ConnId),
    /// BITFIELD, most significant bit first, of the connection's torrent.
    Bitfield(ConnId, &'a [u8]),
    /// HAVE ALL.
    HaveAll(ConnId),
    /// HAVE NONE.
    HaveNone(ConnId),
    /// HAVE, once or several times.
    Have(ConnId, &'a [PieceId]),
    /// CHOKE. Outstanding requests stay until rejected when both speak BEP 6, else they are void.
    Choked(ConnId),
    /// UNCHOKE.
    Unchoked(ConnId),
    /// INTERESTED.
    Interested(ConnId),
    /// NOT INTERESTED.
    NotInterested(ConnId),
    /// SUGGEST PIECE.
    Suggested(ConnId, PieceId),
    /// The server's word on the trees of the connection's torrent; none: out of them. From a member, to the server: none, its
    /// place is no good.
    Placed(ConnId, Option<Place>),
    /// How fast a member's streams are ([`Output::Report`]); to the server.
    Reported(ConnId, &'a [Pace]),
    /// The echo of an [`Output::Probe`] is here.
    Echoed(ConnId),
    /// How long a member's echoes took ([`Output::Echoes`]); to the server.
    Echoes(ConnId, &'a [Echo]),
    /// REJECT REQUEST.
    Rejected(ConnId, Blocks),
    /// A block has arrived and lies in RAM. Tell also those which [`super::Scheduler::wants`] refused: they count as waste.
    Arrived(ConnId, Blocks),
    /// What arrived came as one, compressed ([`PACK_BLOCKS`]): so many bytes of it were not on the wire.
    Saved(u32),
    /// A piece whose blocks are all there (see [`Output::Check`]) has the right hash: it can be passed on.
    Verified(PieceId),
    /// Its hash is wrong: its bytes are dropped and fetched again.
    Failed(PieceId),
    /// A verified piece has left RAM for the target: its memory is free.
    Stored(PieceId),
    /// The target is searched for a piece that may lie there from before: nobody is asked for it until it is
    /// [`Input::Found`], or [`Input::Absent`]. Of no effect on what is here or asked for.
    Sought(PieceId),
    /// A piece lies on the target, with the right hash.
    Found(PieceId),
    /// A piece that was sought does not.
    Absent(PieceId),
    /// REQUEST.
    Requested(ConnId, Blocks),
    /// CANCEL.
    Cancelled(ConnId, Blocks),
    /// So many payload bytes of [`Output::Serve`] have been taken by the kernel for this connection: no more than
    /// [`SENT_AT_ONCE`] where the link is slow, or it looks as if nothing were taken. Set a small TCP_NOTSENT_LOWAT, so that
    /// this tells what has nearly left.
    Sent(ConnId, u32),
    /// The server does not know where this member is: it is about to be connected to others, and to probe them.
    Meet,
    /// This node's own site became known.
    OwnSite(Option<SiteId>),
    /// How pieces come to this node's own site, and go on.
    Routes(&'a Routes),
    /// The site of a connection's peer became known.
    PeerSite(ConnId, Option<SiteId>),
}

/// Why a connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Both ends have everything.
    Finished,
    /// The peer sent data with a wrong hash twice: refuse its address and its member id from now on.
    Corrupt,
    /// It broke the protocol (a piece out of range, too many requests).
    Protocol,
    /// It has not answered for too long.
    Dead,
}

/// What the driver is to do. Everything for one connection out of one [`super::Scheduler::poll`] belongs into one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send a REQUEST for each block.
    Request(ConnId, Blocks),
    /// Send a CANCEL for each block.
    Cancel(ConnId, Blocks),
    /// Send HAVE.
    Have(ConnId, PieceId),
    /// Send SUGGEST PIECE.
    Suggest(ConnId, PieceId),
    /// Tell the peer this [`Input::Placed`]; a member's driver then connects to its parents too.
    Place(ConnId, Option<Place>),
    /// Tell the server [`super::Scheduler::take_report`].
    Report(ConnId),
    /// Send a probe: [`PROBE`] bytes of padding, whose receiver's driver sends an echo at once; when that is here: [`Input::Echoed`].
    Probe(ConnId),
    /// Tell the server [`super::Scheduler::take_echoes`].
    Echoes(ConnId),
    /// Tell the member [`super::Scheduler::near`]; its driver tells it [`Input::Routes`], and where nobody else has said who is where,
    /// [`Input::OwnSite`] and [`Input::PeerSite`].
    Near(ConnId),
    /// Tell the member [`super::Scheduler::to_meet`]; its driver connects to those, and tells it [`Input::Meet`].
    Meet(ConnId),
    /// Send INTERESTED.
    Interested(ConnId),
    /// Send NOT INTERESTED.
    NotInterested(ConnId),
    /// Send UNCHOKE.
    Unchoke(ConnId),
    /// Send these blocks, in order, after those named before; answer with [`Input::Sent`] as the kernel takes them.
    Serve(ConnId, Blocks),
    /// Send a REJECT REQUEST for each block (only where BEP 6 is spoken).
    Reject(ConnId, Blocks),
    /// All blocks of this piece are there: hash it, then tell [`Input::Verified`] or [`Input::Failed`].
    Check(PieceId),
    /// Forget the blocks of this piece that are there: it is fetched anew.
    Discard(PieceId),
    /// Close the connection (and tell [`Input::Closed`]).
    Disconnect(ConnId, Reason),
    /// Every piece is verified. Comes once, when that happens or at the first [`super::Scheduler::poll`] if it was so from the start.
    Complete,
}

impl Output {
    /// The connection that it is for.
    pub(crate) fn conn(&self) -> Option<ConnId> {
        match *self {
            Self::Request(id, _)
            | Self::Cancel(id, _)
            | Self::Have(id, _)
            | Self::Suggest(id, _)
            | Self::Place(id, _)
            | Self::Report(id)
            | Self::Probe(id)
            | Self::Echoes(id)
            | Self::Near(id)
            | Self::Meet(id)
            | Self::Interested(id)
            | Self::NotInterested(id)
            | Self::Unchoke(id)
            | Self::Serve(id, _)
            | Self::Reject(id, _)
            | Self::Disconnect(id, _) => Some(id),
            Self::Check(_) | Self::Discard(_) | Self::Complete => None,
        }
    }
}
