//! Passwords: kept as Argon2id hashes, and guessed slowly.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// Shortest password, in characters: guesses are bounded by [`super::attempts`], so that it has to withstand those alone who
/// have stolen the database.
const SHORTEST: usize = 12;
/// Longest password, in bytes: enough for a sentence (NIST SP 800-63B asks for 64 at least).
const LONGEST: usize = 256;
/// Hashes that are worked out at once. Each takes 19 MiB and some 20 ms of one core, which the room needs.
const AT_ONCE: usize = 2;
/// Longest wait for one's turn.
const WAIT: Duration = Duration::from_secs(5);

/// Works out hashes, a few at once.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Of a password that nobody has: to look for one takes as long where there is no such account.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self> {
        let nobody = hash(super::Secret::new().reveal())?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobody })
    }

    /// What is kept of a password; an error says what is wrong with it.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.work(move || hash(&password)).await?
    }

    /// Is it the one that was kept? `kept` is none where there is no account.
    pub(crate) async fn is(&self, password: &str, kept: Option<String>) -> Result<bool> {
        let there = kept.is_some();
        let (kept, password) = (kept.unwrap_or_else(|| self.nobody.clone()), password.to_owned());
        Ok(self.work(move || verify(&password, &kept)).await?? && there)
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.context("too many log in at once, try again")?.context("the server stops")?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.context("working out a hash")
    }
}

/// Says what a password lacks.
pub(crate) fn check(password: &str) -> Result<()> {
    ensure!(password.chars().count() >= SHORTEST, "a password has at least {SHORTEST} characters");
    ensure!(password.len() <= LONGEST, "a password has at most {LONGEST} bytes");
    Ok(())
}

fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|e| anyhow!("hashing a password: {e}"))?.to_string())
}

fn verify(password: &str, kept: &str) -> Result<bool> {
    // A hash costs by its length too: nobody's password is so long.
    if password.len() > LONGEST {
        return Ok(false);
    }
    let kept = PasswordHash::new(kept).map_err(|e| anyhow!("reading a password's hash: {e}"))?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &kept).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_is_known_and_no_other() {
        let passwords = Passwords::new().unwrap();
        let kept = passwords.hash("correct horse").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(passwords.is("correct horse", Some(kept.clone())).await.unwrap());
        assert!(!passwords.is("correct horsf", Some(kept)).await.unwrap());
        assert!(!passwords.is("correct horse", None).await.unwrap());
    }

    #[test]
    fn what_a_password_lacks_is_said() {
        assert!(check("elevenchars").unwrap_err().to_string().contains("12"));
        assert!(check("äöüäöüäöüäöü").is_ok());
        assert!(check(&"x".repeat(257)).is_err());
    }
}
