//! A server goes away while all else stays: what still works, what waits, and that nobody has to be started afresh.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use super::cluster::{Cluster, Shape};
use super::producers::Amqp;
use crate::support::{Answer, Api, SOON, callback, event, eventually, text, with};

/// An ingest that can't have an event made durable says so within 2 s: it waits for 1.5 s, and the rest is for a busy machine.
const AT_ONCE: Duration = Duration::from_millis(2_000);
const LONG: Duration = Duration::from_secs(60);

/// A callback that is tried again however often it fails: its circuit stays closed.
fn tireless(url: &str) -> Value {
    with(callback(url), json!({"circuit": {"enabled": false}}))
}

/// Has an event accepted, asking again while the answer is 503. Gives its id.
async fn accepted_again(ingest: &Api) -> String {
    let body = with(event("COMMENT_CREATED"), json!({"id": event_id().to_string()}));
    let accepted = eventually("event that is accepted", LONG, async || {
        let answer = ingest.post("/v1/events", &body).await;
        assert!([202, 409, 503].contains(&answer.status), "{answer:?}");
        (answer.status == 202).then_some(answer.body)
    });
    text(&accepted.await["id"])
}

/// Sends events in each way there is, all at once; gives the answers, each of which came [`AT_ONCE`].
async fn answers_at_once(ingest: &Api) -> Vec<Answer> {
    let fresh = || event("COMMENT_CREATED").to_string();
    let with_id =
        || with(event("COMMENT_CREATED"), json!({"id": event_id().to_string()})).to_string();
    let key = event_id().to_string();
    let array = json!((0..200).map(|_| event("COMMENT_CREATED")).collect::<Vec<_>>()).to_string();
    let requests = [(fresh(), None), (with_id(), None), (fresh(), Some(key)), (array, None)];
    let answers = requests.into_iter().map(async |(body, key)| {
        let key = key.as_deref().map(|key| ("idempotency-key", key));
        let asked = Instant::now();
        let answer = ingest.request(Method::POST, "/v1/events", Some(body), key.as_slice()).await;
        assert!(asked.elapsed() < AT_ONCE, "an answer after {:?}: {answer:?}", asked.elapsed());
        answer.expect("it answers")
    });
    join_all(answers).await
}

/// The ids of the events that these answers accepted.
fn accepted_ids(answers: &[Answer]) -> Vec<String> {
    let accepted = answers.iter().filter(|answer| answer.status == 202);
    let ids = accepted.flat_map(|answer| match answer.body["data"].as_array() {
        Some(many) => many.iter().map(|one| text(&one["id"])).collect(),
        None => vec![text(&answer.body["id"])],
    });
    ids.collect()
}

#[track_caller]
fn assert_refused(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.retry_after.parse::<u32>().is_ok(), "{answer:?}");
        assert_eq!(answer.content_type, "application/problem+json", "{answer:?}");
    }
}

async fn all_delivered(cluster: &Cluster, ids: &[String]) {
    for id in ids {
        let delivery = cluster.api().settled_delivery(id).await;
        assert_eq!(delivery["status"], "delivered", "{delivery}");
    }
}

#[tokio::test]
async fn ingest_refuses_at_once_while_rabbitmq_is_away_and_accepts_when_it_is_back() {
    let mut cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let mut accepted = vec![cluster.ingest().send(&event("COMMENT_CREATED")).await];

    cluster.servers.rabbitmq.kill9().await.expect("it runs");
    for _ in 0..3 {
        assert_refused(&answers_at_once(cluster.ingest()).await);
    }
    let readiness = cluster.ingests[0].readiness().await.expect(503);
    assert_ne!(readiness["checks"]["broker"], "ok", "{readiness}");
    let said = cluster.ingests[0].said();
    let times = said.matches("requests are refused for want of the queue").count();
    assert!((1..=2).contains(&times), "once in ten seconds: {said}");
    cluster.servers.rabbitmq.start_again().await.expect("it starts");
    accepted.push(accepted_again(cluster.ingest()).await);
    all_delivered(&cluster, &accepted).await;
    eventually("ready worker", SOON, async || {
        (cluster.workers[0].readiness().await.status == 200).then_some(())
    })
    .await;
    cluster.servers.wait_for_empty_queues().await;
}

#[tokio::test]
async fn ingest_never_hangs_while_rabbitmq_stands_still_or_takes_no_more() {
    let cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let mut accepted = vec![accepted_again(cluster.ingest()).await];

    let rabbitmq = &cluster.servers.rabbitmq;
    rabbitmq.pause().await.expect("it runs");
    for _ in 0..3 {
        assert_refused(&answers_at_once(cluster.ingest()).await);
    }
    rabbitmq.resume().await.expect("it runs");
    accepted.push(accepted_again(cluster.ingest()).await);

    // Its memory alarm: it takes nothing more from those who publish.
    rabbitmq.ctl(&["set_vm_memory_high_watermark", "0.000001"]).await.expect("it is told");
    eventually("answer that refuses", SOON, async || {
        let answers = answers_at_once(cluster.ingest()).await;
        accepted.extend(accepted_ids(&answers));
        answers.iter().all(|answer| answer.status == 503).then_some(())
    })
    .await;
    assert_refused(&answers_at_once(cluster.ingest()).await);
    rabbitmq.ctl(&["set_vm_memory_high_watermark", "0.6"]).await.expect("it is told");
    accepted.push(accepted_again(cluster.ingest()).await);
    all_delivered(&cluster, &accepted).await;
    cluster.servers.wait_for_empty_queues().await;
}

#[tokio::test]
async fn ingest_refuses_at_once_while_the_queue_is_full_and_loses_nothing_that_it_accepted() {
    const FULL: &str = r#"{"max-length": 5}"#;
    let mut cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let mut accepted = vec![accepted_again(cluster.ingest()).await];
    all_delivered(&cluster, &accepted).await;
    // Nobody empties it.
    cluster.workers[0].kill9().await;
    let amqp = Amqp::connect(&cluster.servers).await;
    let rabbitmq = &cluster.servers.rabbitmq;
    let policy = ["set_policy", "full", r"^ringback\.v1\.dispatch\.", FULL, "--apply-to", "queues"];
    rabbitmq.ctl(&policy).await.expect("it is told");

    eventually("answer that refuses", SOON, async || {
        let answers = answers_at_once(cluster.ingest()).await;
        accepted.extend(accepted_ids(&answers));
        answers.iter().all(|answer| answer.status == 503).then_some(())
    })
    .await;
    // Said once in ten seconds, so perhaps not of the first of them.
    eventually("log of a refusal by RabbitMQ that is not away", SOON, async || {
        assert_refused(&answers_at_once(cluster.ingest()).await);
        cluster.ingests[0].said().contains("basic.nack").then_some(())
    })
    .await;
    // What a producer has put on RabbitMQ itself waits there.
    let published = event_id().to_string();
    let body = event("COMMENT_CREATED").to_string();
    amqp.publish("acme.COMMENT_CREATED", body.as_bytes(), Some(&published)).await;
    accepted.push(published);
    let refused = with(event("COMMENT_CREATED"), json!({"id": event_id().to_string()}));
    cluster.ingest().post("/v1/events", &refused).await.expect_problem(503);

    // The limit stays, and there is room again: who was refused is taken again, by the same process.
    cluster.workers[0].start_again().await;
    accepted.push(accepted_again(cluster.ingest()).await);
    // What was refused was not remembered as if it had been accepted.
    let again = cluster.ingest().post("/v1/events", &refused).await.expect(202);
    assert_eq!(again["duplicate"], Value::Null, "{again}");
    accepted.push(text(&again["id"]));
    cluster.servers.rabbitmq.ctl(&["clear_policy", "full"]).await.expect("it is told");
    accepted.push(accepted_again(cluster.ingest()).await);
    all_delivered(&cluster, &accepted).await;
    cluster.servers.wait_for_empty_queues().await;
    let readiness = cluster.ingests[0].readiness().await.expect(200);
    assert_eq!(readiness["status"], "ready", "{readiness}");
}

#[tokio::test]
async fn retry_that_the_queue_refuses_is_put_there_when_it_takes_it() {
    const FULL: &str = r#"{"max-length": 1}"#;
    let cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::fail_first(1, 500));
    cluster.api().create_callback(&tireless(&receiver.url("/hook"))).await;
    let policy = ["set_policy", "full", r"^ringback\.v1\.delay\.", FULL, "--apply-to", "queues"];
    cluster.servers.rabbitmq.ctl(&policy).await.expect("it is told");

    // One after the other, so that retries come in many messages, of which each level of the ladder takes one.
    let mut accepted = Vec::new();
    eventually("retry that is refused", LONG, async || {
        accepted.push(accepted_again(cluster.ingest()).await);
        let said = cluster.workers[0].said();
        (said.contains("can't publish for later") && said.contains("basic.nack")).then_some(())
    })
    .await;
    all_delivered(&cluster, &accepted).await;
    let received = receiver.tallies();
    assert_eq!(received.len(), accepted.len());
    assert!(received.values().all(|tally| tally.count == 2), "{received:?}");
    cluster.servers.wait_for_empty_queues().await;
}

#[tokio::test]
async fn without_redis_events_are_delivered_and_readiness_says_so() {
    let mut cluster = Cluster::start(Shape { ingests: 2, workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::fail_first(1, 500));
    cluster.api().create_callback(&tireless(&receiver.url("/hook"))).await;
    accepted_again(cluster.ingest()).await;

    cluster.servers.redis.kill9().await.expect("it runs");
    let mut accepted = Vec::new();
    for _ in 0..5 {
        let answers = answers_at_once(cluster.ingest()).await;
        assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
        accepted.extend(accepted_ids(&answers));
    }
    all_delivered(&cluster, &accepted).await;
    for node in cluster.ingests.iter().chain(&cluster.workers) {
        let readiness = node.readiness().await.expect(200);
        assert_eq!(readiness["status"], "degraded", "{readiness}");
        assert_ne!(readiness["checks"]["idempotency"], "ok", "{readiness}");
        assert_eq!(readiness["checks"]["broker"], "ok", "{readiness}");
    }
    let received: HashSet<_> = receiver.tallies().into_keys().collect();
    assert_eq!(received.len(), accepted.len() + 1);

    cluster.servers.redis.start_again().await.expect("it starts");
    for node in cluster.ingests.iter().chain(&cluster.workers) {
        eventually("process that is ready", SOON, async || {
            (node.readiness().await.body["status"] == "ready").then_some(())
        })
        .await;
    }
    // Used again: what one ingest was told, the other one knows.
    let body = with(event("COMMENT_CREATED"), json!({"id": event_id().to_string()}));
    let first = cluster.ingests[0].api.post("/v1/events", &body).await.expect(202);
    assert_eq!(first["duplicate"], Value::Null, "{first}");
    let second = cluster.ingests[1].api.post("/v1/events", &body).await.expect(202);
    assert_eq!(second["duplicate"], true, "{second}");
    cluster.servers.wait_for_empty_queues().await;
}

#[tokio::test]
async fn without_postgresql_events_are_accepted_and_delivered_when_it_is_back() {
    let mut cluster = Cluster::start(Shape { workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/flaky", Behaviour::fail_first(1, 500));
    for path in ["/hook", "/flaky"] {
        cluster.api().create_callback(&tireless(&receiver.url(path))).await;
    }
    let before = accepted_again(cluster.ingest()).await;
    eventually("two deliveries", SOON, async || {
        let delivered = format!("/v1/deliveries?event={before}&status=delivered");
        (cluster.api().list(&delivered).await.len() == 2).then_some(())
    })
    .await;

    cluster.servers.postgres.kill9().await.expect("it runs");
    let mut accepted = vec![before];
    for _ in 0..10 {
        let answers = answers_at_once(cluster.ingest()).await;
        assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
        accepted.extend(accepted_ids(&answers));
    }
    let readiness = cluster.ingests[0].readiness().await.expect(200);
    assert_eq!(readiness["status"], "degraded", "{readiness}");
    assert_ne!(readiness["checks"]["store"], "ok", "{readiness}");
    cluster.workers[0].readiness().await.expect_status(503);
    let waiting: u64 =
        cluster.servers.queues_with_messages().await.iter().map(|(_, messages)| messages).sum();
    assert!(waiting > 0, "messages wait on the queue until what came of them can be recorded");

    cluster.servers.postgres.start_again().await.expect("it starts");
    let delivered = eventually("deliveries of all events", LONG, async || {
        let delivered = cluster.api().list("/v1/deliveries?status=delivered").await;
        (delivered.len() >= accepted.len() * 2).then_some(delivered)
    })
    .await;
    assert_eq!(delivered.len(), accepted.len() * 2);
    cluster.servers.wait_for_empty_queues().await;
    let events: HashSet<_> = delivered.iter().map(|delivery| text(&delivery["event"])).collect();
    assert_eq!(events, accepted.iter().cloned().collect());
    // Nobody died who had a request on the wire: each event came once, and once more where the first was refused.
    let twice: Vec<_> = receiver
        .tallies()
        .into_iter()
        .filter(|((path, _), tally)| tally.count != if path == "/flaky" { 2 } else { 1 })
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}

impl Answer {
    /// The answer, if the status is this one.
    #[track_caller]
    fn expect_status(self, status: u16) {
        self.expect(status);
    }
}
