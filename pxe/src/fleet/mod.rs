//! The machines of the room: who they are, how far they are, and what they are told. The rules are in [`life`] and [`room`];
//! here they meet the clock and the database.

mod act;
mod calls;
mod consent;
mod consoles;
mod deploy;
mod history;
mod identity;
mod life;
mod machine;
mod names;
mod number;
mod order;
mod room;
mod strangers;
mod tally;
mod view;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use ezio_contract::identity::IdentityRequest;
use ezio_contract::report::{Directive, Event, Report};
use ezio_contract::{Mac, MachineId};
use ezio_image::conf::{Conf, Over};
use tokio::sync::watch;

pub(crate) use act::{Act, Acted, ActedOn, Group, Meant};
pub(crate) use calls::LATE_S;
pub(crate) use consent::{AfterAttempts, DEFAULT_ATTEMPTS, Rules, Unknown};
pub(crate) use consoles::Console;
use consoles::Consoles;
pub(crate) use history::Deployment;
use history::History;
pub(crate) use life::State;
pub(crate) use machine::Machine;
pub(crate) use number::Denied;
pub(crate) use order::Order;
pub(crate) use room::Refusal;
use room::{Change, Room};
pub(crate) use tally::Tally;
pub(crate) use view::{Counts, FleetView, ImageView, MachineView, PartitionView, RatesView};

use crate::boot::Boot;
use crate::clock::now;
use crate::store::{CONSOLES, Entry, HISTORY, MACHINES, Store, numbered};

/// Why a report was not accepted.
#[derive(Debug)]
pub(crate) enum ReportError {
    /// It says nonsense.
    Refused(Refusal),
    /// It could not be kept; the machine should send it again.
    NotKept(anyhow::Error),
}

/// All machines.
pub(crate) struct Fleet {
    room: Mutex<Room>,
    history: Arc<Mutex<History>>,
    /// Says when something has been added to the history.
    ended: watch::Sender<()>,
    consoles: Mutex<Consoles>,
    store: Option<Store>,
}

impl Fleet {
    /// Takes up what the database knows, if there is one.
    pub(crate) fn open(
        store: Option<Store>,
        silent_after: Duration,
        linger: Duration,
        rules: Rules,
    ) -> Result<Self> {
        let (machines, deployments, consoles) = match &store {
            Some(store) => (
                store.load(MACHINES).context("machines")?,
                store.load(HISTORY).context("history")?,
                store.load(CONSOLES).context("consoles")?,
            ),
            None => Default::default(),
        };
        let room = Mutex::new(Room::new(machines, silent_after, linger, rules));
        Ok(Self {
            room,
            history: Arc::new(Mutex::new(History::new(deployments))),
            ended: watch::Sender::default(),
            consoles: Mutex::new(Consoles::new(consoles)),
            store,
        })
    }

    /// Where it is kept.
    pub(crate) fn store(&self) -> Option<Store> {
        self.store.clone()
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the machine with this card boots from, without taking note of it.
    pub(crate) fn boot_of(&self, mac: Mac) -> Boot {
        self.room().boot_of(mac)
    }

    /// A machine asks for something to boot. One that is not taken note of is deployed all the same, and the answer
    /// does not wait for the database: what is lost there, the machine's first report says again.
    pub(crate) fn boots(&self, id: &MachineId, address: IpAddr) -> Boot {
        let taken = self.room().boots(id, &address.to_canonical().to_string(), now());
        match taken {
            Ok((boot, change)) => {
                let kept = self.keep(change);
                tokio::spawn(async move {
                    if let Err(e) = kept.await {
                        tracing::error!("fleet: {e:#}");
                    }
                });
                boot
            }
            Err(refusal) => {
                tracing::warn!("fleet: {address}: {refusal}");
                Boot::Deploy
            }
        }
    }

    /// A machine reports. It is told yes only when what it said will outlive this process.
    pub(crate) async fn report(&self, report: &Report, address: IpAddr) -> Result<Directive, ReportError> {
        let taken = self.room().report(report, &address.to_canonical().to_string(), now());
        let (mut directive, change) = taken.map_err(ReportError::Refused)?;
        change.save.iter().for_each(log);
        let consoles = self.consoles_of(report, !change.save.is_empty(), &mut directive);
        let consoles = consoles.map_err(ReportError::NotKept)?;
        self.keep_with(change, consoles).await.map_err(ReportError::NotKept)?;
        Ok(directive)
    }

    /// Takes a console that was sent, or asks for one that somebody wants; answers with what is to be written. Whoever fails sends it
    /// with what `changed` its state.
    fn consoles_of(&self, report: &Report, changed: bool, directive: &mut Directive) -> Result<Vec<Entry>> {
        let mut consoles = self.consoles();
        let failed = matches!(report.event, Event::Failed { .. }) && changed;
        if !failed && !consoles.is_any_asked() {
            return Ok(Vec::new());
        }
        let Some(id) = self.room().of_run(&report.run) else { return Ok(Vec::new()) };
        match &report.event {
            Event::Failed { console, .. } if failed => return consoles.take(&id, console, now()),
            Event::Console { console } if consoles.is_asked(&id) => {
                return consoles.take(&id, console, now());
            }
            _ => directive.console = consoles.is_asked(&id),
        }
        Ok(Vec::new())
    }

    /// Has machines send what stands on their consoles; whether they were asked does not outlive this process.
    pub(crate) fn ask_consoles(&self, meant: &Meant) -> Acted {
        let (machines, unknown) = self.meant(meant);
        let mut acted = Acted { machines: Vec::new(), unknown };
        for machine in machines {
            let done = self.room().hears(&machine, now());
            let what = match done {
                true => "sends what stands on its console with its next report",
                false => "sends nothing now: init does not run on it",
            };
            if done {
                self.consoles().ask(&machine.id);
            }
            acted.machines.push(ActedOn { id: machine.id, done, what: what.to_owned() });
        }
        acted
    }

    /// The number of a machine whose run is under way (see [`Room::number`]). It outlives this process when it is given.
    pub(crate) async fn number(
        &self,
        request: &IdentityRequest,
        address: IpAddr,
        purpose: Option<&str>,
    ) -> Result<Result<Option<u32>, Denied>> {
        let address = address.to_canonical().to_string();
        let taken = self.room().number(&request.machine, &request.run, &address, purpose);
        let (number, change) = match taken {
            Ok(taken) => taken,
            Err(denied) => return Ok(Err(denied)),
        };
        self.keep(change).await?;
        Ok(Ok(number))
    }

    /// A deployment gives a machine this host name. It outlives this process when it is answered.
    pub(crate) async fn give_hostname(&self, id: &MachineId, name: &str) -> Result<()> {
        let change = self.room().give_hostname(id, name);
        self.keep(change).await
    }

    /// The machine with this card says that it is called so.
    pub(crate) fn hear_hostname(&self, card: Mac, name: &str) {
        self.room().hear_hostname(card, name);
    }

    /// What an operator does to machines. It outlives this process when it is answered.
    pub(crate) async fn act(&self, act: Act, meant: &Meant) -> Result<Acted> {
        let (acted, change) = self.room().act(act, meant, now());
        self.keep(change).await?;
        Ok(acted)
    }

    /// Has machines deployed, and, with `wake`, called; writes `also` with it.
    pub(crate) async fn deploy(
        &self,
        meant: &Meant,
        order: &Order,
        approve: bool,
        wake: bool,
        also: Vec<Entry>,
    ) -> Result<Acted> {
        let (acted, change) = {
            let mut room = self.room();
            let (acted, mut change) = room.deploy(meant, order, approve, now());
            if wake {
                room.call(&acted, &mut change, now());
            }
            (acted, change)
        };
        self.keep_with(change, also).await?;
        Ok(acted)
    }

    /// Those who are to be called to wake now. Each is given once: that outlives this process when it is answered.
    pub(crate) async fn due_calls(&self) -> Result<Vec<Machine>> {
        let (due, change) = self.room().due_calls(now());
        self.keep(change).await?;
        Ok(due)
    }

    /// Takes orders back.
    pub(crate) async fn cancel(&self, meant: &Meant) -> Result<Acted> {
        let (acted, change) = self.room().cancel(meant);
        self.keep(change).await?;
        Ok(acted)
    }

    /// The machines as they would be after an order, and the rules that hold for them.
    pub(crate) fn supposed(&self, meant: &Meant, order: &Order, approve: bool) -> (Vec<Machine>, Rules) {
        let mut supposed = self.room().clone();
        let (acted, _) = supposed.deploy(meant, order, approve, now());
        let is_meant = |machine: &&Machine| acted.machines.iter().any(|acted| acted.id == machine.id);
        (supposed.machines().iter().filter(is_meant).cloned().collect(), *supposed.rules())
    }

    /// What lies over ezio.conf.
    pub(crate) fn overs(&self) -> Vec<Over> {
        self.room().machines().iter().filter_map(Machine::over).collect()
    }

    /// The same, with names in place of a group that `conf` knows.
    pub(crate) fn named(&self, meant: &Meant, conf: Option<&Conf>) -> Meant {
        match conf {
            Some(conf) => meant.clone().by(conf, self.room().machines()),
            None => meant.clone(),
        }
    }

    /// The machines that are meant, and names that are nobody's.
    pub(crate) fn meant(&self, meant: &Meant) -> (Vec<Machine>, Vec<String>) {
        let room = self.room();
        let (ids, unknown) = room.meant(meant, |_| true);
        (room.machines().iter().filter(|machine| ids.contains(&machine.id)).cloned().collect(), unknown)
    }

    /// All that is known of machines now, and the rules that hold for them.
    pub(crate) fn machines(&self) -> (Vec<Machine>, Rules) {
        let room = self.room();
        (room.machines().to_vec(), *room.rules())
    }

    /// Looks at all machines as they are now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Machine]) -> T) -> T {
        look(self.room().machines())
    }

    /// Never held by who holds the room.
    fn consoles(&self) -> MutexGuard<'_, Consoles> {
        self.consoles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stood on the console of this machine when it sent it last; `fresh`: none while it is asked for another.
    pub(crate) fn console(&self, id: &str, fresh: bool) -> Option<Console> {
        let consoles = self.consoles();
        consoles.get(id).filter(|_| !fresh || !consoles.is_asked(id)).cloned()
    }

    /// The name of the machine with this card.
    pub(crate) fn id_of(&self, card: Mac) -> Option<String> {
        let room = self.room();
        let machine = room.machines().iter().find(|machine| machine.identity.macs().contains(&card));
        machine.map(|machine| machine.id.clone())
    }

    pub(crate) fn view(&self) -> (Vec<MachineView>, Counts) {
        let (mut machines, counts) = view::machines(&self.room(), now());
        let consoles = self.consoles();
        for machine in &mut machines {
            machine.console_at = consoles.get(&machine.id).map(|console| console.at);
        }
        (machines, counts)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first so many of the runs that have ended before this number, the newest first; of one machine, if it is named.
    pub(crate) fn ended_before(&self, machine: Option<&str>, number: u64, limit: usize) -> Vec<Deployment> {
        let history = self.history();
        let is_meant = |d: &&Deployment| d.number < number && machine.is_none_or(|id| d.machine == id);
        history.newest().filter(is_meant).take(limit).cloned().collect()
    }

    /// The first run that has ended behind this number, and will outlive this process. None is passed over but those that the
    /// history has no more.
    pub(crate) fn ended_after(&self, number: u64) -> Option<Deployment> {
        self.history().after(number).cloned()
    }

    /// How many have ended behind this number.
    pub(crate) fn count_ended_after(&self, number: u64) -> usize {
        self.history().count_after(number)
    }

    /// The number of the run that ended last.
    pub(crate) fn last_ended(&self) -> u64 {
        self.history().last()
    }

    /// Says when another run has ended.
    pub(crate) fn endings(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// How runs have ended since the server started.
    pub(crate) fn tally(&self) -> Tally {
        self.history().tally().clone()
    }

    /// Writes what has changed, all of it or nothing.
    fn keep(&self, change: Change) -> impl Future<Output = Result<()>> + Send + use<> {
        self.keep_with(change, Vec::new())
    }

    fn keep_with(
        &self,
        mut change: Change,
        mut also: Vec<Entry>,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        if !change.remove.is_empty() {
            also.extend(self.consoles().forget(&change.remove));
        }
        if !change.ended.is_empty() {
            let surplus = self.history().add(&mut change.ended);
            also.extend(surplus.iter().map(|number| Entry::remove(HISTORY, &numbered(*number))));
        }
        let is_something = change != Change::default() || !also.is_empty();
        // In a task of its own: who hangs up meanwhile leaves nothing half done.
        let keeping = is_something.then(|| {
            let (store, history) = (self.store.clone(), Arc::clone(&self.history));
            let ended = self.ended.clone();
            tokio::spawn(async move {
                let written = write(store, &change, also).await;
                history.lock().unwrap_or_else(PoisonError::into_inner).kept(&change.ended);
                ended.send_replace(());
                written
            })
        });
        async move {
            match keeping {
                Some(keeping) => keeping.await.context("keeping what has changed")?,
                None => Ok(()),
            }
        }
    }

    /// Writes everything, so that the last progress outlives a restart too.
    pub(crate) async fn flush(&self) -> Result<()> {
        let save = self.room().machines().to_vec();
        self.keep(Change { save, ..Change::default() }).await
    }
}

async fn write(store: Option<Store>, change: &Change, also: Vec<Entry>) -> Result<()> {
    let Some(store) = store else { return Ok(()) };
    let mut entries = also;
    entries.extend(change.remove.iter().map(|id| Entry::remove(MACHINES, id)));
    for machine in &change.save {
        entries.push(Entry::put(MACHINES, &machine.id, machine)?);
    }
    for deployment in &change.ended {
        entries.push(Entry::put(HISTORY, &numbered(deployment.number), deployment)?);
    }
    store.save(entries).await.context("keeping machines in the database")
}

fn log(machine: &Machine) {
    let address = machine.address.as_deref().unwrap_or("?");
    match (machine.life.state, &machine.error) {
        (State::Failed, Some(e)) => {
            tracing::error!(
                "machine {} ({address}) failed: {}: {}; next: {}",
                machine.id,
                e.step,
                e.error,
                e.next
            );
        }
        (state, _) => tracing::info!("machine {} ({address}): {state:?}", machine.id),
    }
}
