//! Who is signed in to the console.

use ringback_core::secret::Secret;

use super::Harness;
use super::samples::{account, at};
use crate::{KeyHash, Pass, Scope};

fn hash(of: &str) -> KeyHash {
    KeyHash::of(&Secret::new(of))
}

fn pass(name: &str, from_ms: i64, until_ms: i64) -> Pass {
    Pass {
        hash: hash(name),
        key: hash("the key"),
        scope: Scope::Account(account("acme")),
        created_at: at(from_ms),
        expires_at: at(until_ms),
    }
}

/// It is there until its time is over or it is ended, also after a restart, and comes back with every field.
pub async fn session_is_good_until_it_expires_or_ends(harness: &mut impl Harness) {
    let store = harness.store();
    let (first, second) = (pass("first", 0, 100), pass("second", 0, 200));
    let second = Pass { scope: Scope::Instance, ..second };
    store.create_session(&first).await.expect("written");
    store.create_session(&second).await.expect("written");
    drop(store);
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.session(first.hash, at(99)).await.expect("read"), Some(first.clone()));
    assert_eq!(store.session(first.hash, at(100)).await.expect("read"), None);
    assert_eq!(store.session(second.hash, at(100)).await.expect("read"), Some(second.clone()));
    assert_eq!(store.session(hash("another"), at(0)).await.expect("read"), None);
    assert_eq!(store.console_link(first.hash, at(0)).await.expect("read"), None, "it is no link");
    store.delete_session(second.hash).await.expect("written");
    store.delete_session(second.hash).await.expect("it is gone: no error");
    assert_eq!(store.session(second.hash, at(100)).await.expect("read"), None);
}

/// What nobody can use any more does not stay: whoever looks as if it were earlier does not find it either.
pub async fn expired_sessions_and_links_are_forgotten(harness: &mut impl Harness) {
    let store = harness.store();
    let (short, long) = (pass("short", 0, 100), pass("long", 0, 1_000));
    for pass in [&short, &long] {
        store.create_session(pass).await.expect("written");
        store.create_console_link(pass).await.expect("written");
    }
    let later = pass("later", 100, 300);
    store.create_session(&later).await.expect("written");
    store.create_console_link(&later).await.expect("written");
    assert_eq!(store.session(short.hash, at(0)).await.expect("read"), None);
    assert_eq!(store.console_link(short.hash, at(0)).await.expect("read"), None);
    assert_eq!(store.session(long.hash, at(0)).await.expect("read"), Some(long.clone()));
    assert_eq!(store.console_link(long.hash, at(0)).await.expect("read"), Some(long));
}

/// To look at a link uses nothing up. Of many who redeem it at once one gets it; after its time nobody does.
pub async fn console_link_is_redeemed_once(harness: &mut impl Harness) {
    let store = harness.store();
    let (link, late) = (pass("link", 0, 100), pass("late", 0, 100));
    store.create_console_link(&link).await.expect("written");
    store.create_console_link(&late).await.expect("written");
    for _ in 0..2 {
        let seen = store.console_link(link.hash, at(1)).await.expect("read");
        assert_eq!(seen, Some(link.clone()));
    }
    let all = (0..8).map(|_| store.redeem_console_link(link.hash, at(1)));
    let all = futures_util::future::join_all(all).await;
    let got: Vec<_> = all.into_iter().filter_map(|redeemed| redeemed.expect("written")).collect();
    assert_eq!(got, std::slice::from_ref(&link));
    assert_eq!(store.console_link(link.hash, at(1)).await.expect("read"), None);
    assert_eq!(store.redeem_console_link(late.hash, at(100)).await.expect("written"), None);
}
