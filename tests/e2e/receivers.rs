//! Receivers that misbehave: what is done about each, and what the history says of it.

use std::time::Duration;

use ringback_testkit::{Answer, Behaviour, Receiver, Wire, free_port};
use serde_json::{Value, json};

use crate::support::{
    Ringback, SOON, attempts, callback, callback_once, event, eventually, outcomes, text, with,
};

/// Sends one event to one callback and gives the delivery once it is settled.
async fn deliver(ringback: &Ringback, callback: &Value) -> Value {
    let id = ringback.api.create_callback(callback).await;
    let event = ringback.api.send(&event("COMMENT_CREATED")).await;
    let delivery = ringback.api.settled_delivery(&event).await;
    ringback.api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
    delivery
}

#[tokio::test]
async fn slow_receiver_is_waited_for() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::slow(Duration::from_millis(500)));
    let delivery = deliver(&ringback, &callback(&receiver.url("/hook"))).await;
    assert_eq!(delivery["status"], "delivered");
    assert!(attempts(&delivery)[0]["duration_ms"].as_u64() >= Some(500), "{delivery}");
}

#[tokio::test]
async fn hanging_receiver_is_a_timeout() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::Hang);
    let callback = with(callback_once(&receiver.url("/hook")), json!({"timeout_ms": 300}));
    let delivery = deliver(&ringback, &callback).await;
    assert_eq!(delivery["status"], "exhausted");
    assert_eq!(outcomes(&delivery), ["timeout"]);
    assert_eq!(attempts(&delivery)[0]["response"], Value::Null);
    let duration = attempts(&delivery)[0]["duration_ms"].as_u64().expect("a duration");
    assert!((300..3_000).contains(&duration), "{duration} ms");
}

#[tokio::test]
async fn failing_receiver_is_tried_again_until_it_takes_the_event() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::fail_first(2, 500));
    let delivery = deliver(&ringback, &callback(&receiver.url("/hook"))).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(outcomes(&delivery), ["http_error", "http_error", "success"]);
    let requests = receiver.requests();
    let numbers: Vec<_> =
        requests.iter().map(|request| request.header("ringback-attempt")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    for pair in requests.windows(2) {
        assert_eq!(pair[0].webhook_id(), pair[1].webhook_id());
        assert_eq!(pair[0].body, pair[1].body);
        let wait = pair[1].arrived - pair[0].arrived;
        assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&wait), "{wait:?}");
    }
}

#[tokio::test]
async fn receiver_that_keeps_failing_is_given_up_on() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Answer::new(404).body("no such thing"));
    let delivery = deliver(&ringback, &callback(&receiver.url("/hook"))).await;
    assert_eq!(delivery["status"], "exhausted");
    assert_eq!(outcomes(&delivery), ["http_error"; 3]);
    assert_eq!(attempts(&delivery)[2]["response"]["status"], 404);
    assert_eq!(attempts(&delivery)[2]["response"]["body"], "no such thing");
    assert_eq!(receiver.total(), 3);
}

#[tokio::test]
async fn broken_connections_say_so() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/before", Behaviour::CloseBeforeBody);
    receiver.on("/after", Behaviour::CloseAfterRequest);
    let nobody = format!("http://127.0.0.1:{}/", free_port().expect("a port"));
    let mut targets = vec![receiver.url("/before"), receiver.url("/after"), nobody];
    for wire in [Wire::Http, Wire::CloseAtOnce, Wire::Garbage] {
        receiver.on_connections(wire);
        for url in std::mem::replace(&mut targets, vec![receiver.url("/hook")]) {
            let delivery = deliver(&ringback, &callback_once(&url)).await;
            assert_eq!(delivery["status"], "exhausted", "{url} {wire:?}");
            assert_eq!(outcomes(&delivery), ["connection"], "{url} {wire:?}");
            assert!(!text(&attempts(&delivery)[0]["error"]).is_empty());
        }
    }
    assert_eq!(receiver.total(), 2, "an attempt is one request, whatever the connection does");
}

#[tokio::test]
async fn gone_endpoint_disables_its_callback() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Answer::new(410));
    let id = ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let first = ringback.api.send(&event("COMMENT_CREATED")).await;
    let delivery = ringback.api.settled_delivery(&first).await;
    assert_eq!(delivery["status"], "exhausted");
    assert_eq!(outcomes(&delivery), ["http_error"]);

    let path = format!("/v1/callbacks/{id}");
    let shown = eventually("disabled callback", SOON, async || {
        let shown = ringback.api.get(&path).await.expect(200);
        (shown["enabled"] == false).then_some(shown)
    })
    .await;
    assert_eq!(shown["disabled_reason"], "gone");
    let second = ringback.api.send(&event("COMMENT_CREATED")).await;
    assert_eq!(ringback.api.list(&format!("/v1/deliveries?event={second}")).await.len(), 0);

    // Its owner may know better.
    receiver.on_others(Answer::new(204));
    let shown = ringback.api.patch(&path, &json!({"enabled": true})).await.expect(200);
    assert_eq!(shown["disabled_reason"], Value::Null);
    let third = ringback.api.send(&event("COMMENT_CREATED")).await;
    assert_eq!(ringback.api.settled_delivery(&third).await["status"], "delivered");
}

#[tokio::test]
async fn retry_after_takes_the_place_of_the_delay() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let seconds = Answer::new(429).retry_after_seconds(2);
    receiver.on("/seconds", then_204(move || seconds.clone()));
    receiver.on("/date", then_204(|| Answer::new(503).retry_after_date(Duration::from_secs(3))));
    for path in ["/seconds", "/date"] {
        // The policy would wait for five minutes.
        let callback = json!({"url": receiver.url(path)});
        let delivery = deliver(&ringback, &callback).await;
        assert_eq!(delivery["status"], "delivered", "{path}");
        let requests = receiver.requests_to(path);
        let wait = requests[1].arrived - requests[0].arrived;
        // A date has whole seconds: it may be one earlier than it was meant.
        assert!(
            (Duration::from_millis(1_900)..Duration::from_secs(5)).contains(&wait),
            "{path} {wait:?}"
        );
    }
}

/// Answers the first request with one `webhook-id` in a way that is made then, and 204 to those after.
fn then_204(first: impl Fn() -> Answer + Send + Sync + 'static) -> Behaviour {
    Behaviour::FailFirst {
        times: 1,
        failure: Box::new(Behaviour::choose(move |_| first().into())),
        then: Box::new(Behaviour::status(204)),
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    for status in [301, 302, 303, 307, 308] {
        receiver.on("/hook", Answer::new(status).header("location", &receiver.url("/elsewhere")));
        let delivery = deliver(&ringback, &callback_once(&receiver.url("/hook"))).await;
        assert_eq!(delivery["status"], "exhausted");
        assert_eq!(outcomes(&delivery), ["http_error"]);
        assert_eq!(attempts(&delivery)[0]["response"]["status"], status);
    }
    assert_eq!(receiver.requests_to("/elsewhere").len(), 0);
}

#[tokio::test]
async fn bodies_without_end_are_kept_to_16_kib() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/endless", Answer::new(200).endless(Duration::from_millis(5)));
    receiver.on("/large", Answer::new(200).zeros(100 * 1024 * 1024));
    receiver.on("/exact", Answer::new(200).zeros(16 * 1024));
    for (path, truncated) in [("/endless", true), ("/large", true), ("/exact", false)] {
        let delivery = deliver(&ringback, &callback(&receiver.url(path))).await;
        assert_eq!(delivery["status"], "delivered", "{path}");
        let response = &attempts(&delivery)[0]["response"];
        assert_eq!(text(&response["body"]).len(), 16 * 1024, "{path}");
        assert_eq!(response["truncated"], truncated, "{path}");
    }
    assert!(!ringback.process.has_ended().expect("the system says"));
    let peak = ringback.process.usage().expect("it runs").resident_bytes_peak;
    assert!(peak < 100 * 1024 * 1024, "{peak} bytes");
}

#[tokio::test]
async fn one_hanging_endpoint_delays_nobody_else() {
    const EVENTS: usize = 200;
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/hangs", Behaviour::Hang);
    let hangs =
        with(callback(&receiver.url("/hangs")), json!({"timeout_ms": 60_000, "max_in_flight": 4}));
    ringback.api.create_callback(&hangs).await;
    ringback.api.create_callback(&callback(&receiver.url("/works"))).await;
    let events: Vec<_> = (0..EVENTS).map(|_| event("COMMENT_CREATED")).collect();
    ringback.api.post("/v1/events", &json!(events)).await.expect(202);
    let path = |path: &'static str| {
        move |request: &&ringback_testkit::Received| request.uri.path() == path
    };
    receiver
        .wait_until("delivery to the one that works", SOON, |requests| {
            requests.iter().filter(path("/works")).count() == EVENTS
        })
        .await;
    let requests = receiver.requests();
    assert_eq!(
        requests.iter().filter(path("/hangs")).filter(|request| request.ended.is_some()).count(),
        0
    );
    assert!(
        requests.iter().filter(path("/hangs")).count() <= 4,
        "no more than max_in_flight at once"
    );
    eventually("history of those that wait", SOON, async || {
        let waiting = ringback.api.list("/v1/deliveries?status=pending").await;
        let parked =
            waiting.iter().filter(|delivery| delivery["waits_for"] == "concurrency").count();
        (waiting.len() == EVENTS && parked == EVENTS - 4).then_some(())
    })
    .await;
}

#[tokio::test]
async fn special_addresses_get_nothing_unless_allowed() {
    let ringback =
        Ringback::start_with(|launch| launch.env("RINGBACK_ALLOW_NETWORKS", "10.0.0.0/8")).await;
    let receiver = Receiver::start().await.expect("a port");
    let port = receiver.address().port();
    // Literals are refused when the callback is saved; what a name leads to shows when it is used.
    let delivery =
        deliver(&ringback, &callback_once(&format!("http://localhost:{port}/hook"))).await;
    assert_eq!(delivery["status"], "exhausted");
    assert_eq!(outcomes(&delivery), ["blocked"]);
    assert!(text(&attempts(&delivery)[0]["error"]).contains("allow_networks"), "{delivery}");
    assert_eq!(receiver.total(), 0);
}
