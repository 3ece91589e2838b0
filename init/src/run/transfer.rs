//! One transfer, as its watchers see it: begun, going on, everything there, everything verified and
//! synced; then serving others until the policy says that it is enough.

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use ezio_contract::report::Progress;
use ezio_image::conf::SeedPolicy;
use ezio_swarm::Swarm;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often watchers hear of progress.
const TICK: Duration = Duration::from_secs(1);

/// The same while others are served. The server lets go in an answer: longer than this, no machine serves on for nobody.
const SEEDING_TICK: Duration = Duration::from_millis(500);

/// How often watchers hear that nothing arrives.
const SILENCE_TOLD: Duration = Duration::from_secs(15);

/// For so long nothing has arrived, of what is still missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Silence {
    time: Duration,
    peers: u32,
    /// When it is too long.
    bound: Option<Duration>,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing has arrived for {} s: ", self.time.as_secs())?;
        match self.peers {
            0 => f.write_str("no peer is connected (is the cable in, is the server up?)")?,
            peers => write!(f, "the {peers} connected peers send nothing")?,
        }
        match self.bound.map(|bound| bound.saturating_sub(self.time).as_secs()) {
            Some(left @ 1..) => write!(f, "; giving up in {left} s"),
            _ => Ok(()),
        }
    }
}

/// What a watcher of a transfer hears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Moment {
    /// The first payload byte is here.
    FirstByte,
    /// The first piece is verified.
    FirstPiece,
    /// So far; up to twice a second.
    Progress(Progress),
    /// Nothing has arrived for a while.
    Silence(Silence),
    /// Every byte is here and verified; it may not be on the medium yet.
    LastByte(Progress),
    /// Others are served; up to twice a second.
    Seeding(Progress),
}

/// Waits until everything is verified, written and synced; fails when for `bound` nothing has arrived of what is missing.
pub(crate) async fn complete(
    swarm: &Swarm,
    bound: Option<Duration>,
    mut tell: impl FnMut(Moment),
) -> anyhow::Result<Progress> {
    let mut progress = swarm.progress();
    let mut ticks = ticks(TICK);
    let mut arrivals = Arrivals::new(Instant::now());
    let (mut begun, mut has_piece, mut all_here) = (false, false, false);
    let completed = swarm.completed();
    tokio::pin!(completed);
    loop {
        let end = tokio::select! {
            result = &mut completed => { result?; true }
            Ok(()) = progress.changed(), if !all_here => false,
            _ = ticks.tick() => {
                let now = *progress.borrow();
                tell(Moment::Progress(now));
                if let Some(time) = arrivals.silence(news(&now), Instant::now()).filter(|_| !all_here) {
                    let silence = Silence { time, peers: now.peers, bound };
                    if bound.is_some_and(|bound| time >= bound) {
                        bail!("{silence}");
                    }
                    tell(Moment::Silence(silence));
                }
                false
            }
        };
        let now = *progress.borrow_and_update();
        if !begun && now.from_server_bytes + now.from_peers_bytes > 0 {
            begun = true;
            tell(Moment::FirstByte);
        }
        if !has_piece && now.fetched_bytes() > 0 {
            has_piece = true;
            tell(Moment::FirstPiece);
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

/// What grows as long as there is any.
fn news(progress: &Progress) -> u64 {
    progress.from_server_bytes + progress.from_peers_bytes + progress.done_bytes
}

/// When something arrived last, and when the silence since was told of.
struct Arrivals {
    received: u64,
    last: Instant,
    told: Duration,
}

impl Arrivals {
    fn new(now: Instant) -> Self {
        Self { received: 0, last: now, told: Duration::ZERO }
    }

    /// Takes note of all that was received so far; gives the time of silence when it is to be told.
    fn silence(&mut self, received: u64, now: Instant) -> Option<Duration> {
        if received != self.received {
            *self = Self { received, ..Self::new(now) };
        }
        let silence = now - self.last;
        let due = silence >= self.told + SILENCE_TOLD;
        due.then(|| {
            self.told = silence;
            silence
        })
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
    let mut ticks = ticks(SEEDING_TICK);
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

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_now_and_then_until_something_arrives() {
        let begin = Instant::now();
        let mut arrivals = Arrivals::new(begin);
        let told: Vec<u64> = (0..100)
            .filter(|second| {
                // Something arrives in the 40th second.
                let received = if *second < 40 { 7 } else { 8 };
                arrivals.silence(received, begin + Duration::from_secs(*second)).is_some()
            })
            .collect();
        assert_eq!(told, [15, 30, 55, 70, 85]);
    }

    #[test]
    fn silence_says_what_is_missed_and_for_how_long_still() {
        let time = Duration::from_secs(30);
        let silence = |peers, bound| Silence { time, peers, bound }.to_string();
        let text = silence(0, Some(Duration::from_secs(600)));
        assert!(text.starts_with("nothing has arrived for 30 s: no peer is connected"), "{text}");
        assert!(text.ends_with("; giving up in 570 s"), "{text}");
        assert!(silence(3, None).ends_with("the 3 connected peers send nothing"));
        assert!(!silence(0, Some(time)).contains("giving up"));
    }
}
