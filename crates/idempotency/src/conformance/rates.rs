//! Rates of callbacks.

use std::num::NonZeroU32;
use std::time::Duration;

use ringback_core::rate::{Admission, Asking, RateLimit};
use ringback_core::{CallbackId, Timestamp};

use super::Harness;
use crate::Idempotency;

/// Between two requests of the rate in these tests, one a second: a busy machine does not spend it between two calls.
const INTERVAL: Duration = Duration::from_secs(1);

/// As many as the burst go at once, then none until the time is over that the first refused one is told.
pub(super) async fn burst_goes_at_once_and_the_next_after_its_wait(harness: impl Harness) {
    let store = harness.store();
    for number in 1..=3 {
        assert_eq!(admit(&*store, 1, 3).await, Admission::Now, "{number} of 3");
    }
    let wait = refused(&*store, 1, 3).await;
    assert!(wait > Duration::ZERO && wait <= INTERVAL, "{wait:?}");
    harness.advance(wait).await;
    assert_eq!(admit(&*store, 1, 3).await, Admission::Now);
    refused(&*store, 1, 3).await;
}

/// What one callback sends is nothing to another.
pub(super) async fn callbacks_do_not_share_a_rate(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(admit(&*store, 1, 1).await, Admission::Now);
    refused(&*store, 1, 1).await;
    assert_eq!(admit(&*store, 2, 1).await, Admission::Now);
}

/// Each that is sent away is told a time of its own, one interval after the one before.
pub(super) async fn those_sent_away_come_back_one_after_the_other(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(admit(&*store, 1, 1).await, Admission::Now);
    let mut before = refused(&*store, 1, 1).await;
    for _ in 0..4 {
        let wait = refused(&*store, 1, 1).await;
        let apart = wait.saturating_sub(before);
        // The store's time goes on between two calls.
        assert!(apart > INTERVAL / 2 && apart <= INTERVAL, "{wait:?} after {before:?}");
        before = wait;
    }
}

/// After a quiet time the whole burst may go, and no more than that.
pub(super) async fn quiet_callback_has_its_whole_burst_again(harness: impl Harness) {
    let store = harness.store();
    for _ in 0..2 {
        assert_eq!(admit(&*store, 1, 2).await, Admission::Now);
    }
    refused(&*store, 1, 2).await;
    harness.advance(INTERVAL * 2).await;
    for _ in 0..2 {
        assert_eq!(admit(&*store, 1, 2).await, Admission::Now);
    }
    refused(&*store, 1, 2).await;
}

/// Who comes back gets the next moment, if it is near, and keeps it; a newcomer waits until nobody is left that was sent
/// away.
pub(super) async fn who_comes_back_goes_before_who_comes_first(harness: impl Harness) {
    const LEFT: Duration = Duration::from_millis(200);
    let store = harness.store();
    assert_eq!(admit(&*store, 1, 1).await, Admission::Now);
    let wait = refused(&*store, 1, 1).await;
    refused(&*store, 1, 1).await;
    harness.advance(wait.saturating_sub(LEFT)).await;
    let wait = refused(&*store, 1, 1).await;
    assert!(wait > INTERVAL, "behind those before it: {wait:?}");
    let again = || ask(&*store, 1, 1, Asking::Again);
    // The store's time goes on between two calls.
    match again().await {
        Admission::Now => {}
        Admission::Soon(wait) => assert!(wait <= LEFT, "{wait:?}"),
        Admission::Wait(wait) => unreachable!("it is its turn, and not in {wait:?}"),
    }
    match again().await {
        Admission::Wait(wait) => {
            assert!(wait > INTERVAL / 2 && wait <= INTERVAL + LEFT, "{wait:?}")
        }
        admission => unreachable!("that moment is taken: {admission:?}"),
    }
}

async fn admit(store: &dyn Idempotency, callback: u8, burst: u32) -> Admission {
    ask(store, callback, burst, Asking::First).await
}

async fn ask(store: &dyn Idempotency, callback: u8, burst: u32, asking: Asking) -> Admission {
    let callback = CallbackId::from_parts(Timestamp::EPOCH, [callback; 10]);
    let number = |n| NonZeroU32::new(n).expect("not zero");
    let limit = RateLimit { per_second: number(1), burst: number(burst) };
    store.admit(callback, limit, asking).await.expect("asked")
}

async fn refused(store: &dyn Idempotency, callback: u8, burst: u32) -> Duration {
    match admit(store, callback, burst).await {
        Admission::Wait(wait) => wait,
        admission => unreachable!("the rate is used up: {admission:?}"),
    }
}
