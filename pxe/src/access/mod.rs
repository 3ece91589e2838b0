//! Who may what: accounts with passwords for people, tokens for programs, sessions of browsers, and what was done by whom. How
//! it comes over HTTP is not known here.

mod accounts;
mod attempts;
mod audit;
mod local;
mod login;
mod password;
mod role;
mod secret;
mod sessions;
mod tokens;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use utoipa::ToSchema;

pub(crate) use accounts::AccountView;
pub(crate) use audit::{Audit, Deed};
pub(crate) use local::Local;
pub(crate) use login::{LoginError, Logins};
pub(crate) use role::Role;
pub(crate) use secret::Secret;
pub(crate) use sessions::LIFE;
pub(crate) use tokens::{NewToken, TokenView};

use accounts::Account;
use attempts::Attempts;
use password::Passwords;
use secret::SecretHash;
use sessions::Sessions;
use tokens::Token;

use crate::clock::now;
use crate::store::{ACCOUNTS, Entry, Store, TOKENS};

/// Longest name of an account or a token, in characters.
const LONGEST_NAME: usize = 64;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Caller {
    /// Of the account or the token.
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) by: By,
}

/// How it is known who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// An account, by the cookie of a browser.
    Session,
    Token,
    /// A command on the server itself, by the token in its folder of state.
    Local,
    /// Not at all (`--no-auth`).
    NoAuth,
}

impl Caller {
    /// For the audit log.
    pub(crate) fn label(&self) -> String {
        match self.by {
            By::Token => format!("token {}", self.name),
            By::Session | By::Local | By::NoAuth => self.name.clone(),
        }
    }
}

/// Why something of accounts or tokens was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("{0}")]
    Refused(String),
    #[error("there is no {0}")]
    Unknown(String),
    #[error("this could not be kept: {0:#}")]
    NotKept(anyhow::Error),
}

impl ChangeError {
    fn refused(why: impl std::fmt::Display) -> Self {
        Self::Refused(why.to_string())
    }
}

/// All of it.
pub(crate) struct Access {
    state: Mutex<State>,
    /// Held from the check of a change to its end, so that there is one at a time.
    changes: tokio::sync::Mutex<()>,
    /// A token was shown, and that is to be written.
    shown: Notify,
    passwords: Passwords,
    store: Option<Store>,
    audit: Audit,
    logins: Logins,
    local: Secret,
    no_auth: bool,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<String, Account>,
    tokens: BTreeMap<String, Token>,
    sessions: Sessions,
    attempts: Attempts,
    /// Makes the first administrator, once.
    first: Option<SecretHash>,
}

impl Access {
    /// Takes up what the database knows, if there is one. With `no_auth` whoever calls is an administrator.
    pub(crate) fn open(store: Option<Store>, no_auth: bool) -> Result<Self> {
        let mut state = State::default();
        if let Some(store) = &store {
            let accounts: Vec<Account> = store.load(ACCOUNTS).context("accounts")?;
            let tokens: Vec<Token> = store.load(TOKENS).context("tokens")?;
            state.accounts = accounts.into_iter().map(|account| (account.name.clone(), account)).collect();
            let known = |token: Token| (token.name.clone(), Token { used_kept: token.used, ..token });
            state.tokens = tokens.into_iter().map(known).collect();
        }
        Ok(Self {
            state: Mutex::new(state),
            changes: tokio::sync::Mutex::default(),
            shown: Notify::new(),
            passwords: Passwords::new()?,
            audit: Audit::open(store.clone())?,
            logins: Logins::default(),
            store,
            local: Secret::new(),
            no_auth,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    pub(crate) fn logins(&self) -> &Logins {
        &self.logins
    }

    /// The token of commands on the server itself.
    pub(crate) fn local_token(&self) -> &Secret {
        &self.local
    }

    /// Whoever calls, where nobody has to say who it is.
    pub(crate) fn nobody_asked(&self) -> Option<Caller> {
        let caller = || Caller { name: "anybody".into(), role: Role::Administrator, by: By::NoAuth };
        self.no_auth.then(caller)
    }

    /// Who bears this token, if it is one that counts now.
    pub(crate) fn bearer(&self, token: &Secret) -> Option<Caller> {
        let hash = token.hash();
        if hash == self.local.hash() {
            return Some(Caller { name: "this server".into(), role: Role::Administrator, by: By::Local });
        }
        let mut state = self.state();
        let token = state.tokens.values_mut().find(|token| token.hash == hash && token.counts(now()))?;
        if token.show(now()) {
            self.shown.notify_one();
        }
        Some(Caller { name: token.name.clone(), role: token.role, by: By::Token })
    }

    /// Whose session this is, with the role that the account has now.
    pub(crate) fn session(&self, cookie: &Secret) -> Option<Caller> {
        let state = self.state();
        let account = state.accounts.get(state.sessions.account(&cookie.hash(), Instant::now())?)?;
        Some(Caller { name: account.name.clone(), role: account.role, by: By::Session })
    }

    async fn keep(&self, entry: Result<Entry>) -> Result<(), ChangeError> {
        let entry = entry.map_err(ChangeError::NotKept)?;
        let Some(store) = &self.store else { return Ok(()) };
        store.save(vec![entry]).await.map_err(ChangeError::NotKept)
    }
}

/// A name stands in addresses, in logs and on command lines.
fn check_name(name: &str) -> Result<(), ChangeError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    match (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(good) && !name.starts_with('-') {
        true => Ok(()),
        false => Err(ChangeError::Refused(format!(
            "a name has 1 to {LONGEST_NAME} of the characters a-z, A-Z, 0-9, . _ @ and -, and does not begin with -"
        ))),
    }
}

#[cfg(test)]
mod tests;
