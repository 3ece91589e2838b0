//! Web hooks: programs elsewhere are told of each run that ends, by a POST to their addresses. Nothing waits for them: each address
//! goes through the history for itself, in the order of the numbers, and how far it is outlives a restart. Whatever cannot be delivered
//! in bounded time is said in the log.

mod receiver;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use receiver::{Address, Secret};

use receiver::Receiver;

use crate::fleet::{Deployment, Fleet};
use crate::store::{Entry, HOOKS, Store};

/// Pauses between tries, in seconds. Together four minutes: a receiver that starts anew is there again by then.
const PAUSES: [u64; 9] = [1, 2, 4, 8, 16, 32, 60, 60, 60];

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// How far an address has been told, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// See [`Address::key`].
    address: String,
    /// Of the last run that it was told of, or that was given up.
    number: u64,
}

/// One address, and how far it is.
struct Hook {
    receiver: Receiver,
    key: String,
    told: AtomicU64,
    fleet: Arc<Fleet>,
    counters: Arc<Counters>,
}

/// All addresses.
pub(crate) struct Hooks {
    hooks: Vec<Arc<Hook>>,
    counters: Arc<Counters>,
    fleet: Arc<Fleet>,
}

impl Hooks {
    /// Begins to deliver to these addresses, each for itself: what ends from now on, and what those that are known have not been told
    /// yet.
    pub(crate) async fn start(
        addresses: &[Address],
        secret: Option<&Secret>,
        fleet: &Arc<Fleet>,
    ) -> Result<Self> {
        let counters = Arc::<Counters>::default();
        let receiver = |address: &Address| Receiver::new(address.clone(), secret.cloned());
        let receivers: BTreeMap<String, Receiver> =
            addresses.iter().map(|address| Ok((address.key(), receiver(address)?))).collect::<Result<_>>()?;
        let told = take_up(receivers.keys(), fleet).await.context("how far web hooks have been told")?;
        let hook = |((key, receiver), number)| {
            let (fleet, counters) = (Arc::clone(fleet), Arc::clone(&counters));
            Arc::new(Hook { receiver, key, told: AtomicU64::new(number), fleet, counters })
        };
        let hooks: Vec<Arc<Hook>> = receivers.into_iter().zip(told).map(hook).collect();
        for hook in &hooks {
            tokio::spawn(Arc::clone(hook).work());
        }
        Ok(Self { hooks, counters, fleet: Arc::clone(fleet) })
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Messages that wait to be delivered, over all addresses.
    pub(crate) fn waiting(&self) -> u64 {
        self.hooks.iter().map(|hook| self.fleet.count_ended_after(hook.told()) as u64).sum()
    }

    /// Says what becomes of what waits when the server stops now.
    pub(crate) fn stop(&self) {
        match (self.waiting(), self.fleet.store()) {
            (0, _) => {}
            (waiting, Some(_)) => {
                tracing::warn!("hooks: {waiting} messages wait, and are delivered after the next start")
            }
            (waiting, None) => {
                tracing::error!("hooks: {waiting} messages were not delivered before the server stopped")
            }
        }
    }
}

/// How far each of these addresses is. Who was not known is told of what is to come; who is no more among them is forgotten.
async fn take_up(keys: impl Iterator<Item = &String>, fleet: &Fleet) -> Result<Vec<u64>> {
    let (store, last) = (fleet.store(), fleet.last_ended());
    let known: Vec<Told> = store.as_ref().map_or(Ok(Vec::new()), |store| store.load(HOOKS))?;
    let mut known: BTreeMap<String, u64> =
        known.into_iter().map(|told| (told.address, told.number)).collect();
    let (mut told, mut entries) = (Vec::new(), Vec::new());
    for key in keys {
        // A run that was told of, but not kept, has left its number to another.
        let number = known.remove(key).unwrap_or(last).min(last);
        entries.push(Entry::put(HOOKS, key, &Told { address: key.clone(), number })?);
        told.push(number);
    }
    entries.extend(known.keys().map(|key| Entry::remove(HOOKS, key)));
    save(store, entries).await?;
    Ok(told)
}

async fn save(store: Option<Store>, entries: Vec<Entry>) -> Result<()> {
    match store.filter(|_| !entries.is_empty()) {
        Some(store) => store.save(entries).await,
        None => Ok(()),
    }
}

impl Hook {
    fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Tells of one run after the other.
    async fn work(self: Arc<Self>) {
        let pauses = PAUSES.map(Duration::from_secs);
        let mut endings = self.fleet.endings();
        loop {
            endings.borrow_and_update();
            let told = self.told();
            let Some(deployment) = self.fleet.ended_after(told) else {
                if endings.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let gone = deployment.number - told - 1;
            if gone > 0 {
                self.counters.failed.fetch_add(gone, Ordering::Relaxed);
                tracing::error!(
                    "hook {}: {gone} runs from number {} on are left out: the history has them no more",
                    self.receiver,
                    told + 1
                );
            }
            let counter = match deliver(&self.receiver, &message(&deployment), &pauses).await {
                true => &self.counters.delivered,
                false => &self.counters.failed,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            self.keep(deployment.number).await;
        }
    }

    /// It has been told up to this number. What the database does not take is told once more after a restart.
    async fn keep(&self, number: u64) {
        self.told.store(number, Ordering::Relaxed);
        let entry = Entry::put(HOOKS, &self.key, &Told { address: self.key.clone(), number });
        let kept = match entry {
            Ok(entry) => save(self.fleet.store(), vec![entry]).await,
            Err(e) => Err(e),
        };
        if let Err(e) = kept {
            tracing::error!("hook {}: keeping how far it has been told: {e:#}", self.receiver);
        }
    }
}

/// What is said of a run, as API.md describes it.
fn message(deployment: &Deployment) -> String {
    let outcome = deployment.outcome.as_str();
    let image = deployment.image.as_deref().unwrap_or("no image yet");
    let why = match (&deployment.failed_step, &deployment.error) {
        (Some(step), Some(error)) => format!(": {step}: {error}"),
        _ => String::new(),
    };
    let took = deployment.ended - deployment.started;
    let text = format!("{}: {outcome} ({image}, {took:.0} s){why}", deployment.machine);
    json!({ "event": outcome, "text": text, "deployment": deployment }).to_string()
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
    async fn what_nobody_takes_is_given_up() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let receiver = Receiver::new(format!("http://{closed}/").parse().unwrap(), None).unwrap();
        assert!(!deliver(&receiver, "{}", &[Duration::ZERO; 3]).await);
    }
}
