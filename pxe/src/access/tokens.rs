//! Tokens of programs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use super::secret::SecretHash;
use super::{Access, ChangeError, Role, Secret, check_name};
use crate::clock::now;
use crate::store::{Entry, TOKENS};

/// Tokens that are kept.
const MAX_TOKENS: usize = 256;
/// When a token was used is written at most once in so many seconds: a program that asks each second would have the disk write each
/// second.
const KEEP_USED_S: f64 = 3600.0;

/// A token, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(super) hash: SecretHash,
    /// Seconds since 1970, as is `until`.
    pub(super) created: f64,
    /// When it ends to count; none: never.
    pub(super) until: Option<f64>,
    /// When it was shown last.
    #[serde(default)]
    pub(super) used: Option<f64>,
    /// The same as the database has it.
    #[serde(skip)]
    pub(super) used_kept: Option<f64>,
}

impl Token {
    pub(super) fn counts(&self, now: f64) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// It is shown now. Is that to be written?
    pub(super) fn show(&mut self, now: f64) -> bool {
        self.used = Some(now);
        self.is_due(KEEP_USED_S)
    }

    /// Has it been used so many seconds after what the database knows, or by a clock that was put back?
    fn is_due(&self, seconds: f64) -> bool {
        match (self.used, self.used_kept) {
            (Some(used), Some(kept)) => used != kept && !(0.0..seconds).contains(&(used - kept)),
            (used, _) => used.is_some(),
        }
    }
}

/// What of it may be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenView {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) created: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<f64>,
    pub(crate) expired: bool,
    /// When it was used last; after a kill of the server it may be an hour too early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) used: Option<f64>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    pub(crate) name: String,
    pub(crate) role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<f64>,
}

impl Access {
    /// By name.
    pub(crate) fn tokens(&self) -> Vec<TokenView> {
        let view = |token: &Token| TokenView {
            name: token.name.clone(),
            role: token.role,
            created: token.created,
            until: token.until,
            expired: !token.counts(now()),
            used: token.used,
        };
        self.state().tokens.values().map(view).collect()
    }

    /// Makes one. It is told here and never again.
    pub(crate) async fn add_token(&self, new: NewToken) -> Result<Secret, ChangeError> {
        check_name(&new.name)?;
        if new.until.is_some_and(|until| until <= now()) {
            return Err(ChangeError::refused("its end is in the past"));
        }
        let _one = self.changes.lock().await;
        {
            let state = self.state();
            if state.tokens.contains_key(&new.name) {
                return Err(ChangeError::Refused(format!(
                    "there is a token {:?}: revoke it first",
                    new.name
                )));
            }
            if state.tokens.len() >= MAX_TOKENS {
                return Err(ChangeError::Refused(format!(
                    "there are {MAX_TOKENS} tokens, which is the most"
                )));
            }
        }
        let secret = Secret::new();
        let NewToken { name, role, until } = new;
        let token =
            Token { name, role, hash: secret.hash(), created: now(), until, used: None, used_kept: None };
        self.keep(Entry::put(TOKENS, &token.name, &token)).await?;
        self.state().tokens.insert(token.name.clone(), token);
        Ok(secret)
    }

    /// Keeps when tokens are used, as they are, and at the end.
    pub(crate) async fn keep_used(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let stops = tokio::select! {
                () = self.shown.notified() => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if let Err(e) = self.write_used(if stops { 0.0 } else { KEEP_USED_S }).await {
                tracing::error!("keeping when tokens were used: {e}");
            }
            if stops {
                return;
            }
        }
    }

    /// Writes those that were used so many seconds after what the database knows.
    pub(super) async fn write_used(&self, seconds: f64) -> Result<(), ChangeError> {
        // A token that is revoked meanwhile would come back otherwise.
        let _one = self.changes.lock().await;
        let used: Vec<Token> = {
            let mut state = self.state();
            let tokens = state.tokens.values_mut().filter(|token| token.is_due(seconds));
            tokens.map(|token| (token.used_kept = token.used, token.clone()).1).collect()
        };
        for token in used {
            self.keep(Entry::put(TOKENS, &token.name, &token)).await?;
        }
        Ok(())
    }

    /// It counts no more.
    pub(crate) async fn revoke_token(&self, name: &str) -> Result<(), ChangeError> {
        let _one = self.changes.lock().await;
        if !self.state().tokens.contains_key(name) {
            return Err(ChangeError::Unknown(format!("token {name:?}")));
        }
        self.keep(Ok(Entry::remove(TOKENS, name))).await?;
        self.state().tokens.remove(name);
        Ok(())
    }
}
