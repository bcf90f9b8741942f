//! Claims on attempts.

use std::time::Duration;

use ringback_core::retry::AttemptNumber;
use ringback_core::{DeliveryId, Timestamp};

use super::Harness;
use crate::{AttemptKey, Claim, Fence, Idempotency};

/// A lease in these tests: short, for stores whose clock can't be moved.
const LEASE: Duration = Duration::from_millis(400);

/// Of two claims of one attempt one is granted, the other told how long that holds; other attempts are free.
pub(super) async fn one_of_two_gets_the_claim(harness: impl Harness) {
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
pub(super) async fn claim_is_free_again_after_its_lease(harness: impl Harness) {
    let store = harness.store();
    let first = granted(&*store, attempt(1, 1)).await;
    harness.advance(LEASE).await;
    let second = granted(&*store, attempt(1, 1)).await;
    assert!(second > first, "{second:?} after {first:?}");
}

/// Who claims a settled attempt is told so, however long the lease is over.
pub(super) async fn settled_attempt_is_said_to_be(harness: impl Harness) {
    let store = harness.store();
    let fence = granted(&*store, attempt(1, 1)).await;
    store.settle(&[(attempt(1, 1), fence)]).await.expect("settled");
    harness.advance(LEASE * 2).await;
    let answers = store.claim(&[attempt(1, 1), attempt(1, 2)], LEASE).await.expect("claimed");
    assert!(matches!(answers[..], [Claim::Settled, Claim::Granted(_)]), "{answers:?}");
}

/// What was forgotten, held or settled, can be claimed.
pub(super) async fn forgotten_attempt_is_free_again(harness: impl Harness) {
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
pub(super) async fn late_comer_does_not_touch_the_next_ones_claim(harness: impl Harness) {
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

async fn granted(store: &dyn Idempotency, key: AttemptKey) -> Fence {
    let answers = store.claim(&[key], LEASE).await.expect("claimed");
    match answers[..] {
        [Claim::Granted(fence)] => fence,
        _ => unreachable!("it is free: {answers:?}"),
    }
}

fn attempt(delivery: u8, attempt: u32) -> AttemptKey {
    AttemptKey {
        delivery: DeliveryId::from_parts(Timestamp::EPOCH, [delivery; 10]),
        attempt: AttemptNumber::new(attempt).expect("from 1"),
    }
}
