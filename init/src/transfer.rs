//! One transfer, as its watchers see it: begun, going on, everything there, everything verified and
//! synced; then serving others until the policy says that it is enough.

use std::time::Duration;

use ezio_image::conf::SeedPolicy;
use ezio_image::report::Progress;
use ezio_swarm::{Swarm, SwarmError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often watchers hear of progress.
const TICK: Duration = Duration::from_secs(1);

/// What a watcher of a transfer hears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Moment {
    /// The first payload byte is here.
    FirstByte,
    /// So far; about once a second.
    Progress(Progress),
    /// Every byte is here and verified; it may not be on the medium yet.
    LastByte(Progress),
    /// Others are served; about once a second.
    Seeding(Progress),
}

/// Waits until everything is verified, written and synced.
pub(crate) async fn complete(swarm: &Swarm, mut tell: impl FnMut(Moment)) -> Result<Progress, SwarmError> {
    let mut progress = swarm.progress();
    let mut ticks = ticks();
    let (mut begun, mut all_here) = (false, false);
    let completed = swarm.completed();
    tokio::pin!(completed);
    loop {
        let end = tokio::select! {
            result = &mut completed => { result?; true }
            Ok(()) = progress.changed(), if !all_here => false,
            _ = ticks.tick() => {
                tell(Moment::Progress(*progress.borrow()));
                false
            }
        };
        let now = *progress.borrow_and_update();
        if !begun && now.from_server_bytes + now.from_peers_bytes + now.done_bytes > 0 {
            begun = true;
            tell(Moment::FirstByte);
        }
        if !all_here && (end || now.done_bytes >= now.total_bytes) {
            all_here = true;
            tell(Moment::LastByte(now));
        }
        if end {
            return Ok(now);
        }
    }
}

/// Serves others until the policy is satisfied, or the server lets go.
pub(crate) async fn seed(
    swarm: &Swarm,
    policy: &SeedPolicy,
    mut released: watch::Receiver<bool>,
    mut tell: impl FnMut(Moment),
) -> Progress {
    let progress = swarm.progress();
    let began = Instant::now();
    let mut last_sent = (progress.borrow().sent_bytes, began);
    let mut ticks = ticks();
    // Nobody may be there to release us; then this never becomes ready.
    let mut can_release = true;
    loop {
        let now = *progress.borrow();
        if now.sent_bytes != last_sent.0 {
            last_sent = (now.sent_bytes, Instant::now());
        }
        let (elapsed, idle) = (began.elapsed(), last_sent.1.elapsed());
        if policy.is_over(now.sent_bytes, now.total_bytes, elapsed, idle, *released.borrow_and_update()) {
            return now;
        }
        tokio::select! {
            _ = ticks.tick() => tell(Moment::Seeding(now)),
            changed = released.changed(), if can_release => can_release = changed.is_ok(),
        }
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
