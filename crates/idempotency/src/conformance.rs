//! What the port promises, a sentence a function. Every adapter runs [`run`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringback_core::retry::AttemptNumber;
use ringback_core::{Account, DeliveryId, EventId, Timestamp};

use crate::{AttemptKey, Begun, Claim, Fence, Idempotency, RequestKey};

/// A store under test, empty when it is made.
#[async_trait]
pub trait Harness: Send {
    /// The store.
    fn store(&self) -> Arc<dyn Idempotency>;

    /// Makes what was said so far durable, then has the process that works with the store die and a new one begin.
    /// The old [`store`](Self::store) is of no use any more.
    async fn restart(&mut self);

    /// Moves the store's clock on, or waits if it is that of the system.
    async fn advance(&self, by: Duration);
}

/// A lease in these tests: short, for stores whose clock can't be moved.
const LEASE: Duration = Duration::from_millis(400);
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the whole suite, each sentence on a store of its own.
///
/// # Panics
/// If the adapter breaks a promise.
pub async fn run<H, F>(make: impl Fn() -> F)
where
    H: Harness,
    F: Future<Output = H>,
{
    one_of_two_gets_the_claim(make().await).await;
    claim_is_free_again_after_its_lease(make().await).await;
    settled_attempt_is_said_to_be(make().await).await;
    forgotten_attempt_is_free_again(make().await).await;
    late_comer_does_not_touch_the_next_ones_claim(make().await).await;
    first_request_is_new_and_a_repeat_in_progress(make().await).await;
    repeat_of_a_completed_request_gets_its_answer(make().await).await;
    repeat_with_other_contents_is_a_conflict(make().await).await;
    repeat_of_an_abandoned_request_is_new(make().await).await;
    repeat_of_a_request_left_open_is_unfinished(make().await).await;
    request_cut_off_by_a_crash_is_unfinished(make().await).await;
    one_of_many_at_once_is_new(make().await).await;
    keys_are_told_apart_by_kind_and_account(make().await).await;
    key_is_forgotten_after_its_time(make().await).await;
}

/// Of two claims of one attempt one is granted, the other told how long that holds; other attempts are free.
async fn one_of_two_gets_the_claim(harness: impl Harness) {
    let store = harness.store();
    store.ready().await.expect("the store is up");
    let granted = store.claim(&[attempt(1, 1)], LEASE).await.expect("claimed");
    assert!(matches!(granted[..], [Claim::Granted(_)]), "{granted:?}");
    let asked = [attempt(2, 1), attempt(1, 1), attempt(1, 2)];
    let answers = store.claim(&asked, LEASE).await.expect("claimed");
    let [Claim::Granted(_), Claim::Held { left }, Claim::Granted(_)] = answers[..] else {
        unreachable!("one answer for each, in order: {answers:?}")
    };
    assert!(left > Duration::ZERO && left <= LEASE, "{left:?}");
    assert!(store.claim(&[], LEASE).await.expect("claimed").is_empty());
}

/// After its lease anybody may claim it, with a higher fence.
async fn claim_is_free_again_after_its_lease(harness: impl Harness) {
    let store = harness.store();
    let first = granted(&*store, attempt(1, 1)).await;
    harness.advance(LEASE).await;
    let second = granted(&*store, attempt(1, 1)).await;
    assert!(second > first, "{second:?} after {first:?}");
}

/// Who claims a settled attempt is told so, however long the lease is over.
async fn settled_attempt_is_said_to_be(harness: impl Harness) {
    let store = harness.store();
    let fence = granted(&*store, attempt(1, 1)).await;
    store.settle(&[(attempt(1, 1), fence)]).await.expect("settled");
    harness.advance(LEASE * 2).await;
    let answers = store.claim(&[attempt(1, 1), attempt(1, 2)], LEASE).await.expect("claimed");
    assert!(matches!(answers[..], [Claim::Settled, Claim::Granted(_)]), "{answers:?}");
}

/// What was forgotten, held or settled, can be claimed.
async fn forgotten_attempt_is_free_again(harness: impl Harness) {
    let store = harness.store();
    let held = granted(&*store, attempt(1, 1)).await;
    let settled = granted(&*store, attempt(2, 1)).await;
    store.settle(&[(attempt(2, 1), settled)]).await.expect("settled");
    let both = [(attempt(1, 1), held), (attempt(2, 1), settled)];
    store.forget(&both).await.expect("forgotten");
    granted(&*store, attempt(1, 1)).await;
    granted(&*store, attempt(2, 1)).await;
}

/// Who comes after its lease was given to another neither settles nor forgets that one's claim.
async fn late_comer_does_not_touch_the_next_ones_claim(harness: impl Harness) {
    let store = harness.store();
    let late = granted(&*store, attempt(1, 1)).await;
    harness.advance(LEASE).await;
    let current = granted(&*store, attempt(1, 1)).await;
    store.settle(&[(attempt(1, 1), late)]).await.expect("taken");
    store.forget(&[(attempt(1, 1), late)]).await.expect("taken");
    let answers = store.claim(&[attempt(1, 1)], LEASE).await.expect("claimed");
    assert!(matches!(answers[..], [Claim::Held { .. }]), "{answers:?}");
    store.settle(&[(attempt(1, 1), current)]).await.expect("settled");
    let answers = store.claim(&[attempt(1, 1)], LEASE).await.expect("claimed");
    assert_eq!(answers, [Claim::Settled]);
}

/// The first request is new; while it is worked on a repeat is told so.
async fn first_request_is_new_and_a_repeat_in_progress(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(begin(&*store, &header("a"), "x").await, Begun::New);
    assert_eq!(begin(&*store, &header("a"), "x").await, Begun::InProgress);
    assert_eq!(begin(&*store, &header("b"), "x").await, Begun::New);
}

/// A completed request's answer is given to repeats, before and after a restart, to the letter.
async fn repeat_of_a_completed_request_gets_its_answer(mut harness: impl Harness) {
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
async fn repeat_with_other_contents_is_a_conflict(mut harness: impl Harness) {
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
async fn repeat_of_an_abandoned_request_is_new(mut harness: impl Harness) {
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
async fn repeat_of_a_request_left_open_is_unfinished(mut harness: impl Harness) {
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
async fn request_cut_off_by_a_crash_is_unfinished(mut harness: impl Harness) {
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
async fn one_of_many_at_once_is_new(harness: impl Harness) {
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
async fn keys_are_told_apart_by_kind_and_account(harness: impl Harness) {
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
async fn key_is_forgotten_after_its_time(mut harness: impl Harness) {
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

async fn granted(store: &dyn Idempotency, key: AttemptKey) -> Fence {
    let answers = store.claim(&[key], LEASE).await.expect("claimed");
    match answers[..] {
        [Claim::Granted(fence)] => fence,
        _ => unreachable!("it is free: {answers:?}"),
    }
}

async fn begin(store: &dyn Idempotency, key: &RequestKey, fingerprint: &str) -> Begun {
    store.begin(key, fingerprint, KEEP, "mark").await.expect("begun")
}

fn attempt(delivery: u8, attempt: u32) -> AttemptKey {
    AttemptKey {
        delivery: DeliveryId::from_parts(Timestamp::EPOCH, [delivery; 10]),
        attempt: AttemptNumber::new(attempt).expect("from 1"),
    }
}

fn unfinished() -> Begun {
    Begun::Unfinished { mark: "mark".to_owned() }
}

fn header(key: &str) -> RequestKey {
    RequestKey::Header { account: None, key: key.to_owned() }
}
