//! How somebody comes in: with a password, or, while there is no account, by the link that makes the first administrator.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Access, By, Caller, ChangeError, Role, Secret, check_name, password};

/// Counts of logins by password, for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    pub(crate) good: AtomicU64,
    pub(crate) wrong: AtomicU64,
    /// After too many wrong ones.
    pub(crate) refused: AtomicU64,
}

impl Logins {
    fn count<T>(&self, entered: &Result<T, LoginError>) {
        let counter = match entered {
            Ok(_) => &self.good,
            Err(LoginError::Wrong) => &self.wrong,
            Err(LoginError::Later(_)) => &self.refused,
            Err(LoginError::NoLink | LoginError::Change(_) | LoginError::Busy(_)) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why somebody does not get in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("name or password is wrong")]
    Wrong,
    #[error("too many attempts failed: try again in {} min", .0.as_secs().div_ceil(60))]
    Later(Duration),
    #[error(
        "this link was used, or is of an earlier start: the server prints another at its start while there is no account"
    )]
    NoLink,
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("{0:#}")]
    Busy(anyhow::Error),
}

impl Access {
    /// Begins a session, and gives the secret of its cookie.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<(Caller, Secret), LoginError> {
        let entered = self.enter(name, password, address).await;
        self.logins.count(&entered);
        entered
    }

    async fn enter(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<(Caller, Secret), LoginError> {
        let account = match self.guess(name, password, address).await {
            Err(LoginError::Wrong) => return Err(self.note_failure(name, address).await),
            guessed => guessed?,
        };
        let mut state = self.state();
        // Whatever became of the account while the hash was worked out, it has this password still.
        let account = state.accounts.get(name).filter(|now| now.password == account).cloned();
        let account = account.ok_or(LoginError::Wrong)?;
        let cookie = state.sessions.begin(name, Instant::now());
        Ok((Caller { name: account.name, role: account.role, by: By::Session }, cookie))
    }

    /// Puts a wrong name or password into the audit log. Whether that can be kept changes nothing for who failed.
    async fn note_failure(&self, name: &str, address: IpAddr) -> LoginError {
        let known = self.state().accounts.get(name).map(|account| account.name.clone());
        if let Err(e) = self.audit.add_failed(known.as_deref(), address).await {
            tracing::error!("{e:#}");
        }
        LoginError::Wrong
    }

    /// Is it the account's password? The hash that it has, within the bounds on guessing.
    async fn guess(&self, name: &str, password: &str, address: IpAddr) -> Result<String, LoginError> {
        let began = Instant::now();
        let kept = {
            let mut state = self.state();
            let kept = state.accounts.get(name).map(|account| account.password.clone());
            let known = kept.as_ref().map(|_| name);
            state.attempts.begin(address, known, began).map_err(LoginError::Later)?;
            kept
        };
        match self.passwords.is(password, kept.clone()).await.map_err(LoginError::Busy)? {
            true => {
                self.state().attempts.good(address, name, began);
                kept.ok_or(LoginError::Wrong)
            }
            false => Err(LoginError::Wrong),
        }
    }

    /// Ends a session.
    pub(crate) fn log_out(&self, cookie: &Secret) {
        self.state().sessions.end(&cookie.hash());
    }

    /// Somebody gives the own account another password, and begins a new session; the others end.
    pub(crate) async fn change_own_password(
        &self,
        name: &str,
        old: &str,
        new: &str,
        address: IpAddr,
    ) -> Result<Secret, LoginError> {
        self.guess(name, old, address).await?;
        self.set_password(name, new).await?;
        Ok(self.state().sessions.begin(name, Instant::now()))
    }

    /// The secret of the link that makes the first administrator; none where there are accounts, or nobody has to log in. One that
    /// was given before counts no more.
    pub(crate) fn first_link(&self) -> Option<Secret> {
        let mut state = self.state();
        if self.no_auth || !state.accounts.is_empty() {
            return None;
        }
        let secret = Secret::new();
        state.first = Some(secret.hash());
        Some(secret)
    }

    /// Makes the first administrator, who is logged in then.
    pub(crate) async fn first(
        &self,
        link: &Secret,
        name: &str,
        password: &str,
    ) -> Result<(Caller, Secret), LoginError> {
        let _one = self.changes.lock().await;
        {
            let state = self.state();
            if !state.accounts.is_empty() || state.first.as_ref() != Some(&link.hash()) {
                return Err(LoginError::NoLink);
            }
        }
        check_name(name)?;
        password::check(password).map_err(ChangeError::refused)?;
        self.insert_account(name, Role::Administrator, password).await?;
        let mut state = self.state();
        state.first = None;
        let cookie = state.sessions.begin(name, Instant::now());
        Ok((Caller { name: name.to_owned(), role: Role::Administrator, by: By::Session }, cookie))
    }
}
