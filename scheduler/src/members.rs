//! Peers as machines, over all their connections: who sent data with a wrong hash.

use std::collections::HashMap;

/// One machine.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Member {
    /// Pieces with a wrong hash that came from it alone.
    pub(super) strikes: u32,
    /// It had a part in a piece with a wrong hash: it is asked for whole pieces only, so that it can be told apart.
    pub(super) suspect: bool,
    pub(super) shunned: bool,
}

/// All machines ever met.
#[derive(Debug, Default)]
pub(super) struct Members {
    index: HashMap<u64, usize>,
    list: Vec<Member>,
}

impl Members {
    pub(super) fn intern(&mut self, id: u64) -> usize {
        *self.index.entry(id).or_insert_with(|| {
            self.list.push(Member::default());
            self.list.len() - 1
        })
    }

    pub(super) fn get(&self, member: usize) -> Member {
        self.list.get(member).copied().unwrap_or_default()
    }

    /// Whether it was ever met.
    pub(super) fn is_known(&self, id: u64) -> bool {
        self.index.contains_key(&id)
    }

    pub(super) fn is_shunned(&self, id: u64) -> bool {
        self.index.get(&id).is_some_and(|&m| self.get(m).shunned)
    }

    /// These machines (each once) sent a piece with a wrong hash; the one to shun from now on, if any.
    /// `strikes`: so many pieces that came from it alone shun it.
    pub(super) fn failed(&mut self, contributors: &[u32], strikes: u32) -> Option<usize> {
        for &c in contributors {
            if let Some(member) = self.list.get_mut(c as usize) {
                member.suspect = true;
            }
        }
        let [only] = contributors else { return None };
        let member = self.list.get_mut(*only as usize)?;
        member.strikes += 1;
        (member.strikes >= strikes && !std::mem::replace(&mut member.shunned, true)).then_some(*only as usize)
    }

    /// A piece that came from this machine alone was right.
    pub(super) fn cleared(&mut self, member: u32) {
        if let Some(member) = self.list.get_mut(member as usize)
            && member.strikes == 0
        {
            member.suspect = false;
        }
    }
}
