//! What subscribers get.

use ringback_testkit::{Received, Receiver};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{
    Api, Ringback, SOON, attempts, callback, event, eventually, outcomes, text, with,
};

const EVENT_ID: &str = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";

async fn verify_signature(api: &Api, callback: &str, request: &Received) {
    let secret = api.get(&format!("/v1/callbacks/{callback}/secret")).await.expect(200);
    let webhook = Webhook::new(&text(&secret["secret"])).expect("a Standard Webhooks secret");
    webhook.verify(&request.body, &request.headers).expect("the signature holds");
}

/// The fields of a form, or of a query.
fn fields(form: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://a/?{form}")).expect("a query");
    url.query_pairs().into_owned().collect()
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

async fn only_request(receiver: &Receiver) -> Received {
    receiver.wait_for_ended(1, SOON).await;
    let mut requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[tokio::test]
async fn post_carries_all_variables_as_a_signed_form() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let callback = ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let sent = with(
        event("COMMENT_CREATED"),
        json!({"id": EVENT_ID, "variables": {
            "COMMENT_ID": 178, "COMMENT": "Mehr Kuhglocke für äöü & = %", "DONE": true, "PRICE": 1.10,
        }}),
    );
    assert_eq!(ringback.api.send(&sent).await, EVENT_ID);

    let request = only_request(&receiver).await;
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    let fields = fields(&request.text());
    for expected in [
        field("EVENT_GUID", EVENT_ID),
        field("EVENT_ID", "COMMENT_CREATED"),
        field("COMMENT_ID", "178"),
        field("COMMENT", "Mehr Kuhglocke für äöü & = %"),
        field("DONE", "True"),
    ] {
        assert!(fields.contains(&expected), "{expected:?} in {fields:?}");
    }
    assert!(request.header("user-agent").starts_with("Ringback/"));
    assert_eq!(request.webhook_id(), EVENT_ID);
    assert_eq!(request.header("ringback-callback"), callback);
    assert_eq!(request.header("ringback-attempt"), "1");
    assert_eq!(request.headers.get("authorization"), None);
    let traceparent: Vec<_> = request.header("traceparent").split('-').map(str::len).collect();
    assert_eq!(traceparent, [2, 32, 16, 2]);
    verify_signature(&ringback.api, &callback, &request).await;

    let delivery = ringback.api.settled_delivery(EVENT_ID).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(outcomes(&delivery), ["success"]);
    let attempt = &attempts(&delivery)[0];
    assert_eq!(attempt["number"], 1);
    assert_eq!(attempt["request"]["method"], "POST");
    assert_eq!(attempt["request"]["url"], receiver.url("/hook"));
    assert_eq!(attempt["response"]["status"], 204);
    assert!(attempt["duration_ms"].is_u64(), "{attempt}");
}

#[tokio::test]
async fn get_carries_only_what_the_url_names() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let url = receiver.url("/hook/{COMMENT_ID}?comment={COMMENT}&nothing={UNKNOWN}");
    let callback = with(callback(&url), json!({"method": "GET"}));
    let callback = ringback.api.create_callback(&callback).await;
    ringback.api.send(&event("COMMENT_CREATED")).await;

    let request = only_request(&receiver).await;
    assert_eq!(request.method, "GET");
    assert_eq!(request.uri.path(), "/hook/178");
    assert_eq!(request.uri.query(), Some("comment=Needs%20more%20cowbell&nothing="));
    assert!(request.body.is_empty());
    verify_signature(&ringback.api, &callback, &request).await;
}

#[tokio::test]
async fn json_carries_the_event_to_the_letter() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let callback = with(callback(&receiver.url("/hook")), json!({"format": "json"}));
    let callback = ringback.api.create_callback(&callback).await;
    let body = format!(
        r#"{{"id":"{EVENT_ID}","name":"PAID","account":"acme","time":"2026-01-02T03:04:05.678Z",
            "variables":{{"AMOUNT":1.10,"SERIAL":12345678901234567890,"TREE":{{"a":[1,null]}}}}}}"#
    );
    let accepted = ringback.api.request(reqwest::Method::POST, "/v1/events", Some(body), &[]).await;
    accepted.expect("an answer").expect(202);

    let request = only_request(&receiver).await;
    assert_eq!(request.header("content-type"), "application/json");
    for part in [r#""AMOUNT":1.10"#, r#""SERIAL":12345678901234567890"#, r#""TREE":{"a":[1,null]}"#]
    {
        assert!(request.text().contains(part), "{part} in {}", request.text());
    }
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body["id"], EVENT_ID);
    assert_eq!(body["name"], "PAID");
    assert_eq!(body["account"], "acme");
    assert_eq!(body["time"], "2026-01-02T03:04:05.678Z");
    verify_signature(&ringback.api, &callback, &request).await;
}

#[tokio::test]
async fn each_kind_of_authorization_is_sent_and_never_shown() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let kinds = [
        (
            json!({"type": "basic", "username": "Aladdin", "password": "open sesame"}),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (json!({"type": "bearer", "token": "t-0ken"}), "Bearer t-0ken"),
        (json!({"type": "header", "value": "Custom h-eader"}), "Custom h-eader"),
        (json!({"type": "callback_key", "key": "k-3y"}), "Basic k-3y"),
    ];
    for (index, (authorization, expected)) in kinds.iter().enumerate() {
        let path = format!("/{index}");
        let callback =
            with(callback(&receiver.url(&path)), json!({"authorization": authorization}));
        let id = ringback.api.create_callback(&callback).await;
        let event = ringback.api.send(&event("COMMENT_CREATED")).await;
        let sent =
            |requests: &[Received]| requests.iter().any(|request| request.uri.path() == path);
        receiver.wait_until("request", SOON, sent).await;
        assert_eq!(receiver.requests_to(&path)[0].header("authorization"), *expected);

        let shown = ringback.api.get(&format!("/v1/callbacks/{id}")).await.expect(200);
        assert_eq!(shown["authorization"]["type"], authorization["type"]);
        let delivery = ringback.api.settled_delivery(&event).await;
        let everything = format!("{shown}{delivery}{}", ringback.process.output());
        for secret in ["open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ", "t-0ken", "h-eader", "k-3y"] {
            assert!(!everything.contains(secret), "{secret} is shown in {everything}");
        }
        ringback.api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
    }
}

#[tokio::test]
async fn own_headers_are_sent() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let callback = with(callback(&receiver.url("/hook")), json!({"headers": {"X-Tenant": "blue"}}));
    ringback.api.create_callback(&callback).await;
    ringback.api.send(&event("COMMENT_CREATED")).await;
    assert_eq!(only_request(&receiver).await.header("x-tenant"), "blue");
}

#[tokio::test]
async fn callbacks_get_the_events_of_their_account_and_filter_alone() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    for (path, changes) in [
        ("/all", json!({})),
        ("/acme", json!({"account": "acme"})),
        ("/other", json!({"account": "other"})),
        ("/name", json!({"events": ["COMMENT_CREATED"]})),
        ("/prefix", json!({"events": ["PACKAGE_*", "ROLE_CHANGED"]})),
        ("/off", json!({"enabled": false})),
    ] {
        ringback.api.create_callback(&with(callback(&receiver.url(path)), changes)).await;
    }
    for (name, account) in
        [("COMMENT_CREATED", "acme"), ("PACKAGE_SENT", "other"), ("ROLE_CHANGED", "acme")]
    {
        ringback.api.send(&with(event(name), json!({"account": account}))).await;
    }
    receiver.wait_for_ended(9, SOON).await;
    for (path, count) in
        [("/all", 3), ("/acme", 2), ("/other", 1), ("/name", 1), ("/prefix", 2), ("/off", 0)]
    {
        assert_eq!(receiver.requests_to(path).len(), count, "{path}");
    }
    eventually("history of nine deliveries", SOON, async || {
        (ringback.api.list("/v1/deliveries").await.len() == 9).then_some(())
    })
    .await;
}

#[tokio::test]
async fn changed_callback_counts_from_the_answer_on() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let id = ringback.api.create_callback(&callback(&receiver.url("/old"))).await;
    let path = format!("/v1/callbacks/{id}");
    let changed =
        ringback.api.patch(&path, &json!({"url": receiver.url("/new")})).await.expect(200);
    assert_eq!(changed["retry"]["delay_seconds"], 1, "what is not named stays: {changed}");
    ringback.api.send(&event("COMMENT_CREATED")).await;
    assert_eq!(only_request(&receiver).await.uri.path(), "/new");

    let replaced = ringback.api.put(&path, &json!({"url": receiver.url("/put")})).await.expect(200);
    assert_eq!(
        replaced["retry"]["delay_seconds"], 300,
        "what is not named is the default: {replaced}"
    );
    ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for_ended(2, SOON).await;
    assert_eq!(receiver.requests_to("/put").len(), 1);

    ringback.api.delete(&path).await.expect(204);
    ringback.api.get(&path).await.expect_problem(404);
    let event = ringback.api.send(&event("COMMENT_CREATED")).await;
    assert_eq!(ringback.api.list(&format!("/v1/deliveries?event={event}")).await, [] as [Value; 0]);
}

#[tokio::test]
async fn disabling_a_callback_cancels_what_waits_for_it_and_says_so() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(ringback_testkit::Behaviour::status(500));
    let slow_retry = json!({"retry": {"delay_seconds": 3600}});
    let id =
        ringback.api.create_callback(&with(callback(&receiver.url("/hook")), slow_retry)).await;
    let sent = ringback.api.send(&event("COMMENT_CREATED")).await;
    ringback.api.delivery_when(&sent, |delivery| delivery["waits_for"] == "retry").await;

    let path = format!("/v1/callbacks/{id}");
    ringback.api.patch(&path, &json!({"enabled": false})).await.expect(200);
    let cancelled = ringback.api.settled_delivery(&sent).await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["cancel_reason"], "callback_disabled");

    // Enabled again it gets what comes, and not what was cancelled.
    ringback.api.patch(&path, &json!({"enabled": true})).await.expect(200);
    let next = ringback.api.send(&event("COMMENT_CREATED")).await;
    ringback.api.delivery_when(&next, |delivery| delivery["waits_for"] == "retry").await;
    assert_eq!(receiver.total(), 2);
}
