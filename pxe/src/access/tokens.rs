//! Tokens of programs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::secret::SecretHash;
use super::{Access, ChangeError, Role, Secret, check_name};
use crate::clock::now;
use crate::store::{Entry, TOKENS};

/// Tokens that are kept.
const MAX_TOKENS: usize = 256;

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
    /// When it was shown last, since this process began.
    #[serde(skip)]
    pub(super) used: Option<f64>,
}

impl Token {
    pub(super) fn counts(&self, now: f64) -> bool {
        self.until.is_none_or(|until| now < until)
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
    /// When it was used last, if it was since the server started.
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
        let token = Token { name, role, hash: secret.hash(), created: now(), until, used: None };
        self.keep(Entry::put(TOKENS, &token.name, &token)).await?;
        self.state().tokens.insert(token.name.clone(), token);
        Ok(secret)
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
