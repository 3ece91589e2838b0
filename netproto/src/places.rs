//! A bound on what clients hold open at once, shared fairly among their addresses: whoever comes when all places are taken
//! gets one of the address that has most of them. One machine that holds all it can get thus keeps nobody out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A number of places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: Mutex<HashMap<IpAddr, Vec<Arc<Notify>>>>,
    refused: AtomicU64,
    lost: AtomicU64,
}

/// What became of all who came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Places that are taken now.
    pub taken: usize,
    /// Who got no place.
    pub refused: u64,
    /// Whose place went to somebody else.
    pub lost: u64,
}

/// One of them; dropping gives it back.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
    lost: Arc<Notify>,
}

impl Places {
    /// So many places, all of them free.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), refused: AtomicU64::new(0), lost: AtomicU64::new(0) })
    }

    /// A place for a client at `address`. `None` where all are taken and no address has two more than this one.
    #[must_use]
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut taken = self.taken();
        if taken.values().map(Vec::len).sum::<usize>() >= self.most {
            let own = taken.get(&address).map_or(0, Vec::len);
            // The last to come leaves: whoever came first is served furthest.
            let richest = taken.values_mut().max_by_key(|places| places.len())?;
            if richest.len() < own + 2 {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            richest.pop()?.notify_one();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        let lost = Arc::new(Notify::new());
        taken.entry(address).or_default().push(Arc::clone(&lost));
        drop(taken);
        Some(Place { places: Arc::clone(self), address, lost })
    }

    /// So far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            taken: self.taken().values().map(Vec::len).sum(),
            refused: self.refused.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, Vec<Arc<Notify>>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Ends when the place has been given to somebody else: what held it is to end too.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let Some(places) = taken.get_mut(&self.address) else { return };
        places.retain(|place| !Arc::ptr_eq(place, &self.lost));
        if places.is_empty() {
            taken.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn host(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    #[tokio::test]
    async fn who_has_most_makes_room() {
        let places = Places::new(4);
        let mut greedy: Vec<Place> = (0..4).filter_map(|_| places.take(host(1))).collect();
        assert_eq!(greedy.len(), 4);
        assert!(places.take(host(1)).is_none(), "it makes no room for itself");
        let first = places.take(host(2)).unwrap();
        greedy.pop().unwrap().lost().await;
        let second = places.take(host(2)).unwrap();
        greedy.pop().unwrap().lost().await;
        assert!(places.take(host(2)).is_none(), "two each is fair");
        let third = places.take("::ffff:10.0.0.3".parse().unwrap()).unwrap();
        let kept = [first, second].into_iter().chain(greedy);
        assert_eq!(kept.count(), 4);
        assert_eq!(places.counts(), Counts { taken: 1, refused: 2, lost: 3 });
        drop(third);
    }

    #[test]
    fn what_is_given_back_is_free() {
        let places = Places::new(1);
        drop(places.take(host(1)).unwrap());
        let taken = places.take(host(2)).unwrap();
        assert!(places.take(host(3)).is_none(), "one each is fair");
        drop(taken);
        assert!(places.taken().is_empty());
    }
}
