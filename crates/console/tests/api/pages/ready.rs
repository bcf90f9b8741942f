//! What pages have in memory of all callbacks: it is true, whoever read it and when.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_core::{Callback, Timestamp};
use ringback_runtime::{Clock as _, Shutdown, TaskGroup};
use ringback_store::{Backlog, HistoryRecord, Store as _};
use serde_json::json;

use super::harness::{FAILS, Visitor, WORKS, between, of_account, traffic_is_written, tried};
use crate::harness::Api;

const HOUR: Duration = Duration::from_secs(60 * 60);
/// For what takes no time.
const SOON: Duration = Duration::from_secs(20);

async fn callback(api: &Api) -> Callback {
    let made = api.made(json!({ "url": "https://example.com/", "account": "acme" })).await;
    api.stored(&made).await
}

/// Records that a delivery came to its end at this moment, with one attempt.
async fn attempt(api: &Api, to: &Callback, at: Timestamp, succeeded: bool) {
    let (state, outcome) = match succeeded {
        true => (DeliveryState::Delivered, WORKS),
        false => (DeliveryState::Exhausted, FAILS),
    };
    let [event, mut record] = tried(&of_account("acme", "COMMENT_CREATED"), to, state, outcome);
    if let HistoryRecord::Delivery { delivery, .. } = &mut record {
        Arc::make_mut(delivery).updated_at = at;
    }
    api.store.record(vec![event, record]).await.expect("recorded");
}

/// What the list of callbacks says of the last day of the only one.
fn last_day(page: &str) -> String {
    between(page, "Attempts, last 24 hours: ", "\"").to_owned()
}

#[tokio::test]
async fn last_day_is_added_to_and_forgotten_hour_by_hour() {
    let api = Api::start().await;
    let callback = callback(&api).await;
    let mut visitor = Visitor::administrator(&api).await;
    for hour in 1..=30 {
        attempt(&api, &callback, api.clock.now(), hour % 10 != 0).await;
        traffic_is_written(&api, hour).await;
        let page = visitor.sees("/console/callbacks").await;
        // The last step is the hour that it is now: 24 of them.
        let (first, failed) = (hour.saturating_sub(24), hour / 10);
        let failed = failed - first / 10;
        let succeeded = hour - first - failed;
        assert_eq!(last_day(&page), format!("{succeeded} succeeded, {failed} failed"), "{hour}");
        api.clock.advance(HOUR);
        if hour % 5 == 0 {
            visitor = Visitor::administrator(&api).await;
        }
    }
    // One that nobody looked at for long.
    api.clock.advance(HOUR * 18);
    let page = Visitor::administrator(&api).await.sees("/console/callbacks").await;
    assert_eq!(last_day(&page), "4 succeeded, 1 failed");
}

#[tokio::test]
async fn sums_that_were_written_late_are_found_without_a_restart() {
    let api = Api::start().await;
    let callback = callback(&api).await;
    let visitor = Visitor::administrator(&api).await;
    attempt(&api, &callback, api.clock.now(), true).await;
    traffic_is_written(&api, 1).await;
    let (shutdown, tasks) = (Shutdown::new(), TaskGroup::new());
    let reading = api.console.clone().keep_pages_ready(shutdown.clone());
    tasks.start(async move { reading.await.expect("never fails") });
    let again_at = api.clock.wait_for_sleeper(SOON).await;
    assert_eq!(last_day(&visitor.sees("/console/callbacks").await), "1 succeeded, 0 failed");

    attempt(&api, &callback, api.clock.now() - HOUR * 5, false).await;
    traffic_is_written(&api, 2).await;
    api.clock.advance(Duration::from_secs(10));
    assert_eq!(last_day(&visitor.sees("/console/callbacks").await), "1 succeeded, 0 failed");
    api.clock.advance_to(again_at);
    api.clock.wait_for_sleeper(SOON).await;
    assert_eq!(last_day(&visitor.sees("/console/callbacks").await), "1 succeeded, 1 failed");
    shutdown.request();
    tasks.drained().await;
}

#[tokio::test]
async fn what_is_late_is_shown_as_it_was_told() {
    let api = Api::start().await;
    callback(&api).await;
    let visitor = Visitor::administrator(&api).await;
    let (now, overdue) = (api.clock.now(), vec![(WaitReason::Retry, 3)]);
    let backlog = Backlog { oldest_due: Some(now - HOUR), overdue };
    api.console.backlog_was(now, backlog.clone());
    api.clock.advance(Duration::from_secs(9));
    let page = visitor.sees("/console").await;
    assert!(page.contains("due for 60 min") || page.contains("due for 1 h"), "{page}");
    assert!(page.contains("retry ahead: <strong>3</strong>"), "{page}");
    // Nobody tells any more: the page asks, and there is nothing.
    api.clock.advance(Duration::from_secs(1));
    assert!(!visitor.sees("/console").await.contains("Deliveries are late"));
}
