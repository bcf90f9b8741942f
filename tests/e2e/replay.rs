//! Recovery: what failed is delivered again, in bulk or one by one, or is not to be sent at all; and callbacks tried out.

use std::collections::HashSet;
use std::time::Duration;

use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Received, Receiver};
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::support::{
    Api, Ringback, SOON, attempts, callback, callback_once, event, eventually, outcomes, text, with,
};

/// A lease that has to run out first, and a job that takes its time.
const A_WHILE: Duration = Duration::from_secs(90);

/// A callback that is tried once, however often it fails.
fn fragile(url: &str) -> Value {
    with(callback_once(url), json!({"circuit": {"enabled": false}}))
}

/// Has these many events accepted, and gives their ids once all of their deliveries have failed.
pub(crate) async fn failed(
    ingest: &Api,
    api: &Api,
    callback: &str,
    count: usize,
) -> HashSet<String> {
    let ids: Vec<_> = (0..count).map(|_| event_id().to_string()).collect();
    let events: Vec<_> =
        ids.iter().map(|id| with(event("COMMENT_CREATED"), json!({"id": id}))).collect();
    ingest.post("/v1/events", &json!(events)).await.expect(202);
    until(api, &format!("/v1/deliveries?callback={callback}&status=exhausted"), count).await;
    ids.into_iter().collect()
}

/// Waits until a list has so many items.
pub(crate) async fn until(api: &Api, list: &str, count: usize) {
    eventually(&format!("{count} in {list}"), A_WHILE, async || {
        (api.list(list).await.len() == count).then_some(())
    })
    .await;
}

/// The ids of the events that were taken.
pub(crate) fn taken(requests: &[Received]) -> HashSet<String> {
    let taken = requests.iter().filter(|request| request.status == Some(204));
    taken.map(|request| request.webhook_id().to_owned()).collect()
}

/// A bulk replay, once it is at its end.
pub(crate) async fn ended(api: &Api, id: &str) -> Value {
    eventually("end of the bulk replay", A_WHILE, async || {
        let replay = api.get(&format!("/v1/replays/{id}")).await.expect(200);
        (replay["status"] != "running").then_some(replay)
    })
    .await
}

#[tokio::test]
async fn everything_that_failed_at_a_callback_is_delivered_again_by_one_command() {
    const EVENTS: usize = 30;
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(500));
    let broken = ringback.api.create_callback(&fragile(&receiver.url("/broken"))).await;
    let other = ringback.api.create_callback(&fragile(&receiver.url("/other"))).await;
    let sent = failed(&ringback.api, &ringback.api, &broken, EVENTS).await;
    until(&ringback.api, "/v1/deliveries?status=exhausted", 2 * EVENTS).await;

    receiver.on("/broken", Behaviour::status(204));
    let terminal = Terminal::of(&ringback);
    let line = ["replays", "create", "--callback", &broken[28..], "--since", "1h"];
    let job = terminal.json(&line).await;
    let replay = ended(&ringback.api, &text(&job["id"])).await;
    assert_eq!(
        (&replay["status"], &replay["total"], &replay["replayed"], &replay["skipped"]),
        (&json!("finished"), &json!(EVENTS), &json!(EVENTS), &json!(0)),
        "{replay}"
    );
    assert_eq!(replay["progress"], 1.0);
    until(&ringback.api, &format!("/v1/deliveries?callback={broken}&status=delivered"), EVENTS)
        .await;
    assert_eq!(taken(&receiver.requests_to("/broken")), sent);
    assert_eq!(receiver.requests_to("/broken").len(), 2 * EVENTS, "each once more");
    until(&ringback.api, &format!("/v1/deliveries?callback={other}&status=exhausted"), EVENTS)
        .await;
    assert_eq!(receiver.requests_to("/other").len(), EVENTS);

    let shown = terminal.ok(&["replays", "show", &text(&job["id"])]).await;
    assert!(shown.contains("finished") && shown.contains("30 of 30"), "{shown}");
    assert!(terminal.ok(&["replays", "list"]).await.contains("30 of 30"));
}

#[tokio::test]
async fn bulk_replay_goes_on_after_a_kill_and_holds_up_no_new_event() {
    const EVENTS: usize = 60;
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/hook", Behaviour::status(500));
    let id = ringback.api.create_callback(&fragile(&receiver.url("/hook"))).await;
    let sent = failed(&ringback.api, &ringback.api, &id, EVENTS).await;
    let failures = u64::try_from(EVENTS).expect("few");

    receiver.on("/hook", Behaviour::status(204));
    let request = json!({"filter": {"callback": id}, "per_second": 10});
    let job = text(&ringback.api.post("/v1/replays", &request).await.expect(202)["id"]);
    receiver.wait_for(failures + 10, SOON).await;
    let running = async |api: &Api| {
        let replay = api.get(&format!("/v1/replays/{job}")).await.expect(200);
        assert_eq!(replay["status"], "running", "{replay}");
    };
    let fresh = with(callback(&receiver.url("/fresh")), json!({"events": ["FRESH"]}));
    let fresh = ringback.api.create_callback(&fresh).await;
    ringback.api.patch(&format!("/v1/callbacks/{id}"), &json!({"events": ["COMMENT_*"]})).await;
    let new = ringback.api.send(&event("FRESH")).await;
    let delivered = ringback.api.settled_delivery(&new).await;
    assert_eq!(
        (&delivered["status"], &delivered["callback"]),
        (&json!("delivered"), &json!(fresh))
    );
    running(&ringback.api).await;

    ringback.process.kill9().await.expect("it runs");
    ringback.restart().await;
    running(&ringback.api).await;
    let replay = ended(&ringback.api, &job).await;
    assert_eq!(
        (&replay["status"], &replay["skipped"]),
        (&json!("finished"), &json!(0)),
        "{replay}"
    );
    until(&ringback.api, &format!("/v1/deliveries?callback={id}&status=delivered"), EVENTS).await;
    assert_eq!(taken(&receiver.requests_to("/hook")), sent, "none is missing");
    let twice = receiver.requests_to("/hook").len() - 2 * EVENTS;
    assert!(twice <= 4, "{twice} came twice: more than were under way at the kill");
}

#[tokio::test]
async fn bulk_replay_that_is_cancelled_ends_and_leaves_the_rest_as_it_was() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(500));
    let id = ringback.api.create_callback(&fragile(&receiver.url("/hook"))).await;
    failed(&ringback.api, &ringback.api, &id, 20).await;
    receiver.on_others(Behaviour::status(204));
    let request = json!({"filter": {"callback": id}, "per_second": 2});
    let job = text(&ringback.api.post("/v1/replays", &request).await.expect(202)["id"]);
    receiver.wait_for(22, SOON).await;
    let path = format!("/v1/replays/{job}/cancel");
    let cancelled = ringback.api.post(&path, &json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    ringback.api.post(&path, &json!({})).await.expect_problem(409);
    // Whatever a page put on the queue at that moment may still come; a second of silence would not prove more.
    let left = ringback.api.list(&format!("/v1/deliveries?callback={id}&status=exhausted")).await;
    assert!(left.len() > 10, "{} are left", left.len());
}

#[tokio::test]
async fn cancelled_retry_is_never_sent_and_one_by_hand_goes_on_later() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(500));
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let sent = ringback.api.send(&event("COMMENT_CREATED")).await;
    let pending = ringback.api.delivery_when(&sent, |it| it["waits_for"] == "retry").await;
    let path = format!("/v1/deliveries/{}", text(&pending["id"]));
    let cancelled = ringback.api.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["cancel_reason"]),
        (&json!("cancelled"), &json!("requested"))
    );
    let again = ringback.api.post(&format!("{path}/cancel"), &json!({})).await.expect_problem(409);
    assert!(text(&again["detail"]).contains("cancelled already"), "{again}");

    // When a later event has had its retries, the cancelled one's time has long come.
    let later = ringback.api.send(&event("COMMENT_CREATED")).await;
    let exhausted = ringback.api.settled_delivery(&later).await;
    assert_eq!(attempts(&exhausted).len(), 3);
    let requests = receiver.requests();
    assert_eq!(requests.iter().filter(|it| it.webhook_id() == sent).count(), 1);

    receiver.on_others(Behaviour::status(204));
    ringback.api.post(&format!("{path}/retry"), &json!({})).await.expect(202);
    let delivered = ringback.api.delivery_when(&sent, |it| it["status"] == "delivered").await;
    assert_eq!(outcomes(&delivered), ["http_error", "success"]);
}

#[tokio::test]
async fn attempt_under_way_ends_and_does_not_bring_back_what_was_cancelled() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let slowly =
        |status| Behaviour::After(Duration::from_secs(3), Box::new(Behaviour::status(status)));
    let mut sent = Vec::new();
    for (path, status) in [("/fails", 500), ("/works", 204)] {
        receiver.on(path, slowly(status));
        let name = path.trim_start_matches('/').to_uppercase();
        let settings = with(callback(&receiver.url(path)), json!({"events": [name]}));
        ringback.api.create_callback(&settings).await;
        let id = ringback.api.send(&event(&name)).await;
        // Shown once it takes longer than a second.
        ringback.api.delivery_when(&id, |it| it["status"] == "pending").await;
        let answer = ringback.api.post(&format!("/v1/events/{id}/cancel"), &json!({})).await;
        assert_eq!(answer.expect(200)["cancelled"], 1);
        sent.push(id);
    }
    let tried = |it: &Value| !attempts(it).is_empty();
    let fails = ringback.api.delivery_when(&sent[0], tried).await;
    assert_eq!((&fails["status"], outcomes(&fails)), (&json!("cancelled"), vec!["http_error"]));
    let works = ringback.api.delivery_when(&sent[1], tried).await;
    assert_eq!((&works["status"], outcomes(&works)), (&json!("delivered"), vec!["success"]));

    receiver.on("/fails", Behaviour::status(500));
    let later = ringback.api.send(&event("FAILS")).await;
    ringback.api.settled_delivery(&later).await;
    let requests = receiver.requests_to("/fails");
    assert_eq!(requests.iter().filter(|it| it.webhook_id() == sent[0]).count(), 1);
}

#[tokio::test]
async fn event_is_delivered_again_to_all_that_match_or_to_those_named() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let first = ringback.api.create_callback(&callback(&receiver.url("/first"))).await;
    let sent = ringback.api.send(&event("COMMENT_CREATED")).await;
    ringback.api.settled_delivery(&sent).await;
    let others = with(callback(&receiver.url("/others")), json!({"events": ["OTHERS"]}));
    let others = ringback.api.create_callback(&others).await;

    let terminal = Terminal::of(&ringback);
    let again = terminal.json(&["events", "replay", &sent]).await;
    assert_eq!(
        (&again["generation"], again["deliveries"].as_array().map(Vec::len)),
        (&json!(1), Some(1))
    );
    let named = terminal.json(&["events", "replay", &sent, "--callback", &others]).await;
    assert_eq!(named["generation"], 2);
    receiver.wait_for(3, SOON).await;
    until(&ringback.api, &format!("/v1/deliveries?event={sent}&status=delivered"), 3).await;
    assert_eq!(receiver.requests_to("/first").len(), 2);
    assert_eq!(receiver.requests_to("/others").len(), 1);
    let shown =
        ringback.api.get(&format!("/v1/deliveries/{}", text(&named["deliveries"][0]))).await;
    let shown = shown.expect(200);
    assert_eq!((&shown["generation"], &shown["callback"]), (&json!(2), &json!(others)));
    assert!(receiver.requests().iter().all(|request| request.webhook_id() == sent));
    assert_ne!(first, others);
}

#[tokio::test]
async fn trial_is_sent_once_and_its_result_is_the_answer() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/works", Behaviour::status(204));
    receiver.on("/fails", Behaviour::status(500));
    receiver.on("/hangs", Behaviour::slow(Duration::from_secs(20)));
    for (path, status, outcome) in [
        ("/works", "delivered", "success"),
        ("/fails", "exhausted", "http_error"),
        ("/hangs", "exhausted", "timeout"),
    ] {
        let settings = json!({"events": ["NOTHING"], "timeout_ms": 1_500, "format": "json"});
        let id = ringback.api.create_callback(&with(callback(&receiver.url(path)), settings)).await;
        let call = format!("/v1/callbacks/{id}/test");
        let answer = ringback.api.post(&call, &json!({})).await.expect(200);
        assert_eq!(
            (&answer["status"], &answer["attempt"]["outcome"]),
            (&json!(status), &json!(outcome))
        );
        let delivery =
            ringback.api.get(&format!("/v1/deliveries/{}", text(&answer["delivery"]))).await;
        let delivery = delivery.expect(200);
        assert_eq!(
            (&delivery["status"], attempts(&delivery).len()),
            (&json!(status), 1),
            "{delivery}"
        );
        assert_eq!(delivery["event_name"], "ringback.test");

        let shown = ringback.api.get(&format!("/v1/events/{}", text(&answer["event"]))).await;
        assert_eq!(shown.expect(200)["name"], "ringback.test");

        // Who has paused it wants to try it before it is resumed.
        let pause = format!("/v1/callbacks/{id}/pause");
        ringback.api.post(&pause, &json!({})).await.expect(200);
        let paused = ringback.api.post(&call, &json!({})).await.expect(200);
        assert_eq!(paused["attempt"]["outcome"], outcome);
        let switch = async |on: bool| {
            let enabled = json!({"enabled": on});
            ringback.api.patch(&format!("/v1/callbacks/{id}"), &enabled).await.expect(200);
        };
        switch(false).await;
        ringback.api.post(&call, &json!({})).await.expect_problem(409);
        switch(true).await;
    }
    let works = text(&ringback.api.list("/v1/callbacks").await[2]["id"]);
    let terminal = Terminal::of(&ringback);
    let variables = r#"{"COMMENT_ID":178}"#;
    let line =
        ["callbacks", "test", &works, "--event", "COMMENT_CREATED", "--variables", variables];
    assert!(terminal.ok(&line).await.contains("204"));
    let body = receiver.requests_to("/works")[2].text();
    assert!(body.contains("COMMENT_CREATED") && body.contains("178"), "{body}");
    let fails = text(&ringback.api.list("/v1/callbacks").await[1]["id"]);
    let (code, said) = terminal.run(&["callbacks", "test", &fails]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("500"), "{said}");
}
