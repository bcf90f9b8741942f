//! Events that are to be delivered later.

use std::time::Duration;

use ringback_core::Timestamp;
use ringback_runtime::{Clock as _, SystemClock};
use ringback_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use crate::support::{Ringback, SOON, callback, event, text, with};

fn waits(delivery: &Value) -> bool {
    delivery["status"] == "pending" && delivery["waits_for"] == "scheduled"
}

/// An event that is to be delivered so long from now, and when that is.
pub(crate) fn in_future(ahead: Duration) -> (Value, Timestamp) {
    let at = SystemClock.now() + ahead;
    (with(event("COMMENT_CREATED"), json!({"deliver_at": at.to_string()})), at)
}

#[tokio::test]
async fn scheduled_event_waits_and_keeps_its_time_through_a_kill() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/hook", Behaviour::status(204));
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let (event, at) = in_future(Duration::from_secs(4));
    let id = ringback.api.send(&event).await;
    let waiting = ringback.api.delivery_when(&id, waits).await;
    assert_eq!(waiting["next_attempt_at"], at.to_string(), "{waiting}");
    let shown = ringback.api.get(&format!("/v1/events/{id}")).await.expect(200);
    assert_eq!(shown["deliver_at"], at.to_string());
    assert_eq!(ringback.api.list("/v1/events").await[0]["deliver_at"], at.to_string());

    ringback.process.kill9().await.expect("it runs");
    ringback.restart().await;
    let delivery = ringback.api.settled_delivery(&id).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    assert!(SystemClock.now() >= at);
    let started: Timestamp = text(&delivery["attempts"][0]["started_at"]).parse().expect("a time");
    assert!(started >= at, "{delivery}");
    assert_eq!(receiver.total(), 1);
}

#[tokio::test]
async fn retry_by_hand_goes_at_once_and_the_time_finds_it_delivered() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let (event, at) = in_future(Duration::from_secs(366 * 24 * 60 * 60 - 60));
    let id = ringback.api.send(&event).await;
    let waiting = ringback.api.delivery_when(&id, waits).await;
    assert_eq!(waiting["next_attempt_at"], at.to_string());
    let delivery = text(&waiting["id"]);
    let retry = format!("/v1/deliveries/{delivery}/retry");
    ringback.api.post(&retry, &json!({})).await.expect(202);
    receiver.wait_for_ended(1, SOON).await;
    let delivery = ringback.api.settled_delivery(&id).await;
    assert_eq!((&delivery["status"], &delivery["attempts_made"]), (&json!("delivered"), &json!(1)));
}

#[tokio::test]
async fn time_that_is_past_is_now_and_one_too_far_away_is_refused() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let past = with(event("COMMENT_CREATED"), json!({"deliver_at": "2020-01-01T00:00:00Z"}));
    let id = ringback.api.send(&past).await;
    assert_eq!(ringback.api.settled_delivery(&id).await["status"], "delivered");
    let shown = ringback.api.get(&format!("/v1/events/{id}")).await.expect(200);
    assert_eq!(shown["deliver_at"], Value::Null);

    let (far, _) = in_future(Duration::from_secs(367 * 24 * 60 * 60));
    let problem = ringback.api.post("/v1/events", &far).await.expect_problem(422);
    assert_eq!(problem["errors"][0]["pointer"], "/deliver_at");
    assert!(text(&problem["errors"][0]["detail"]).contains("366 days"), "{problem}");
}
