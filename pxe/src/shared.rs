//! What outlives a request. It is made once at the start, which hands each protocol those parts that it needs; no protocol
//! sees the whole.

use std::sync::Arc;

use anyhow::Result;

use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::conf::RoomConf;
use crate::fleet::Fleet;
use crate::names::Names;
use crate::schedule::Schedules;
use crate::seats::Seats;
use crate::throttle::Throttle;
use crate::wake::Waker;

/// The parts, each behind a handle of its own.
pub(crate) struct Shared {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) conf: Arc<RoomConf>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) seats: Arc<Seats>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) access: Arc<Access>,
    pub(crate) schedules: Arc<Schedules>,
    pub(crate) names: Arc<Names>,
    pub(crate) throttle: Arc<Throttle>,
}

impl Shared {
    /// `append` are more kernel arguments for every machine.
    pub(crate) fn new(
        catalogue: Catalogue,
        conf: RoomConf,
        fleet: Fleet,
        seats: Seats,
        waker: Waker,
        access: Arc<Access>,
        append: String,
    ) -> Result<Self> {
        let (catalogue, conf, fleet) = (Arc::new(catalogue), Arc::new(conf), Arc::new(fleet));
        let names = Names::new(Arc::clone(&catalogue), Arc::clone(&conf), Arc::clone(&fleet), append);
        let waker = Arc::new(waker);
        let schedules =
            Schedules::open(fleet.store(), Arc::clone(&fleet), Arc::clone(&conf), Arc::clone(&waker))?;
        Ok(Self {
            catalogue,
            conf,
            fleet,
            seats: Arc::new(seats),
            waker,
            schedules: Arc::new(schedules),
            access,
            names: Arc::new(names),
            throttle: Arc::default(),
        })
    }
}
