//! Requests that may come twice.

use std::time::Duration;

use ringback_core::{Account, EventId, Timestamp};

use super::Harness;
use crate::{Begun, Idempotency, RequestKey};

const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// The first request is new; while it is worked on a repeat is told so.
pub(super) async fn first_request_is_new_and_a_repeat_in_progress(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(begin(&*store, &header("a"), "x").await, Begun::New);
    assert_eq!(begin(&*store, &header("a"), "x").await, Begun::InProgress);
    assert_eq!(begin(&*store, &header("b"), "x").await, Begun::New);
}

/// A completed request's answer is given to repeats, before and after a restart, to the letter.
pub(super) async fn repeat_of_a_completed_request_gets_its_answer(mut harness: impl Harness) {
    let answer = "{\"a\":\"é\\u0000 '\"}";
    let done = Begun::Done { answer: answer.to_owned() };
    let store = harness.store();
    assert_eq!(begin(&*store, &header("a"), "x").await, Begun::New);
    store.complete(&header("a"), answer).await.expect("completed");
    assert_eq!(begin(&*store, &header("a"), "x").await, done);
    drop(store);
    harness.restart().await;
    assert_eq!(begin(&*harness.store(), &header("a"), "x").await, done);
}

/// The same key with another fingerprint is a conflict, wherever the first one stands.
pub(super) async fn repeat_with_other_contents_is_a_conflict(mut harness: impl Harness) {
    let store = harness.store();
    for key in ["done", "progress"] {
        assert_eq!(begin(&*store, &header(key), "x").await, Begun::New);
    }
    store.complete(&header("done"), "answer").await.expect("completed");
    for key in ["done", "progress"] {
        assert_eq!(begin(&*store, &header(key), "y").await, Begun::Conflict, "{key}");
    }
    drop(store);
    harness.restart().await;
    let store = harness.store();
    for key in ["done", "progress"] {
        assert_eq!(begin(&*store, &header(key), "y").await, Begun::Conflict, "{key}");
    }
    assert_eq!(begin(&*store, &header("progress"), "x").await, unfinished());
}

/// An abandoned request never was, before and after a restart; its key may come with other contents.
pub(super) async fn repeat_of_an_abandoned_request_is_new(mut harness: impl Harness) {
    let store = harness.store();
    for key in ["a", "b"] {
        assert_eq!(begin(&*store, &header(key), "x").await, Begun::New);
        store.abandon(&header(key)).await.expect("abandoned");
    }
    assert_eq!(begin(&*store, &header("a"), "y").await, Begun::New);
    store.complete(&header("a"), "second").await.expect("completed");
    drop(store);
    harness.restart().await;
    let store = harness.store();
    let done = Begun::Done { answer: "second".to_owned() };
    assert_eq!(begin(&*store, &header("a"), "y").await, done);
    assert_eq!(begin(&*store, &header("b"), "z").await, Begun::New);
}

/// A request that was left open is unfinished to a repeat, which may then end it.
pub(super) async fn repeat_of_a_request_left_open_is_unfinished(mut harness: impl Harness) {
    let store = harness.store();
    for key in ["a", "b"] {
        assert_eq!(begin(&*store, &header(key), "x").await, Begun::New);
        store.leave_open(&header(key)).await.expect("left");
    }
    assert_eq!(begin(&*store, &header("a"), "y").await, Begun::Conflict);
    assert_eq!(begin(&*store, &header("a"), "x").await, unfinished());
    assert_eq!(begin(&*store, &header("a"), "x").await, Begun::InProgress);
    store.complete(&header("a"), "answer").await.expect("completed");
    drop(store);
    harness.restart().await;
    let store = harness.store();
    let done = Begun::Done { answer: "answer".to_owned() };
    assert_eq!(begin(&*store, &header("a"), "x").await, done);
    assert_eq!(begin(&*store, &header("b"), "x").await, unfinished());
}

/// A request that its process did not live to end is unfinished to a repeat.
pub(super) async fn request_cut_off_by_a_crash_is_unfinished(mut harness: impl Harness) {
    assert_eq!(begin(&*harness.store(), &header("a"), "x").await, Begun::New);
    harness.restart().await;
    let store = harness.store();
    assert_eq!(begin(&*store, &header("a"), "x").await, unfinished());
    assert_eq!(begin(&*store, &header("a"), "x").await, Begun::InProgress);
    store.complete(&header("a"), "answer").await.expect("completed");
    let done = Begun::Done { answer: "answer".to_owned() };
    assert_eq!(begin(&*store, &header("a"), "x").await, done);
}

/// Of many that begin at once one is the first.
pub(super) async fn one_of_many_at_once_is_new(harness: impl Harness) {
    let store = harness.store();
    let key = header("a");
    let (one, two, three, four) = tokio::join!(
        begin(&*store, &key, "x"),
        begin(&*store, &key, "x"),
        begin(&*store, &key, "x"),
        begin(&*store, &key, "x")
    );
    let all = [one, two, three, four];
    let new = all.iter().filter(|begun| **begun == Begun::New).count();
    assert_eq!(new, 1, "{all:?}");
    assert!(all.iter().all(|begun| matches!(begun, Begun::New | Begun::InProgress)), "{all:?}");
}

/// Keys of two accounts, of the instance, and event ids have nothing to do with each other.
pub(super) async fn keys_are_told_apart_by_kind_and_account(harness: impl Harness) {
    let store = harness.store();
    let account = |name: &str| name.parse::<Account>().expect("a valid account");
    let id = EventId::from_parts(Timestamp::EPOCH, [1; 10]);
    let header = |account, key: &str| RequestKey::Header { account, key: key.to_owned() };
    let keys = [
        header(Some(account("acme")), "a"),
        header(Some(account("other")), "a"),
        header(None, "a"),
        header(None, "acme:a"),
        header(Some(account("acme")), &id.to_string()),
        RequestKey::Event { account: account("acme"), id },
        RequestKey::Event { account: account("other"), id },
        header(None, "it's \"odd\" \u{1F4E3} %_"),
    ];
    for key in &keys {
        assert_eq!(begin(&*store, key, "x").await, Begun::New, "{key:?}");
    }
    for key in &keys {
        assert_eq!(begin(&*store, key, "x").await, Begun::InProgress, "{key:?}");
    }
}

/// A key is remembered for as long as was asked.
pub(super) async fn key_is_forgotten_after_its_time(mut harness: impl Harness) {
    let keep = Duration::from_millis(1_000);
    let store = harness.store();
    let begun = store.begin(&header("short"), "x", keep, "mark").await.expect("begun");
    assert_eq!(begun, Begun::New);
    assert_eq!(begin(&*store, &header("long"), "x").await, Begun::New);
    for key in ["short", "long"] {
        store.complete(&header(key), "answer").await.expect("completed");
    }
    drop(store);
    harness.restart().await;
    harness.advance(keep).await;
    let store = harness.store();
    assert_eq!(begin(&*store, &header("short"), "y").await, Begun::New);
    let done = Begun::Done { answer: "answer".to_owned() };
    assert_eq!(begin(&*store, &header("long"), "x").await, done);
}

async fn begin(store: &dyn Idempotency, key: &RequestKey, fingerprint: &str) -> Begun {
    store.begin(key, fingerprint, KEEP, "mark").await.expect("begun")
}

fn unfinished() -> Begun {
    Begun::Unfinished { mark: "mark".to_owned() }
}

fn header(key: &str) -> RequestKey {
    RequestKey::Header { account: None, key: key.to_owned() }
}
