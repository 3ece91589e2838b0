//! The audit log: who did what, from where, and when. It is bounded: the oldest entries make room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::{AUDIT, Entry, Store, numbered};

/// Entries that are kept: some months of a room that is deployed daily.
const KEPT: usize = 10_000;
/// Longest text of what was done, in characters: an act names its machines.
const LONGEST: usize = 500;

/// One act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Deed {
    /// Counts from 1, over restarts.
    pub(crate) number: u64,
    /// Seconds since 1970.
    pub(crate) at: f64,
    /// An account, `token NAME`, or `this server`.
    pub(crate) who: String,
    /// The address that it came from.
    pub(crate) from: String,
    pub(crate) what: String,
    /// HTTP's status code of the answer.
    pub(crate) status: u16,
}

/// All that is kept.
pub(crate) struct Audit {
    deeds: Mutex<VecDeque<Deed>>,
    store: Option<Store>,
}

impl Audit {
    /// Takes up what the database knows, if there is one.
    pub(crate) fn open(store: Option<Store>) -> Result<Self> {
        let mut deeds: Vec<Deed> = match &store {
            Some(store) => store.load(AUDIT).context("audit log")?,
            None => Vec::new(),
        };
        deeds.sort_by_key(|deed| deed.number);
        Ok(Self { deeds: Mutex::new(deeds.into()), store })
    }

    fn deeds(&self) -> MutexGuard<'_, VecDeque<Deed>> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest first.
    pub(crate) fn all(&self) -> Vec<Deed> {
        self.deeds().iter().cloned().collect()
    }

    /// One more; its number is given here. It outlives this process when this returns.
    pub(crate) async fn add(&self, mut deed: Deed) -> Result<()> {
        if let Some((end, _)) = deed.what.char_indices().nth(LONGEST) {
            deed.what.truncate(end);
            deed.what.push('…');
        }
        let mut entries = Vec::new();
        {
            let mut deeds = self.deeds();
            deed.number = deeds.back().map_or(1, |last| last.number + 1);
            entries.push(Entry::put(AUDIT, &numbered(deed.number), &deed)?);
            deeds.push_back(deed);
            while deeds.len() > KEPT
                && let Some(oldest) = deeds.pop_front()
            {
                entries.push(Entry::remove(AUDIT, &numbered(oldest.number)));
            }
        }
        match &self.store {
            Some(store) => store.save(entries).await.context("keeping the audit log in the database"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(what: &str) -> Deed {
        Deed {
            number: 0,
            at: 1.0,
            who: "anna".into(),
            from: "10.0.0.1".into(),
            what: what.into(),
            status: 200,
        }
    }

    #[tokio::test]
    async fn deeds_are_numbered_over_restarts_and_long_ones_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        {
            let audit = Audit::open(Some(Store::open(folder.path()).unwrap())).unwrap();
            audit.add(deed("approve a")).await.unwrap();
            audit.add(deed(&"ä".repeat(1000))).await.unwrap();
        }
        let audit = Audit::open(Some(Store::open(folder.path()).unwrap())).unwrap();
        audit.add(deed("approve c")).await.unwrap();
        let all = audit.all();
        assert_eq!(all.iter().map(|deed| deed.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(all[1].what.chars().count(), LONGEST + 1);
    }

    #[tokio::test]
    async fn the_oldest_make_room() {
        let audit = Audit::open(None).unwrap();
        for _ in 0..KEPT + 5 {
            audit.add(deed("hold all")).await.unwrap();
        }
        let all = audit.all();
        assert_eq!((all.len(), all[0].number, all[KEPT - 1].number), (KEPT, 6, KEPT as u64 + 5));
    }
}
