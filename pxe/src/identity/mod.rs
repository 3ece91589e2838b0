//! What is one machine's own: its host name, and files for its Windows. Worked out when it asks, from files that lie
//! beside the operator's `ezio.conf`.

mod drivers;
mod files;
mod join;

use anyhow::{Context, Result, ensure};
use ezio_contract::MachineId;
use ezio_contract::identity::{DRIVERS, IdentityAnswer, JOIN_FILE, PANTHER, WindowsFiles};
use ezio_image::conf::{Orders, Windows};
use ezio_image::identity::hostname::{MAX_COMPUTER_NAME, hostname, is_hostname};
use ezio_image::identity::template::{self, COUNTER, HOSTNAME, Template, Values, values_of, xml_escaped};

pub(crate) use files::{IdentityFiles, named};

/// Text of an offline domain join in the answer file.
const JOIN: &str = "join";
/// Where that of a machine lies on it.
const JOIN_PATH: &str = "join-file";
/// Where the drivers are on it.
const DRIVERS_PATH: &str = "drivers";
/// What stands for the template of a host name where there is none, among a machine's numbers.
const NO_TEMPLATE: &str = "";

/// The number that these orders ask for, by the name that the fleet keeps it under.
pub(crate) fn number_for(orders: &Orders, files: &IdentityFiles) -> Option<String> {
    let hostname = orders.identity.hostname.as_ref();
    let unattend = files.unattend(&orders.windows);
    let counts = [hostname, unattend].into_iter().flatten().any(|template| template.names(COUNTER));
    counts.then(|| hostname.map_or(NO_TEMPLATE, Template::as_str).to_owned())
}

/// What is this machine's own, by its orders.
pub(crate) fn answer(
    orders: &Orders,
    files: &IdentityFiles,
    machine: &MachineId,
    number: Option<u32>,
) -> Result<IdentityAnswer> {
    let mut values = values_of(machine);
    values.extend(number.map(|number| (COUNTER.to_owned(), number.to_string())));
    if let Some(path) = &orders.identity.hosts {
        let row = files.hosts(path).and_then(|hosts| hosts.values_of(machine));
        values
            .extend(row.with_context(|| format!("{} has no line for this machine", path.display()))?.clone());
    }
    let hostname = match &orders.identity.hostname {
        Some(template) => Some(hostname(template, &values)?),
        None => values.get(HOSTNAME).cloned(),
    };
    if let Some(name) = &hostname {
        ensure!(is_hostname(name), "{name:?} in the table of hosts is no host name");
        values.insert(HOSTNAME.to_owned(), name.clone());
    }
    let windows = match files.unattend(&orders.windows) {
        Some(unattend) => {
            let (drivers, drivers_note) = match files.drivers(&orders.windows) {
                Some(drivers) => drivers.for_model(machine.product()),
                None => (Vec::new(), None),
            };
            let WindowsFiles { unattend, join, .. } = windows(orders, files, unattend, values)?;
            Some(WindowsFiles { unattend, join, drivers, drivers_note })
        }
        None => None,
    };
    Ok(IdentityAnswer { hostname, windows })
}

fn windows(
    orders: &Orders,
    files: &IdentityFiles,
    unattend: &Template,
    mut values: Values,
) -> Result<WindowsFiles> {
    if let Some(name) = values.get(HOSTNAME).filter(|_| unattend.names(HOSTNAME)) {
        ensure!(
            name.len() <= MAX_COMPUTER_NAME && !name.contains('.'),
            "{name:?} is no name for a Windows computer: at most {MAX_COMPUTER_NAME} letters, digits and hyphens"
        );
    }
    let mut join = None;
    if let Some(template) = &orders.windows.join {
        let blob = join::read(files.folder(), template, &values)?;
        values.insert(JOIN.to_owned(), blob.clone());
        values.insert(JOIN_PATH.to_owned(), format!(r"C:\{}\{JOIN_FILE}", PANTHER.join(r"\")));
        join = unattend.names(JOIN_PATH).then_some(blob);
    }
    if orders.windows.drivers.is_some() {
        values.insert(DRIVERS_PATH.to_owned(), format!(r"C:\{DRIVERS}"));
    }
    let name = orders.windows.unattend.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let unattend = unattend.fill(&values, xml_escaped).context(name)?;
    Ok(WindowsFiles { unattend, join, ..WindowsFiles::default() })
}

/// What an answer file may name beside the machine's values.
#[derive(Debug, Clone, Copy, Default)]
struct Has {
    join: bool,
    drivers: bool,
}

impl Has {
    fn of(windows: &Windows) -> Self {
        Self { join: windows.join.is_some(), drivers: windows.drivers.is_some() }
    }

    /// Is there a value of this name?
    fn value(self, name: &str, has_column: impl Fn(&str) -> bool) -> bool {
        template::OF_MACHINE.contains(&name)
            || [COUNTER, HOSTNAME].contains(&name)
            || (self.join && [JOIN, JOIN_PATH].contains(&name))
            || (self.drivers && name == DRIVERS_PATH)
            || has_column(name)
    }
}

#[cfg(test)]
mod tests;
