//! Web hooks: programs elsewhere are told of what happens, by a POST to their addresses. Nothing waits for them: each address has a
//! bounded queue, and whatever cannot be delivered in bounded time is said in the log.

mod receiver;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc;

pub(crate) use receiver::{Address, Secret};

use receiver::Receiver;

/// What waits for one address; a room of a thousand machines may end at once. Of more, the newest are left out.
const QUEUE: usize = 1024;
/// Pauses between tries, in seconds. Together four minutes: a receiver that starts anew is there again by then.
const PAUSES: [u64; 9] = [1, 2, 4, 8, 16, 32, 60, 60, 60];

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) waiting: AtomicU64,
}

/// One address, and what waits for it.
struct Hook {
    name: String,
    queue: mpsc::Sender<Arc<str>>,
}

/// All addresses.
#[derive(Default)]
pub(crate) struct Hooks {
    hooks: Vec<Hook>,
    counters: Arc<Counters>,
}

impl Hooks {
    /// Begins to deliver to these addresses, each for itself.
    pub(crate) fn start(addresses: &[Address], secret: Option<&Secret>) -> Result<Self> {
        let mut all = Self::default();
        for address in addresses {
            let receiver = Receiver::new(address.clone(), secret.cloned())?;
            let (queue, told) = mpsc::channel(QUEUE);
            all.hooks.push(Hook { name: address.to_string(), queue });
            tokio::spawn(work(receiver, told, Arc::clone(&all.counters)));
        }
        Ok(all)
    }

    /// Has all addresses told this, which is JSON.
    pub(crate) fn tell(&self, message: &Arc<str>) {
        for hook in &self.hooks {
            self.counters.waiting.fetch_add(1, Ordering::Relaxed);
            if hook.queue.try_send(Arc::clone(message)).is_err() {
                self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!("hook {}: {QUEUE} messages wait, this one is left out: {message}", hook.name);
            }
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says what is lost when the server stops now.
    pub(crate) fn stop(&self) {
        match self.counters.waiting.load(Ordering::Relaxed) {
            0 => {}
            waiting => {
                tracing::error!("hooks: {waiting} messages were not delivered before the server stopped")
            }
        }
    }
}

async fn work(receiver: Receiver, mut told: mpsc::Receiver<Arc<str>>, counters: Arc<Counters>) {
    let pauses = PAUSES.map(Duration::from_secs);
    while let Some(message) = told.recv().await {
        let counter = match deliver(&receiver, &message, &pauses).await {
            true => &counters.delivered,
            false => &counters.failed,
        };
        counters.waiting.fetch_sub(1, Ordering::Relaxed);
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tries once, and once more after each of the pauses. False: in vain.
async fn deliver(receiver: &Receiver, message: &str, pauses: &[Duration]) -> bool {
    let tries = pauses.len() + 1;
    for number in 1..=tries {
        let Err(error) = receiver.post(message).await else { return true };
        match pauses.get(number - 1) {
            Some(pause) => {
                let wait = pause.as_secs();
                tracing::warn!(
                    "hook {receiver}: try {number} of {tries} failed, the next is in {wait} s: {error:#}"
                );
                tokio::time::sleep(*pause).await;
            }
            None => tracing::error!(
                "hook {receiver}: not delivered in {tries} tries: {error:#}; it was {message}"
            ),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_takes_is_given_up_and_what_does_not_fit_is_left_out() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address: Address = format!("http://{closed}/").parse().unwrap();
        let receiver = Receiver::new(address.clone(), None).unwrap();
        assert!(!deliver(&receiver, "{}", &[Duration::ZERO; 3]).await);

        let hooks = Hooks::start(&[address], None).unwrap();
        // Nothing runs in between: this test's runtime has one thread.
        (0..=QUEUE).for_each(|_| hooks.tell(&"{}".into()));
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &hooks.counters;
        assert_eq!((count(&counters.waiting), count(&counters.failed)), (QUEUE as u64, 1));
    }
}
