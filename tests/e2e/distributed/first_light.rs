//! An event's way through three processes, and what each of them gets to know of the others.

use std::time::{Duration, Instant};

use ringback_testkit::{Behaviour, Launch, Receiver, ringback_binary};
use serde_json::{Value, json};

use super::cluster::{Cluster, Shape};
use crate::support::{
    ADMIN_KEY, SOON, attempts, callback, callback_once, event, eventually, outcomes, text, with,
};

/// How long after its answer a change of a callback may take to reach the workers.
const FRESHNESS: Duration = Duration::from_secs(1);

#[tokio::test]
async fn event_goes_from_ingest_through_a_worker_into_the_console() {
    let cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::fail_first(1, 500));
    let callback = cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let sent = cluster.ingest().send(&event("COMMENT_CREATED")).await;
    let delivery = cluster.api().settled_delivery(&sent).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["callback"], callback.as_str());
    assert_eq!(outcomes(&delivery), ["http_error", "success"]);
    assert_eq!(attempts(&delivery)[1]["response"]["status"], 204);
    let shown = cluster.api().get(&format!("/v1/events/{sent}")).await.expect(200);
    assert_eq!(shown["variables"]["COMMENT_ID"], 178);
    assert_eq!(receiver.total(), 2);

    // Each role answers what is its own, and nothing else.
    cluster.ingest().get("/v1/callbacks").await.expect_problem(404);
    cluster.api().post("/v1/events", &event("COMMENT_CREATED")).await.expect_problem(405);
    cluster.workers[0].api.get("/v1/callbacks").await.expect_problem(404);
    for node in cluster.ingests.iter().chain(&cluster.workers).chain(&cluster.consoles) {
        let readiness = node.readiness().await.expect(200);
        assert_eq!(readiness["status"], "ready", "{readiness}");
    }
    cluster.servers.wait_for_empty_queues().await;
}

#[tokio::test]
async fn changes_of_callbacks_reach_the_workers_within_a_second() {
    let cluster = Cluster::start(Shape { workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    let api = cluster.api();
    let new = api.create_callback(&callback_once(&receiver.url("/new"))).await;
    until_all_workers_know(&cluster, &receiver, "new callback", |paths| paths == ["/new"]).await;

    let path = format!("/v1/callbacks/{new}");
    api.patch(&path, &json!({"url": receiver.url("/changed")})).await.expect(200);
    until_all_workers_know(&cluster, &receiver, "change", |paths| paths == ["/changed"]).await;

    // Another beside it, so that one sees that an event came by.
    api.create_callback(&callback_once(&receiver.url("/other"))).await;
    api.delete(&path).await.expect(204);
    until_all_workers_know(&cluster, &receiver, "removal", |paths| paths == ["/other"]).await;
}

/// Sends events until so many in a row went where they should that no worker can have an old list. The first of them
/// was sent within [`FRESHNESS`], or this fails.
async fn until_all_workers_know(
    cluster: &Cluster,
    receiver: &Receiver,
    what: &str,
    is_right: impl Fn(&[String]) -> bool,
) {
    const IN_A_ROW: usize = 8;
    const PATIENCE: Duration = Duration::from_millis(300);
    let changed = Instant::now();
    let mut right = 0;
    while right < IN_A_ROW {
        let sent_after = changed.elapsed();
        let id = cluster.ingest().send(&event("COMMENT_CREATED")).await;
        let path = format!("/v1/events/{id}");
        let deliveries = async || {
            let shown = cluster.api().get(&path).await;
            (shown.status == 200).then(|| shown.body["deliveries"].as_array().cloned())?
        };
        eventually("event in the history", SOON, deliveries).await;
        let settled = eventually("delivery that is done", SOON, async || {
            let deliveries = deliveries().await?;
            deliveries.iter().any(|delivery| delivery["status"] != "pending").then_some(())
        });
        // None if nobody matched, which is when the worker had not heard of the callback.
        let _nobody_matched = tokio::time::timeout(PATIENCE, settled).await;
        let came = receiver.requests().into_iter().filter(|request| request.webhook_id() == id);
        let mut paths: Vec<_> = came.map(|request| request.uri.path().to_owned()).collect();
        paths.sort();
        if is_right(&paths) {
            right += 1;
        } else {
            assert!(
                sent_after < FRESHNESS,
                "an event that was sent {sent_after:?} after the {what} went to {paths:?}"
            );
            right = 0;
        }
    }
}

#[tokio::test]
async fn attempts_are_shown_as_they_happen_in_another_process() {
    let cluster = Cluster::start(Shape { workers: 2, consoles: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;

    let launch = Launch::new(ringback_binary().expect("the binary is built"), "/")
        .arg("tail")
        .env("RINGBACK_URL", cluster.consoles[1].api.url())
        .env("RINGBACK_API_KEY", ADMIN_KEY);
    let tail = launch.start().expect("it starts");
    // Attempts before it listens are not shown: events go out until one is.
    let shown = async || {
        cluster.ingest().send(&event("TAILED")).await;
        tail.wait_for_line("TAILED", Duration::from_millis(500)).await.ok()
    };
    eventually("line of an attempt", SOON, shown).await;

    // Now that somebody listens, none is missed, whichever worker made it.
    let mut live = live_attempts(&cluster).await;
    for number in 0..10 {
        let sent = with(event("LIVE"), json!({"variables": {"NUMBER": number}}));
        let sent = cluster.ingest().send(&sent).await;
        let seen = tokio::time::timeout(SOON, next_of(&mut live, &sent)).await;
        let seen = seen.unwrap_or_else(|_| panic!("attempt {number} is not shown"));
        assert_eq!(seen["attempt"]["outcome"], "success", "{seen}");
        assert_eq!(seen["attempt"]["response"]["status"], 204, "{seen}");
    }
}

/// The stream of attempts of the first console, once it is open.
async fn live_attempts(cluster: &Cluster) -> Live {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/v1/attempts/live", cluster.api().url());
    let response = client.get(url).bearer_auth(ADMIN_KEY).send().await.expect("it answers");
    assert_eq!(response.status(), 200);
    let mut live = Live { response, buffer: String::new() };
    // Its beginning is not told: an event goes out until one is seen.
    let seen = async || {
        let sent = cluster.ingest().send(&event("LIVE")).await;
        tokio::time::timeout(Duration::from_millis(500), next_of(&mut live, &sent)).await.ok()
    };
    eventually("attempt on the stream", SOON, seen).await;
    live
}

/// A stream of server-sent events.
struct Live {
    response: reqwest::Response,
    buffer: String,
}

/// The next attempt of this event.
async fn next_of(live: &mut Live, event: &str) -> Value {
    loop {
        while let Some((line, rest)) = live.buffer.split_once('\n') {
            let data: Option<Value> =
                line.strip_prefix("data:").and_then(|data| serde_json::from_str(data).ok());
            live.buffer = rest.to_owned();
            if let Some(data) = data
                && text(&data["delivery"]["event"]) == event
            {
                return data;
            }
        }
        let chunk = live.response.chunk().await.expect("the stream goes on");
        let chunk = chunk.expect("the stream has no end");
        live.buffer.push_str(&String::from_utf8_lossy(&chunk));
    }
}
