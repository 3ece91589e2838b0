//! How the bytes of a job are cut: torrents into pieces, pieces into blocks.

/// Bytes of a block, the unit of a request on the wire; only the last block of a torrent is shorter.
pub const BLOCK_SIZE: u32 = 16 * 1024;

/// A piece of a job: the pieces of all its torrents are numbered through, first torrent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceId(pub u32);

impl PieceId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A torrent of a job, counted from 0 in the order of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentId(pub u16);

/// A run of consecutive blocks of one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// The piece.
    pub piece: PieceId,
    /// First block, counted from 0: byte offset `first * BLOCK_SIZE`.
    pub first: u32,
    /// Number of blocks, at least 1.
    pub count: u32,
}

impl Blocks {
    /// What is left of them without these: two runs at most.
    pub(super) fn without(self, others: Self) -> impl Iterator<Item = Self> {
        let end = self.first + self.count;
        let same = self.piece == others.piece;
        let (from, to) =
            if same { (others.first, others.first.saturating_add(others.count)) } else { (end, end) };
        let before = Self { count: from.clamp(self.first, end) - self.first, ..self };
        let behind = to.clamp(before.first + before.count, end);
        let behind = Self { first: behind, count: end - behind, ..self };
        [before, behind].into_iter().filter(|run| run.count > 0)
    }

    /// One block.
    pub fn one(piece: PieceId, block: u32) -> Self {
        Self { piece, first: block, count: 1 }
    }
}

/// Size of one torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TorrentShape {
    /// Bytes of every piece but the last; at least 1.
    pub piece_length: u32,
    /// Bytes in all; at least 1.
    pub total_length: u64,
}

impl TorrentShape {
    /// Number of pieces.
    pub fn piece_count(&self) -> u32 {
        u32::try_from(self.total_length.div_ceil(u64::from(self.piece_length.max(1)))).unwrap_or(u32::MAX)
    }
}

/// Sizes of all torrents of a job, and where each piece lies.
#[derive(Debug, Clone)]
pub struct Geometry {
    torrents: Vec<TorrentShape>,
    /// First global piece of each torrent, and one past the last of all.
    first: Vec<u32>,
}

impl Geometry {
    /// The geometry of `torrents`, in the order of the job.
    pub fn new(torrents: impl IntoIterator<Item = TorrentShape>) -> Self {
        let torrents: Vec<_> = torrents.into_iter().collect();
        let mut first = vec![0];
        let mut next = 0u32;
        for torrent in &torrents {
            next = next.saturating_add(torrent.piece_count());
            first.push(next);
        }
        Self { torrents, first }
    }

    /// Number of torrents.
    pub fn torrent_count(&self) -> usize {
        self.torrents.len()
    }

    /// Pieces of all torrents together.
    pub fn piece_count(&self) -> u32 {
        self.first.last().copied().unwrap_or(0)
    }

    /// Bytes of all torrents together.
    pub fn total_length(&self) -> u64 {
        self.torrents.iter().map(|t| t.total_length).sum()
    }

    /// The global id of piece `index` of `torrent`; none when there is no such piece.
    pub fn piece(&self, torrent: TorrentId, index: u32) -> Option<PieceId> {
        let range = self.pieces_of(torrent)?;
        let id = range.start.checked_add(index)?;
        (id < range.end).then_some(PieceId(id))
    }

    /// Global ids of a torrent's pieces, end excluded; none when there is no such torrent.
    pub fn pieces_of(&self, torrent: TorrentId) -> Option<std::ops::Range<u32>> {
        let t = usize::from(torrent.0);
        Some(*self.first.get(t)?..*self.first.get(t + 1)?)
    }

    /// Torrent of a piece, and its index there. A piece that does not exist counts to the last torrent.
    pub fn locate(&self, piece: PieceId) -> (TorrentId, u32) {
        let t = self.first.partition_point(|&f| f <= piece.0).saturating_sub(1);
        let t = t.min(self.torrents.len().saturating_sub(1));
        (TorrentId(t as u16), piece.0 - self.first[t])
    }

    /// Bytes of a piece; 0 when there is no such piece.
    pub fn piece_size(&self, piece: PieceId) -> u32 {
        if piece.0 >= self.piece_count() {
            return 0;
        }
        let (torrent, index) = self.locate(piece);
        let shape = self.torrents[usize::from(torrent.0)];
        let begin = u64::from(index) * u64::from(shape.piece_length);
        u64::from(shape.piece_length).min(shape.total_length - begin) as u32
    }

    /// Bytes of the largest piece of all; 0 when there is none.
    pub fn largest_piece(&self) -> u64 {
        self.torrents.iter().map(|t| u64::from(t.piece_length).min(t.total_length)).max().unwrap_or(0)
    }

    /// Blocks of a piece.
    pub fn blocks_in(&self, piece: PieceId) -> u32 {
        self.piece_size(piece).div_ceil(BLOCK_SIZE)
    }

    /// Bytes of a run of blocks.
    pub fn bytes_of(&self, blocks: Blocks) -> u32 {
        let size = self.piece_size(blocks.piece);
        let begin = blocks.first.saturating_mul(BLOCK_SIZE).min(size);
        let end = blocks.first.saturating_add(blocks.count).saturating_mul(BLOCK_SIZE).min(size);
        end - begin
    }
}
