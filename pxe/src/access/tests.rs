//! The whole of it against a database that comes and goes.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::*;

const PASSWORD: &str = "a long password";
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn open(folder: &Path) -> Access {
    Access::open(Some(Store::open(folder).unwrap()), false).unwrap()
}

fn token(name: &str, role: Role, until: Option<f64>) -> NewToken {
    NewToken { name: name.into(), role, until }
}

#[tokio::test]
async fn the_link_makes_one_administrator_and_no_second() {
    let access = Access::open(None, false).unwrap();
    let old = access.first_link().unwrap();
    let link = access.first_link().unwrap();
    let no_link = |result| matches!(result, Err(LoginError::NoLink));
    assert!(no_link(access.first(&old, "anna", PASSWORD).await), "it was replaced");
    assert!(no_link(access.first(&Secret::said(""), "anna", PASSWORD).await));
    let short = access.first(&link, "anna", "short").await;
    assert!(
        matches!(short, Err(LoginError::Change(ChangeError::Refused(_)))),
        "the link is not lost by that"
    );
    let (caller, cookie) = access.first(&link, "anna", PASSWORD).await.unwrap();
    assert_eq!((caller.role, access.session(&cookie)), (Role::Administrator, Some(caller)));
    assert!(no_link(access.first(&link, "bert", PASSWORD).await));
    assert!(access.first_link().is_none());
}

#[tokio::test]
async fn two_who_use_the_link_at_once_are_not_both_administrators() {
    let access = Access::open(None, false).unwrap();
    let link = access.first_link().unwrap();
    let both = tokio::join!(access.first(&link, "anna", PASSWORD), access.first(&link, "bert", PASSWORD));
    assert_eq!((both.0.is_ok(), both.1.is_ok(), access.accounts().len()), (true, false, 1));
}

#[tokio::test]
async fn accounts_and_tokens_outlive_the_process_and_sessions_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let (cookie, secret, local) = {
        let access = open(folder.path());
        access.add_account("anna", Role::Operator, PASSWORD).await.unwrap();
        access.add_account("bert", Role::Viewer, PASSWORD).await.unwrap();
        access.remove_account("bert").await.unwrap();
        let secret = access.add_token(token("backup", Role::Viewer, None)).await.unwrap();
        let gone = access.add_token(token("gone", Role::Viewer, None)).await.unwrap();
        access.revoke_token("gone").await.unwrap();
        assert_eq!(access.bearer(&gone), None);
        let (_, cookie) = access.log_in("anna", PASSWORD, HERE).await.unwrap();
        (cookie, secret, access.local_token().clone())
    };
    let access = open(folder.path());
    assert_eq!(access.accounts().iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["anna"]);
    assert_eq!(access.bearer(&secret).unwrap().label(), "token backup");
    assert_eq!((access.session(&cookie), access.bearer(&local)), (None, None));
    assert_eq!(access.log_in("anna", PASSWORD, HERE).await.unwrap().0.role, Role::Operator);
    let kept = std::fs::read(folder.path().join("ezio.redb")).unwrap();
    for secret in [PASSWORD, secret.reveal()] {
        assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()), "it is kept as it is");
    }
}

#[tokio::test]
async fn what_changes_counts_at_once() {
    let access = Access::open(None, false).unwrap();
    access.add_account("anna", Role::Administrator, PASSWORD).await.unwrap();
    access.add_account("bert", Role::Operator, PASSWORD).await.unwrap();
    let (_, cookie) = access.log_in("bert", PASSWORD, HERE).await.unwrap();
    let role = |cookie| access.session(cookie).map(|caller| caller.role);
    access.set_role("bert", Role::Viewer).await.unwrap();
    assert_eq!(role(&cookie), Some(Role::Viewer));
    access.set_password("bert", "another password").await.unwrap();
    assert_eq!(role(&cookie), None);
    assert!(matches!(access.log_in("bert", PASSWORD, HERE).await, Err(LoginError::Wrong)));
    let (_, cookie) = access.log_in("bert", "another password", HERE).await.unwrap();
    let wrong = access.change_own_password("bert", PASSWORD, "a third password", HERE).await;
    assert!(matches!(wrong, Err(LoginError::Wrong)) && role(&cookie).is_some());
    let new = access.change_own_password("bert", "another password", "a third password", HERE).await.unwrap();
    assert_eq!((role(&cookie), role(&new)), (None, Some(Role::Viewer)));
    access.log_out(&new);
    assert_eq!(role(&new), None);
    let (_, cookie) = access.log_in("bert", "a third password", HERE).await.unwrap();
    access.remove_account("bert").await.unwrap();
    assert_eq!(role(&cookie), None);
    for result in [access.remove_account("anna").await, access.set_role("anna", Role::Viewer).await] {
        assert!(matches!(result, Err(ChangeError::Refused(why)) if why.contains("only administrator")));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let access = Access::open(None, false).unwrap();
    for name in ["", "-rf", "a b", "a/b", "ä", &"x".repeat(65)] {
        assert!(access.add_account(name, Role::Viewer, PASSWORD).await.is_err(), "{name:?}");
        assert!(access.add_token(token(name, Role::Viewer, None)).await.is_err(), "{name:?}");
    }
    access.add_account("anna", Role::Viewer, PASSWORD).await.unwrap();
    assert!(access.add_account("anna", Role::Administrator, PASSWORD).await.is_err());
    assert!(access.add_token(token("past", Role::Viewer, Some(now() - 1.0))).await.is_err());
    assert!(matches!(access.revoke_token("none").await, Err(ChangeError::Unknown(_))));
    assert!(matches!(access.set_role("none", Role::Viewer).await, Err(ChangeError::Unknown(_))));
}

#[tokio::test]
async fn a_token_ends_on_its_day() {
    let access = Access::open(None, false).unwrap();
    let secret = access.add_token(token("short", Role::Operator, Some(now() + 0.2))).await.unwrap();
    assert_eq!(access.tokens()[0].used, None);
    assert_eq!(access.bearer(&secret).unwrap().role, Role::Operator);
    assert!(access.tokens()[0].used.is_some());
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    assert_eq!(access.bearer(&secret), None);
    assert!(access.tokens()[0].expired);
}

#[tokio::test]
async fn who_guesses_has_to_wait_though_the_guess_is_right_then() {
    let access = Access::open(None, false).unwrap();
    access.add_account("anna", Role::Viewer, PASSWORD).await.unwrap();
    for _ in 0..10 {
        assert!(matches!(access.log_in("anna", "wrong", HERE).await, Err(LoginError::Wrong)));
    }
    assert!(matches!(access.log_in("anna", PASSWORD, HERE).await, Err(LoginError::Later(_))));
    assert!(access.log_in("anna", PASSWORD, "10.0.0.1".parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn when_a_token_was_used_outlives_the_process_and_is_written_once_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let used = |access: &Access| access.tokens()[0].used;
    let begin = |access: Access| {
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let access = Arc::new(access);
        (Arc::clone(&access), stop, tokio::spawn(access.keep_used(stopping)))
    };
    let on_disk = |access: &Access| {
        let store = access.store.as_ref().unwrap();
        store.load::<Token>(TOKENS).unwrap()[0].used
    };
    let (access, stop, task) = begin(open(folder.path()));
    let secret = access.add_token(token("backup", Role::Viewer, None)).await.unwrap();
    access.bearer(&secret).unwrap();
    let first = used(&access);
    let written = async {
        while on_disk(&access) != first {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), written).await.unwrap();
    access.bearer(&secret).unwrap();
    access.write_used(3600.0).await.unwrap();
    assert_eq!(on_disk(&access), first, "the hour is not over");
    let last = used(&access);
    assert!(last > first);
    stop.send(true).unwrap();
    task.await.unwrap();
    drop(access);
    let access = open(folder.path());
    assert_eq!(used(&access), last);
    // Whoever revokes it meanwhile is not undone by that.
    access.bearer(&secret).unwrap();
    access.revoke_token("backup").await.unwrap();
    access.write_used(0.0).await.unwrap();
    drop(access);
    assert_eq!(open(folder.path()).tokens(), []);
}
