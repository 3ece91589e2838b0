//! Deployments that are to begin later: kept in the database, and carried out when their time comes.

mod when;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use utoipa::ToSchema;

pub(crate) use when::When;

use crate::clock::now;
use crate::conf::RoomConf;
use crate::fleet::{Acted, Fleet, LATE_S, Meant, Order};
use crate::store::{Entry, SCHEDULES, Store, numbered};
use crate::wake::{Waker, wake_one};

/// Schedules that are kept: one for each machine of a large room would be too many to look through.
const MAX_SCHEDULES: usize = 256;
/// Longest sleep: somebody may put the clock forward.
const LOOK: Duration = Duration::from_secs(20);

/// What is to be deployed. A key that nobody knows is refused: it may be an image that is misspelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    pub(crate) machines: Meant,
    /// Image and end; ezio.conf says all else.
    #[serde(flatten)]
    pub(crate) order: Order,
    /// Switches the machines on.
    #[serde(default)]
    pub(crate) wake: bool,
    /// Gives up what their disks held when they were last seen.
    #[serde(default)]
    pub(crate) approve: bool,
}

/// A wish for later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Schedule {
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) wish: Wish,
    pub(crate) when: When,
    /// What was to be done until then is done, in seconds since 1970.
    pub(crate) after: f64,
}

impl Schedule {
    /// When it is carried out next, in seconds since 1970.
    pub(crate) fn next(&self) -> Option<f64> {
        self.when.next(self.after)
    }
}

/// All schedules.
pub(crate) struct Schedules {
    schedules: Mutex<Vec<Schedule>>,
    changed: Notify,
    fleet: Arc<Fleet>,
    conf: Arc<RoomConf>,
    waker: Arc<Waker>,
    store: Option<Store>,
    counters: Counters,
}

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) carried_out: AtomicU64,
    pub(crate) left_out: AtomicU64,
}

impl Schedules {
    /// Takes up what the database knows, if there is one.
    pub(crate) fn open(
        store: Option<Store>,
        fleet: Arc<Fleet>,
        conf: Arc<RoomConf>,
        waker: Arc<Waker>,
    ) -> Result<Self> {
        let schedules = match &store {
            Some(store) => store.load(SCHEDULES).context("schedules")?,
            None => Vec::new(),
        };
        Ok(Self {
            schedules: Mutex::new(schedules),
            changed: Notify::new(),
            fleet,
            conf,
            waker,
            store,
            counters: Counters::default(),
        })
    }

    fn schedules(&self) -> MutexGuard<'_, Vec<Schedule>> {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn all(&self) -> Vec<Schedule> {
        self.schedules().clone()
    }

    /// Keeps a wish for later; it outlives this process when it is answered. None: there are too many.
    pub(crate) async fn add(&self, wish: Wish, when: When) -> Result<Option<Schedule>> {
        let schedule = {
            let mut schedules = self.schedules();
            if schedules.len() >= MAX_SCHEDULES {
                return Ok(None);
            }
            let id = schedules.iter().map(|schedule| schedule.id).max().unwrap_or(0) + 1;
            let mut schedule = Schedule { id, wish, when, after: now() };
            schedule.wish.order.source = format!("schedule {id}");
            schedules.push(schedule.clone());
            schedule
        };
        if let Err(error) = self.save(vec![put(&schedule)?]).await {
            self.schedules().retain(|other| other.id != schedule.id);
            return Err(error);
        }
        self.changed.notify_one();
        Ok(Some(schedule))
    }

    /// False: there is none with this number.
    pub(crate) async fn remove(&self, id: u64) -> Result<bool> {
        if !self.schedules().iter().any(|schedule| schedule.id == id) {
            return Ok(false);
        }
        self.save(vec![Entry::remove(SCHEDULES, &numbered(id))]).await?;
        self.schedules().retain(|schedule| schedule.id != id);
        Ok(true)
    }

    async fn save(&self, entries: Vec<Entry>) -> Result<()> {
        match &self.store {
            Some(store) => store.save(entries).await.context("keeping schedules in the database"),
            None => Ok(()),
        }
    }

    /// Carries out what is due until `stop` turns true.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            self.look().await;
            let next = self.all().iter().filter_map(Schedule::next).fold(f64::INFINITY, f64::min);
            let wait = Duration::try_from_secs_f64((next - now()).max(0.0)).unwrap_or(LOOK).min(LOOK);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Does what is due.
    async fn look(&self) {
        let now = now();
        for schedule in self.all() {
            let Some(due) = schedule.next().filter(|due| *due <= now) else { continue };
            if let Err(error) = self.carry_out(&schedule, due, now).await {
                tracing::error!("schedule {}: {error:#}", schedule.id);
                tokio::time::sleep(LOOK).await;
            }
        }
        self.call().await;
    }

    async fn carry_out(&self, schedule: &Schedule, due: f64, now: f64) -> Result<()> {
        let done = Schedule { after: now, ..schedule.clone() };
        let ends = done.next().is_none();
        let entry = if ends { Entry::remove(SCHEDULES, &numbered(done.id)) } else { put(&done)? };
        if now - due > LATE_S {
            tracing::warn!("schedule {}: left out, for it is {:.0} s too late", done.id, now - due);
            self.save(vec![entry]).await?;
            self.counters.left_out.fetch_add(1, Ordering::Relaxed);
        } else {
            tracing::info!("schedule {} is carried out", done.id);
            self.deploy(&done.wish, vec![entry]).await?;
            self.counters.carried_out.fetch_add(1, Ordering::Relaxed);
        }
        let mut schedules = self.schedules();
        schedules.retain(|other| other.id != done.id || !ends);
        if let Some(known) = schedules.iter_mut().find(|other| other.id == done.id) {
            *known = done;
        }
        Ok(())
    }

    /// Has it done now, and writes `also` with it.
    pub(crate) async fn deploy(&self, wish: &Wish, also: Vec<Entry>) -> Result<Acted> {
        let meant = self.conf.meant(&wish.machines, &self.fleet);
        let acted = self.fleet.deploy(&meant, &wish.order, wish.approve, wish.wake, also).await?;
        self.call().await;
        Ok(acted)
    }

    /// Calls those who are to be woken for their orders, and were not heard of yet.
    async fn call(&self) {
        match self.fleet.due_calls().await {
            Ok(due) => {
                for machine in due {
                    let woken = wake_one(&self.waker, &machine).await;
                    tracing::info!("machine {} {}", woken.id, woken.what);
                }
            }
            Err(error) => tracing::error!("waking machines: {error:#}"),
        }
    }
}

fn put(schedule: &Schedule) -> Result<Entry> {
    Entry::put(SCHEDULES, &numbered(schedule.id), schedule)
}
