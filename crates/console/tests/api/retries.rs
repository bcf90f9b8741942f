//! Retries by hand.

use std::sync::Arc;

use ringback_core::delivery::{CancelReason, DeliveryState, WaitReason};
use ringback_core::{Targets, Timestamp};
use ringback_store::{HistoryRecord, Store as _};
use ringback_testkit::builders;
use serde_json::json;

use crate::harness::{self, Api};

const PENDING: DeliveryState = DeliveryState::Pending {
    next_attempt_at: Timestamp::from_ms(2_000_000_000_000),
    waits: Some(WaitReason::Retry),
};

#[tokio::test]
async fn retry_sends_the_next_attempt_to_this_callback_alone() {
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    for state in [PENDING, DeliveryState::Exhausted, cancelled] {
        let api = Api::start().await;
        let callback = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
        let event = builders::event("A");
        let id = api.delivery(&event, &callback, state).await;
        let answer = api.call("POST", &format!("/v1/deliveries/{id}/retry"), None).await;
        assert_eq!(answer.status, 202, "{}", answer.json);
        assert_eq!(
            answer.json,
            json!({ "delivery": id.to_string(), "attempt": 2, "status": "accepted" })
        );
        let dispatch = api.dispatched().await;
        let Targets::These(targets) = &dispatch.targets else { panic!("it has a target") };
        assert_eq!(targets.len(), 1);
        assert_eq!(targets[0].delivery(&dispatch.event), id);
        assert_eq!(targets[0].position.attempt.get(), 2);
        assert_eq!(targets[0].position.series_start.get(), 2, "a series of its own");
        assert_eq!(dispatch.event.variables, event.variables);
    }
}

#[tokio::test]
async fn delivery_without_attempts_goes_on_with_the_right_number() {
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    for (state, number) in [(PENDING, 1), (cancelled, 2)] {
        let api = Api::start().await;
        let callback = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
        let event = builders::event("A");
        let delivery = harness::delivery(&event, &callback, state, 0);
        let id = delivery.id;
        let delivery =
            HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt: None, first: false };
        api.store
            .record(vec![HistoryRecord::Event(event.into()), delivery])
            .await
            .expect("recorded");
        let answer = api.call("POST", &format!("/v1/deliveries/{id}/retry"), None).await;
        assert_eq!(answer.json["attempt"], number, "{}", answer.json);
    }
}

#[tokio::test]
async fn what_can_not_be_retried_is_409_and_says_why() {
    let api = Api::start().await;
    let callback = async || api.made(json!({ "url": "https://example.com/" })).await;
    let retry = async |id| {
        let answer = api.call("POST", &format!("/v1/deliveries/{id}/retry"), None).await;
        (answer.status, answer.json["detail"].as_str().unwrap_or_default().to_owned())
    };
    let event = builders::event("A");

    let made = callback().await;
    let delivered = api.delivery(&event, &api.stored(&made).await, DeliveryState::Delivered).await;
    assert_eq!(retry(delivered).await, (409, "it is delivered already".to_owned()));

    let made = callback().await;
    let path = format!("/v1/callbacks/{}", made["id"].as_str().expect("an id"));
    let exhausted = api.delivery(&event, &api.stored(&made).await, DeliveryState::Exhausted).await;
    api.call("PATCH", &path, Some(json!({ "enabled": false }))).await;
    assert_eq!(
        retry(exhausted).await,
        (409, "its callback is disabled: enable it first".to_owned())
    );
    api.call("DELETE", &path, None).await;
    assert_eq!(retry(exhausted).await, (409, "its callback was deleted".to_owned()));

    let made = callback().await;
    let forgotten = builders::event("B");
    let delivery =
        harness::delivery(&forgotten, &api.stored(&made).await, DeliveryState::Exhausted, 1);
    let id = delivery.id;
    let record =
        HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt: None, first: false };
    api.store.record(vec![record]).await.expect("recorded");
    assert_eq!(retry(id).await, (409, "its event is no longer in the history".to_owned()));

    assert_eq!(retry(ringback_core::DeliveryId::from_uuid(event.id.uuid())).await.0, 404);
}
