//! What is due later.

use std::collections::BTreeMap;

use super::*;
use crate::rabbitmq::message::Outgoing;
use ringback_core::dispatch;

#[tokio::test]
async fn delays_of_all_lengths_are_never_early_and_hardly_late() {
    let running = Running::start(fresh_settings()).await;
    let mut consumer = running.consumer().await;
    let begin = SystemClock.now();
    let mut due = BTreeMap::new();
    // The longest first: none may stand before another that is due sooner.
    for (number, seconds) in (0..60).zip([13, 5, 1].into_iter().cycle()) {
        due.insert(number, begin + Duration::from_secs(seconds));
    }
    let mut longest_first: Vec<_> = due.clone().into_iter().collect();
    longest_first.sort_by_key(|(_, due)| std::cmp::Reverse(*due));
    let all = longest_first.into_iter().map(|one| publish_after(&running, [one]));
    futures_util::future::join_all(all).await;

    while !due.is_empty() {
        let message = next(&mut *consumer).await;
        let now = SystemClock.now();
        for number in numbers(&message) {
            let due = due.remove(&number).expect("it comes once");
            assert!(now >= due, "{number} is {:?} early", due.since(now));
            assert!(now.since(due) < Duration::from_secs(1), "{number}: {:?}", now.since(due));
        }
        running.broker.ack(message.receipt);
    }
}

#[tokio::test]
async fn ten_thousand_retries_due_together_come_back_together() {
    const COUNT: u32 = 10_000;
    let running = Running::start(fresh_settings()).await;
    let due = SystemClock.now() + Duration::from_secs(8);
    // From many callers, each with a few.
    for thousand in 0..COUNT / 1_000 {
        let calls = (0..100).map(|call| {
            let first = thousand * 1_000 + call * 10;
            publish_after(&running, (first..first + 10).map(|number| (number, due)))
        });
        futures_util::future::join_all(calls).await;
    }
    assert!(SystemClock.now() < due, "publishing is quicker than that");
    let waiting = running.broker.depth().await.expect("asked").delayed;
    assert!(waiting < u64::from(COUNT) / 32, "{waiting} messages: they share bundles");

    let mut consumer = running.consumer().await;
    let mut missing: BTreeSet<u32> = (0..COUNT).collect();
    while !missing.is_empty() {
        let message = next(&mut *consumer).await;
        assert!(SystemClock.now() >= due);
        for number in numbers(&message) {
            assert!(missing.remove(&number), "{number} came twice");
        }
        running.broker.ack(message.receipt);
    }
    let late = SystemClock.now().since(due);
    assert!(late < Duration::from_secs(3), "{late:?}");
}

#[tokio::test]
async fn what_the_ladder_hands_out_too_early_goes_in_again() {
    let running = Running::start(fresh_settings()).await;
    let mut consumer = running.consumer().await;
    // As what is due in a year comes out after eleven days.
    let due = SystemClock.now() + Duration::from_millis(1_300);
    let shared = &running.broker.shared;
    let texts = [1, 2].map(|number| dispatch::encode(&dispatch_of(number)));
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let message = Outgoing::returned(&shared.names, "x", &texts).due(due);
    shared.publisher.publish_ready(message).await.expect("published");

    let message = next(&mut *consumer).await;
    assert!(SystemClock.now() >= due);
    assert_eq!(numbers(&message), [1, 2]);
    running.broker.ack(message.receipt);
    depth_becomes(&running, |depth| depth == Depth::default()).await;
}

#[tokio::test]
async fn what_is_due_in_a_year_waits() {
    let running = Running::start(fresh_settings()).await;
    let year = SystemClock.now() + Duration::from_secs(365 * 24 * 60 * 60);
    publish_after(&running, [(1, year), (2, Timestamp::from_ms(i64::MAX))]).await;
    // Their due times differ, and each stands on its own message.
    depth_becomes(&running, |depth| depth.delayed == 2).await;
}
