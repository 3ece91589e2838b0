//! Who is logged in, by the cookie of a browser. They end with this process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::secret::{Secret, SecretHash};

/// Longest life of a session: a working day and what gets late of it.
pub(crate) const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Sessions of one account: a person's browsers. Beyond, the oldest ends.
const OF_ACCOUNT: usize = 16;

struct Session {
    account: String,
    since: Instant,
}

/// All that have not ended. Their number is bounded by that of the accounts.
#[derive(Default)]
pub(crate) struct Sessions {
    sessions: HashMap<SecretHash, Session>,
}

impl Sessions {
    /// One more, and the secret that its cookie holds.
    pub(crate) fn begin(&mut self, account: &str, now: Instant) -> Secret {
        self.sessions.retain(|_, session| now.saturating_duration_since(session.since) < LIFE);
        let own = || self.sessions.iter().filter(|(_, session)| session.account == account);
        if own().count() >= OF_ACCOUNT
            && let Some(oldest) = own().min_by_key(|(_, session)| session.since).map(|(hash, _)| hash.clone())
        {
            self.sessions.remove(&oldest);
        }
        let secret = Secret::new();
        self.sessions.insert(secret.hash(), Session { account: account.to_owned(), since: now });
        secret
    }

    /// Whose it is.
    pub(crate) fn account(&self, session: &SecretHash, now: Instant) -> Option<&str> {
        let session = self.sessions.get(session)?;
        (now.saturating_duration_since(session.since) < LIFE).then_some(session.account.as_str())
    }

    pub(crate) fn end(&mut self, session: &SecretHash) {
        self.sessions.remove(session);
    }

    /// Ends all of an account.
    pub(crate) fn end_all(&mut self, account: &str) {
        self.sessions.retain(|_, session| session.account != account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_after_its_life_or_when_it_is_told_to() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let [a, b] = ["anna", "bert"].map(|name| sessions.begin(name, start).hash());
        assert_eq!(sessions.account(&a, start + LIFE - Duration::from_secs(1)), Some("anna"));
        assert_eq!(sessions.account(&a, start + LIFE), None);
        sessions.end(&a);
        assert_eq!((sessions.account(&a, start), sessions.account(&b, start)), (None, Some("bert")));
        sessions.end_all("bert");
        assert_eq!(sessions.account(&b, start), None);
        assert_eq!(sessions.account(&Secret::said("").hash(), start), None);
    }

    #[test]
    fn the_oldest_of_too_many_ends_and_those_of_others_stay() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let other = sessions.begin("bert", start).hash();
        let all: Vec<SecretHash> =
            (0..20).map(|s| sessions.begin("anna", start + Duration::from_secs(s)).hash()).collect();
        let there = |hash: &SecretHash| sessions.account(hash, start).is_some();
        assert_eq!(all.iter().filter(|hash| there(hash)).count(), OF_ACCOUNT);
        assert!(!there(&all[3]) && there(&all[4]) && there(&other));
    }
}
