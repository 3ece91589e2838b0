//! Keeps one tracker informed of one torrent, from start to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Announce, Answer, Event, announce};
use crate::session::{Engine, Outcome};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// With fewer neighbours than this we ask again soon.
const FEW: usize = 4;
const SOON: Duration = Duration::from_secs(5);
/// A farewell takes no longer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Announces until `stop` turns true, and then says farewell.
pub(crate) async fn run(engine: Arc<Engine>, torrent: usize, url: String, mut stop: watch::Receiver<bool>) {
    let Some(content) = engine.contents.get(torrent) else { return };
    let key = rand::random();
    let say = |event| {
        let (received, sent) = engine.traffic();
        Announce {
            info_hash: content.metainfo.info_hash().0,
            peer_id: engine.peer_id,
            port: engine.port,
            uploaded: sent,
            downloaded: received,
            left: engine.left(torrent),
            event,
            key,
        }
    };
    let mut outcome = engine.outcome.subscribe();
    let mut event = Some(Event::Started);
    let mut completed = content.complete;
    let mut failures = 0u32;
    let mut greeted = false;
    while !*stop.borrow() {
        let announced = say(event);
        let answer = tokio::select! {
            answer = announce(&url, &announced) => answer,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let wait = match answer {
            Ok(answer) => {
                engine.addresses.answered(torrent, &answer.peers, answer.known);
                tracing::debug!(%url, peers = answer.peers.len(), "announced");
                (failures, event, greeted) = (0, None, true);
                pause(&engine, torrent, &answer)
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%url, "announce failed: {error}");
                }
                failures += 1;
                (FIRST_RETRY * (1 << failures.min(7))).min(LAST_RETRY)
            }
        };
        let next = Instant::now() + wait;
        tokio::select! {
            () = sleep_until(next) => {}
            _ = outcome.wait_for(|o| matches!(o, Outcome::Complete)), if !completed => {
                completed = true;
                // Said to a tracker that knows us; to another one we start as a seeder.
                if greeted {
                    event = Some(Event::Completed);
                }
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    if greeted {
        let farewell = say(Some(Event::Stopped));
        // The tracker forgets us by itself too.
        let _ = timeout(FAREWELL, announce(&url, &farewell)).await;
    }
}

fn pause(engine: &Engine, torrent: usize, answer: &Answer) -> Duration {
    let lonely = !engine.is_complete() && engine.connections_of_torrent(torrent) < FEW;
    let soon = answer.min_interval.unwrap_or(SOON).max(SOON);
    if lonely { answer.interval.min(soon) } else { answer.interval }
}
