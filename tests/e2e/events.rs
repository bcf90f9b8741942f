//! What producers may rely on.

use reqwest::Method;
use ringback_testkit::Receiver;
use ringback_testkit::builders::event_id;
use serde_json::json;

use crate::support::{Ringback, SOON, callback, event, text, with};

#[tokio::test]
async fn array_is_answered_in_order_and_bad_events_take_nobody_along() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let id = event_id().to_string();
    let events = json!([
        with(event("FIRST"), json!({"id": id})),
        with(event("BAD NAME"), json!({})),
        event("THIRD"),
    ]);
    let answer = ringback.api.post("/v1/events", &events).await.expect(202);
    let statuses: Vec<_> = (0..3).map(|index| text(&answer["data"][index]["status"])).collect();
    assert_eq!(statuses, ["accepted", "rejected", "accepted"], "{answer}");
    assert_eq!(answer["data"][0]["id"], id);
    assert_eq!(answer["data"][1]["errors"][0]["pointer"], "/name");
    receiver.wait_for_ended(2, SOON).await;
    assert_eq!(receiver.total(), 2);
}

#[tokio::test]
async fn same_id_twice_is_one_event() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let id = event_id().to_string();
    let first = with(event("FIRST"), json!({"id": id}));
    let answer = ringback.api.post("/v1/events", &first).await.expect(202);
    assert_eq!(answer["duplicate"], json!(null));
    let again = ringback.api.post("/v1/events", &first).await.expect(202);
    assert_eq!((&again["id"], &again["duplicate"]), (&json!(id), &json!(true)));
    // Ids are unique within an account, and no further.
    let other = with(first, json!({"account": "other"}));
    assert_eq!(ringback.api.post("/v1/events", &other).await.expect(202)["duplicate"], json!(null));
    receiver.wait_for_ended(2, SOON).await;

    let last = ringback.api.send(&event("LAST")).await;
    ringback.api.settled_delivery(&last).await;
    assert_eq!(receiver.total(), 3);
}

#[tokio::test]
async fn idempotency_key_gives_the_stored_answer_and_refuses_another_body() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let send = async |body: &serde_json::Value, key: &str| {
        let headers = [("idempotency-key", key)];
        let request =
            ringback.api.request(Method::POST, "/v1/events", Some(body.to_string()), &headers);
        request.await.expect("an answer")
    };
    let body = event("FIRST");
    let first = send(&body, "k-1").await.expect(202);
    assert_eq!(send(&body, "k-1").await.expect(202)["id"], first["id"]);
    send(&event("OTHER"), "k-1").await.expect_problem(422);
    assert_ne!(send(&body, "k-2").await.expect(202)["id"], first["id"]);
    receiver.wait_for_ended(2, SOON).await;

    let last = ringback.api.send(&event("LAST")).await;
    ringback.api.settled_delivery(&last).await;
    assert_eq!(receiver.total(), 3);
}

#[tokio::test]
async fn equal_idempotency_keys_of_two_callers_are_two_events() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let acme = ringback.api.with_key(&ringback.api.create_key(Some("acme")).await);
    let body = with(event("FIRST"), json!({"account": "acme"}));
    let mut ids = Vec::new();
    for api in [&ringback.api, &acme] {
        let headers = [("idempotency-key", "k-1")];
        let request = api.request(Method::POST, "/v1/events", Some(body.to_string()), &headers);
        ids.push(text(&request.await.expect("an answer").expect(202)["id"]));
    }
    assert_ne!(ids[0], ids[1]);
    for id in &ids {
        assert_eq!(ringback.api.settled_delivery(id).await["status"], "delivered");
    }
    assert_eq!(receiver.total(), 2);
}

#[tokio::test]
async fn repeats_are_recognised_after_a_kill() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let id = event_id().to_string();
    let first = with(event("FIRST"), json!({"id": id}));
    ringback.api.send(&first).await;
    ringback.api.settled_delivery(&id).await;
    ringback.process.kill9().await.expect("it runs");
    ringback.restart().await;
    // Whether the answer says so depends on what was durable; that it is not sent twice does not.
    ringback.api.send(&first).await;
    let last = ringback.api.send(&event("LAST")).await;
    ringback.api.settled_delivery(&last).await;
    assert_eq!(receiver.total(), 2);
}

#[tokio::test]
async fn lists_come_in_pages_newest_first() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let mut sent = Vec::new();
    for index in 0..5 {
        let id = ringback.api.send(&event(&format!("EVENT_{index}"))).await;
        ringback.api.settled_delivery(&id).await;
        sent.insert(0, id);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/events?limit=2".to_owned();
    for items in [2, 2, 1] {
        let page = ringback.api.get(&path).await.expect(200);
        let data = page["data"].as_array().expect("a list");
        assert_eq!(data.len(), items, "{page}");
        seen.extend(data.iter().map(|event| text(&event["id"])));
        path = format!(
            "/v1/events?limit=2&cursor={}",
            page["next_cursor"].as_str().unwrap_or_default()
        );
    }
    assert_eq!(seen, sent);
    assert_eq!(ringback.api.list("/v1/events?name=EVENT_3").await.len(), 1);
    assert_eq!(ringback.api.list("/v1/events?account=other").await.len(), 0);

    let one = ringback.api.get(&format!("/v1/events/{}", sent[0])).await.expect(200);
    assert_eq!((&one["name"], &one["account"]), (&json!("EVENT_4"), &json!("acme")));
    assert_eq!(one["variables"]["COMMENT_ID"], 178);
    assert_eq!(one["deliveries"][0]["status"], "delivered", "{one}");
}
