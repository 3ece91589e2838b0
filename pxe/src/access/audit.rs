//! The audit log: who did what, from where, and when. It is bounded: the oldest entries make room. Failed logins, which anybody can
//! make, count together, and drive out none but their own.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::now;
use crate::store::{AUDIT, Entry, Store, numbered};

/// Acts that are kept: some months of a room that is deployed daily.
const KEPT: usize = 10_000;
/// Wrong passwords that are kept, as entries: those of an address in a day, if it guesses at ten accounts.
const KEPT_WRONG: usize = 1_000;
/// Wrong passwords from one address for one account are one entry for so many seconds.
const TOGETHER_S: f64 = 15.0 * 60.0;
/// The status of a wrong password (HTTP's 401): who is not known for another reason gets into no log.
const WRONG: u16 = 401;
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
    /// More than 1: logins that failed within a quarter of an hour, and `at` is the first.
    #[serde(default = "once")]
    pub(crate) times: u32,
}

fn once() -> u32 {
    1
}

impl Deed {
    /// A login that failed: nobody is known to have tried.
    fn failed(account: Option<&str>, from: IpAddr) -> Self {
        let what = format!("fail to log in as {}", account.unwrap_or("somebody who has no account"));
        Self::new("nobody".into(), from, what, WRONG)
    }

    pub(crate) fn new(who: String, from: IpAddr, what: String, status: u16) -> Self {
        Self { number: 0, at: now(), who, from: from.to_canonical().to_string(), what, status, times: 1 }
    }
}

/// All that is kept.
pub(crate) struct Audit {
    deeds: Mutex<VecDeque<Deed>>,
    /// Held while an entry is counted up and written, so that the last count is written last.
    failing: tokio::sync::Mutex<()>,
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
        Ok(Self { deeds: Mutex::new(deeds.into()), failing: tokio::sync::Mutex::default(), store })
    }

    fn deeds(&self) -> MutexGuard<'_, VecDeque<Deed>> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last ones before this number, at most so many; the oldest first.
    pub(crate) fn before(&self, number: u64, limit: usize) -> Vec<Deed> {
        let deeds = self.deeds();
        let end = deeds.partition_point(|deed| deed.number < number);
        deeds.range(end.saturating_sub(limit)..end).cloned().collect()
    }

    /// One more; its number is given here. It outlives this process when this returns.
    pub(crate) async fn add(&self, mut deed: Deed) -> Result<()> {
        if let Some((end, _)) = deed.what.char_indices().nth(LONGEST) {
            deed.what.truncate(end);
            deed.what.push('…');
        }
        let entries = append(&mut self.deeds(), deed)?;
        self.keep(entries).await
    }

    /// A login that failed, at an account if there is one of that name. What was typed is not kept: it may be a password.
    pub(super) async fn add_failed(&self, account: Option<&str>, from: IpAddr) -> Result<()> {
        let deed = Deed::failed(account, from);
        let _one = self.failing.lock().await;
        let entries = {
            let mut deeds = self.deeds();
            let is_same = |old: &&mut Deed| {
                (&old.what, &old.from, old.status) == (&deed.what, &deed.from, WRONG)
                    && (0.0..TOGETHER_S).contains(&(deed.at - old.at))
            };
            match deeds.iter_mut().rev().find(is_same) {
                Some(same) => {
                    same.times = same.times.saturating_add(1);
                    vec![Entry::put(AUDIT, &numbered(same.number), same)?]
                }
                None => append(&mut deeds, deed)?,
            }
        };
        self.keep(entries).await
    }

    async fn keep(&self, entries: Vec<Entry>) -> Result<()> {
        match &self.store {
            Some(store) => store.save(entries).await.context("keeping the audit log in the database"),
            None => Ok(()),
        }
    }
}

/// Adds one, gives it its number, and has the oldest of its kind make room.
fn append(deeds: &mut VecDeque<Deed>, mut deed: Deed) -> Result<Vec<Entry>> {
    deed.number = deeds.back().map_or(1, |last| last.number + 1);
    let is_wrong = deed.status == WRONG;
    let mut entries = vec![Entry::put(AUDIT, &numbered(deed.number), &deed)?];
    deeds.push_back(deed);
    let alike = |deed: &Deed| (deed.status == WRONG) == is_wrong;
    let most = if is_wrong { KEPT_WRONG } else { KEPT };
    while deeds.iter().filter(|deed| alike(deed)).count() > most
        && let Some(oldest) = deeds.iter().position(alike).and_then(|at| deeds.remove(at))
    {
        entries.push(Entry::remove(AUDIT, &numbered(oldest.number)));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(audit: &Audit) -> Vec<Deed> {
        audit.before(u64::MAX, usize::MAX)
    }

    fn ip(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    fn deed(what: &str) -> Deed {
        Deed::new("anna".into(), ip(1), what.into(), 200)
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
        let all = all(&audit);
        assert_eq!(all.iter().map(|deed| deed.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(all[1].what.chars().count(), LONGEST + 1);
    }

    #[tokio::test]
    async fn the_oldest_make_room() {
        let audit = Audit::open(None).unwrap();
        for _ in 0..KEPT + 5 {
            audit.add(deed("hold all")).await.unwrap();
        }
        let all = all(&audit);
        assert_eq!((all.len(), all[0].number, all[KEPT - 1].number), (KEPT, 6, KEPT as u64 + 5));
        let numbers = |before, limit| {
            let deeds = audit.before(before, limit);
            deeds.iter().map(|deed| deed.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(u64::MAX, 2), [KEPT as u64 + 4, KEPT as u64 + 5]);
        assert_eq!((numbers(100, 2), numbers(8, 5), numbers(6, 5)), (vec![98, 99], vec![6, 7], vec![]));
    }

    #[tokio::test]
    async fn failed_logins_count_together_and_drive_out_no_acts() {
        let folder = tempfile::tempdir().unwrap();
        {
            let audit = Audit::open(Some(Store::open(folder.path()).unwrap())).unwrap();
            audit.add(deed("hold all")).await.unwrap();
            for account in [Some("anna"), None, Some("anna"), None, Some("anna")] {
                audit.add_failed(account, ip(1)).await.unwrap();
            }
        }
        let audit = Audit::open(Some(Store::open(folder.path()).unwrap())).unwrap();
        let said = |deed: &Deed| format!("{} of {}: {}", deed.times, deed.who, deed.what);
        let expected = [
            "1 of anna: hold all",
            "3 of nobody: fail to log in as anna",
            "2 of nobody: fail to log in as somebody who has no account",
        ];
        assert_eq!(all(&audit).iter().map(said).collect::<Vec<_>>(), expected);
        // What lies a quarter of an hour back is an entry of its own, and so is what the clock puts into the future.
        for (moved, entries) in [(-TOGETHER_S, 4), (10.0 + TOGETHER_S, 5)] {
            audit.deeds().iter_mut().for_each(|deed| deed.at += moved);
            audit.add_failed(Some("anna"), ip(1)).await.unwrap();
            assert_eq!(all(&audit).len(), entries);
        }
    }

    #[tokio::test]
    async fn who_guesses_from_everywhere_fills_no_more_than_its_share() {
        let audit = Audit::open(None).unwrap();
        audit.add(deed("hold all")).await.unwrap();
        for n in 0..1500 {
            audit.add_failed(None, ip(n)).await.unwrap();
        }
        audit.add(deed("forget all")).await.unwrap();
        let all = all(&audit);
        assert_eq!((all.len(), all[0].number, all[1].number), (KEPT_WRONG + 2, 1, 502));
    }
}
