//! Accounts of people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Access, ChangeError, Role, check_name, password};
use crate::clock::now;
use crate::store::{ACCOUNTS, Entry};

/// Accounts that are kept.
const MAX_ACCOUNTS: usize = 256;

/// An account, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Of Argon2id, as a PHC string.
    pub(super) password: String,
    /// Seconds since 1970.
    pub(super) created: f64,
}

/// What of it may be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountView {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) created: f64,
}

impl Access {
    /// By name.
    pub(crate) fn accounts(&self) -> Vec<AccountView> {
        let view = |account: &Account| AccountView {
            name: account.name.clone(),
            role: account.role,
            created: account.created,
        };
        self.state().accounts.values().map(view).collect()
    }

    /// Makes one.
    pub(crate) async fn add_account(
        &self,
        name: &str,
        role: Role,
        password: &str,
    ) -> Result<(), ChangeError> {
        check_name(name)?;
        password::check(password).map_err(ChangeError::refused)?;
        let _one = self.changes.lock().await;
        self.insert_account(name, role, password).await
    }

    /// `changes` is held, name and password are good.
    pub(super) async fn insert_account(
        &self,
        name: &str,
        role: Role,
        password: &str,
    ) -> Result<(), ChangeError> {
        {
            let state = self.state();
            if state.accounts.contains_key(name) {
                return Err(ChangeError::Refused(format!("there is an account {name:?}")));
            }
            if state.accounts.len() >= MAX_ACCOUNTS {
                return Err(ChangeError::Refused(format!(
                    "there are {MAX_ACCOUNTS} accounts, which is the most"
                )));
            }
        }
        let password = self.passwords.hash(password).await.map_err(ChangeError::NotKept)?;
        self.put_account(Account { name: name.to_owned(), role, password, created: now() }).await
    }

    async fn put_account(&self, account: Account) -> Result<(), ChangeError> {
        self.keep(Entry::put(ACCOUNTS, &account.name, &account)).await?;
        self.state().accounts.insert(account.name.clone(), account);
        Ok(())
    }

    fn account(&self, name: &str) -> Result<Account, ChangeError> {
        let found = self.state().accounts.get(name).cloned();
        found.ok_or_else(|| ChangeError::Unknown(format!("account {name:?}")))
    }

    /// Gives it another role. It counts from the next call on.
    pub(crate) async fn set_role(&self, name: &str, role: Role) -> Result<(), ChangeError> {
        let _one = self.changes.lock().await;
        let account = self.account(name)?;
        if role != Role::Administrator {
            self.leaves_an_administrator(&account)?;
        }
        self.put_account(Account { role, ..account }).await
    }

    /// Gives it another password, and ends its sessions.
    pub(crate) async fn set_password(&self, name: &str, password: &str) -> Result<(), ChangeError> {
        password::check(password).map_err(ChangeError::refused)?;
        let _one = self.changes.lock().await;
        let account = self.account(name)?;
        let password = self.passwords.hash(password).await.map_err(ChangeError::NotKept)?;
        self.put_account(Account { password, ..account }).await?;
        self.state().sessions.end_all(name);
        Ok(())
    }

    /// Removes it, and ends its sessions.
    pub(crate) async fn remove_account(&self, name: &str) -> Result<(), ChangeError> {
        let _one = self.changes.lock().await;
        let account = self.account(name)?;
        self.leaves_an_administrator(&account)?;
        self.keep(Ok(Entry::remove(ACCOUNTS, name))).await?;
        let mut state = self.state();
        state.accounts.remove(name);
        state.sessions.end_all(name);
        Ok(())
    }

    fn leaves_an_administrator(&self, without: &Account) -> Result<(), ChangeError> {
        let state = self.state();
        let is_other =
            |account: &Account| account.role == Role::Administrator && account.name != without.name;
        match without.role != Role::Administrator || state.accounts.values().any(is_other) {
            true => Ok(()),
            false => Err(ChangeError::Refused(format!(
                "{} is the only administrator: name another first",
                without.name
            ))),
        }
    }
}
