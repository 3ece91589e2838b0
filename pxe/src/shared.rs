//! What outlives a request. It is made once at the start, which hands each protocol those parts that it needs; no protocol
//! sees the whole.

use std::sync::Arc;

use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::conf::RoomConf;
use crate::fleet::Fleet;
use crate::names::Names;
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
    ) -> Self {
        let (catalogue, conf, fleet) = (Arc::new(catalogue), Arc::new(conf), Arc::new(fleet));
        let names = Names::new(Arc::clone(&catalogue), Arc::clone(&conf), Arc::clone(&fleet), append);
        Self {
            catalogue,
            conf,
            fleet,
            seats: Arc::new(seats),
            waker: Arc::new(waker),
            access,
            names: Arc::new(names),
            throttle: Arc::default(),
        }
    }
}
