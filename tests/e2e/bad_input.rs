//! Input that is wrong: the right status, and the place that is wrong.

use reqwest::Method;
use ringback_testkit::builders::event_id;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Ringback, event, with};

async fn post_text(api: &Api, path: &str, body: &str) -> Answer {
    let request = api.request(Method::POST, path, Some(body.to_owned()), &[]);
    request.await.expect("an answer")
}

#[track_caller]
fn assert_names(problem: &Value, pointer: &str) {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(errors.iter().any(|error| error["pointer"] == pointer), "{pointer} in {problem}");
    assert!(errors.iter().all(|error| error["detail"].as_str() != Some("")), "{problem}");
}

#[tokio::test]
async fn malformed_json_is_400_and_says_where() {
    let ringback = Ringback::start().await;
    for path in ["/v1/events", "/v1/callbacks", "/v1/api-keys"] {
        for body in ["", "{", "nonsense", "\u{feff}{}"] {
            let problem = post_text(&ringback.api, path, body).await.expect_problem(400);
            assert!(
                problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
                "{problem}"
            );
        }
    }
}

#[tokio::test]
async fn bad_events_are_422_and_name_the_field() {
    let ringback = Ringback::start().await;
    let too_many: serde_json::Map<_, _> = (0..1_001).map(|i| (format!("V{i}"), json!(i))).collect();
    for (pointer, changes) in [
        ("/nmae", json!({"nmae": "COMMENT_CREATED"})),
        ("/name", json!({"name": 1})),
        ("/name", json!({"name": null})),
        ("/name", json!({"name": ""})),
        ("/name", json!({"name": "COMMENT CREATED"})),
        ("/name", json!({"name": "A".repeat(129)})),
        ("/account", json!({"account": "a".repeat(65)})),
        ("/account", json!({"account": "acme.eu"})),
        ("/account", json!({"account": null})),
        ("/id", json!({"id": "178"})),
        ("/time", json!({"time": "yesterday"})),
        ("/variables", json!({"variables": [1]})),
        ("/variables", json!({"variables": too_many})),
        ("/deliver_at", json!({"deliver_at": "2126-01-02T03:04:05Z"})),
    ] {
        let body = with(event("COMMENT_CREATED"), changes);
        let problem = ringback.api.post("/v1/events", &body).await.expect_problem(422);
        assert_names(&problem, pointer);
    }
    let problem =
        ringback.api.post("/v1/events", &json!({"account": "acme"})).await.expect_problem(422);
    assert!(problem.to_string().contains("name"), "{problem}");
    for body in [json!([]), json!("text"), json!(vec![event("A"); 1_001])] {
        ringback.api.post("/v1/events", &body).await.expect_problem(422);
    }
    assert_eq!(ringback.api.list("/v1/events").await, [] as [Value; 0], "nothing was half taken");
}

#[tokio::test]
async fn event_of_300_kib_is_413_and_one_below_the_limit_is_taken() {
    let ringback = Ringback::start().await;
    let of_size =
        |kib: usize| with(event("LARGE"), json!({"variables": {"TEXT": "x".repeat(kib * 1024)}}));
    ringback.api.post("/v1/events", &of_size(300)).await.expect_problem(413);
    ringback.api.post("/v1/events", &of_size(250)).await.expect(202);
    let answer =
        ringback.api.post("/v1/events", &json!([of_size(300), event("SMALL")])).await.expect(202);
    assert_eq!(answer["data"][0]["status"], "rejected");
    assert_eq!(answer["data"][1]["status"], "accepted");
    ringback
        .api
        .post("/v1/callbacks", &json!({"url": "x".repeat(2 * 1024 * 1024)}))
        .await
        .expect_problem(413);
}

#[tokio::test]
async fn bad_callbacks_are_422_and_name_the_field() {
    let ringback = Ringback::start().await;
    let many: Vec<_> = (0..1_001).map(|i| format!("EVENT_{i}")).collect();
    let good = json!({"url": "https://example.com/hook"});
    for (pointer, changes) in [
        ("/url", json!({"url": ""})),
        ("/url", json!({"url": "example.com/hook"})),
        ("/url", json!({"url": "ftp://example.com/hook"})),
        ("/url", json!({"url": "https://{HOST}/hook"})),
        ("/url", json!({"url": "https://example.com:{PORT}/hook"})),
        ("/url", json!({"url": "{SCHEME}://example.com/hook"})),
        ("/url", json!({"url": "https://example.com/{UNCLOSED"})),
        ("/url", json!({"url": "http://[::ffff:10.0.0.1]/"})),
        ("/url", json!({"url": "http://169.254.169.254/"})),
        ("/url", json!({"url": "http://0x0a000001/"})),
        ("/ulr", json!({"ulr": "https://example.com/hook"})),
        ("/method", json!({"method": "PUT"})),
        ("/format", json!({"format": "xml"})),
        ("/enabled", json!({"enabled": "yes"})),
        ("/account", json!({"account": "acme.eu"})),
        ("/events", json!({"events": []})),
        ("/events", json!({"events": many})),
        ("/events/1", json!({"events": ["A", "B C"]})),
        ("/headers/X-A", json!({"headers": {"X-A": "1\nHost: evil"}})),
        ("/headers/X A", json!({"headers": {"X A": "1"}})),
        ("/headers/Host", json!({"headers": {"Host": "evil"}})),
        ("/authorization/type", json!({"authorization": {"type": "digest"}})),
        ("/authorization/value", json!({"authorization": {"type": "header", "value": "a\r\nb"}})),
        ("/retry/max_retries", json!({"retry": {"max_retries": -1}})),
        ("/retry/max_retries", json!({"retry": {"max_retries": 101}})),
        ("/retry/delay_seconds", json!({"retry": {"delay_seconds": -1}})),
        ("/retry/delay", json!({"retry": {"delay": 1}})),
        ("/retry/backoff", json!({"retry": {"backoff": "cubic"}})),
        ("/timeout_ms", json!({"timeout_ms": 0})),
        ("/timeout_ms", json!({"timeout_ms": 10_000_000})),
        ("/max_in_flight", json!({"max_in_flight": 0})),
        ("/rate_limit", json!({"rate_limit": 50})),
        ("/rate_limit/per_second", json!({"rate_limit": {"burst": 1}})),
        ("/rate_limit/per_second", json!({"rate_limit": {"per_second": 0}})),
        ("/rate_limit/burst", json!({"rate_limit": {"per_second": 1, "burst": 10_001}})),
        ("/circuit/failures", json!({"circuit": {"failures": 0}})),
        ("/circuit/open_seconds", json!({"circuit": {"open_seconds": 0}})),
        ("/paused", json!({"paused": true})),
    ] {
        let body = with(good.clone(), changes);
        let problem = ringback.api.post("/v1/callbacks", &body).await.expect_problem(422);
        assert_names(&problem, pointer);
    }
    assert_eq!(ringback.api.list("/v1/callbacks").await, [] as [Value; 0]);
}

#[tokio::test]
async fn loopback_in_any_disguise_is_refused_unless_allowed() {
    let ringback =
        Ringback::start_with(|launch| launch.env("RINGBACK_ALLOW_NETWORKS", "10.0.0.0/8")).await;
    for url in [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://0.0.0.0/",
    ] {
        let problem =
            ringback.api.post("/v1/callbacks", &json!({"url": url})).await.expect_problem(422);
        assert_names(&problem, "/url");
    }
    ringback.api.post("/v1/callbacks", &json!({"url": "http://10.0.0.1/"})).await.expect(201);
}

#[tokio::test]
async fn bad_queries_and_ids_are_refused_and_not_passed_over() {
    let ringback = Ringback::start().await;
    for path in [
        "/v1/events?limit=0",
        "/v1/events?limit=many",
        "/v1/events?cursor=nonsense",
        "/v1/events?nmae=A",
        "/v1/deliveries?status=lost",
        "/v1/deliveries?callback=178",
    ] {
        ringback.api.get(path).await.expect_problem(400);
    }
    for kind in ["events", "deliveries", "callbacks"] {
        ringback.api.get(&format!("/v1/{kind}/{}", event_id())).await.expect_problem(404);
        let answer = ringback.api.get(&format!("/v1/{kind}/178")).await;
        assert!([400, 404].contains(&answer.status), "{kind}: {}", answer.status);
    }
    ringback.api.delete("/v1/events").await.expect_problem(405);
}
