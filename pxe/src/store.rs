//! Machines, leases and accounts over restarts, in an embedded database of one file.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};
use serde::{Serialize, de::DeserializeOwned};

const FILE: &str = "ezio.redb";

/// Machines by their id, as JSON.
pub(crate) const MACHINES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("machines");
/// Seats by machine, as JSON.
pub(crate) const SEATS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("seats");
/// Deployments by their number, as JSON.
pub(crate) const HISTORY: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("history");
/// How far web hooks have been told, by the hash of their address, as JSON.
pub(crate) const HOOKS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("hooks");
/// Accounts by their name, as JSON.
pub(crate) const ACCOUNTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("accounts");
/// Tokens by their name, as JSON.
pub(crate) const TOKENS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("tokens");
/// The audit log by number, as JSON.
pub(crate) const AUDIT: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("audit");
/// Schedules by their number, as JSON.
pub(crate) const SCHEDULES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("schedules");
/// Consoles by machine, as JSON.
pub(crate) const CONSOLES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("consoles");
/// Leases by MAC, as JSON.
pub(crate) const LEASES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("leases");

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// An open database. Every write is durable when it returns.
#[derive(Clone)]
pub(crate) struct Store {
    database: Arc<Database>,
}

impl Store {
    /// Opens the database in `dir`, or makes both.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| {
            format!("making the directory for the database, {} (--state names another)", dir.display())
        })?;
        let path = dir.join(FILE);
        let database = Database::create(&path).with_context(|| {
            format!(
                "opening the database {} (is another ezio-pxe using it? --state names another directory)",
                path.display()
            )
        })?;
        let store = Self { database: Arc::new(database) };
        store.write(&[]).with_context(|| format!("writing to the database {}", path.display()))?;
        Ok(store)
    }

    /// All values of a table. What cannot be read, an older or newer version wrote; it is left out and logged.
    pub(crate) fn load<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>> {
        let transaction = self.database.begin_read().context("reading the database")?;
        let table = transaction.open_table(table).context("reading the database")?;
        let mut values = Vec::new();
        for entry in table.iter().context("reading the database")? {
            let (key, value) = entry.context("reading the database")?;
            match serde_json::from_slice(value.value()) {
                Ok(value) => values.push(value),
                Err(e) => tracing::warn!("database: entry {:?} is left out: {e}", key.value()),
            }
        }
        Ok(values)
    }

    /// Writes entries, each with its table and key; `None` removes. Does not hold up the caller's other tasks.
    pub(crate) async fn save(&self, entries: Vec<Entry>) -> Result<()> {
        let store = self.clone();
        let write = tokio::task::spawn_blocking(move || store.write(&entries));
        write.await.context("writing the database")?
    }

    fn write(&self, entries: &[Entry]) -> Result<()> {
        let transaction = self.database.begin_write()?;
        for table in [MACHINES, HISTORY, HOOKS, SCHEDULES, LEASES, SEATS, CONSOLES, ACCOUNTS, TOKENS, AUDIT] {
            let mut open = transaction.open_table(table)?;
            for entry in entries.iter().filter(|e| e.table.name() == table.name()) {
                match &entry.value {
                    Some(value) => open.insert(entry.key.as_str(), value.as_slice())?,
                    None => open.remove(entry.key.as_str())?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// The key of a record that has a number: keys are in the order of the numbers.
pub(crate) fn numbered(number: u64) -> String {
    format!("{number:020}")
}

/// Something to write.
pub(crate) struct Entry {
    table: Table,
    key: String,
    value: Option<Vec<u8>>,
}

impl Entry {
    pub(crate) fn put<T: Serialize>(table: Table, key: &str, value: &T) -> Result<Self> {
        let value = serde_json::to_vec(value).with_context(|| format!("database entry {key:?}"))?;
        Ok(Self { table, key: key.to_owned(), value: Some(value) })
    }

    pub(crate) fn remove(table: Table, key: &str) -> Self {
        Self { table, key: key.to_owned(), value: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn times_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let times: Vec<f64> = (0..1000).map(|i| 1_796_000_000.0 + f64::from(i) * 0.013_713_1).collect();
        store.save(vec![Entry::put(HOOKS, "times", &times).unwrap()]).await.unwrap();
        assert_eq!(store.load::<Vec<f64>>(HOOKS).unwrap(), [times]);
    }
}
