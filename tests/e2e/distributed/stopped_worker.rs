//! A worker that stands still for so long that the others take it for dead, and then goes on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ringback_testkit::{Behaviour, Receiver};
use serde_json::json;

use super::cluster::{Cluster, Part, ServerSettings, Shape};
use super::duplicates::{Kill, duplicates, summary};
use crate::metrics::Scrape;
use crate::support::{callback, event, eventually, with};

const EVENTS: usize = 600;
/// Each is a message of its own, so that both workers get their share.
const BATCHES: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a claim is held that nobody gives up: its timeout and 15 s. The request begins up to 7 s later.
const HELD_MIN: Duration = Duration::from_secs(2 + 15 - 7);
/// Of RabbitMQ, in seconds. After twice as long it gives to others what the stopped worker had, long before its claims run out.
const HEARTBEAT: &str = "{heartbeat, 2}";
const LONG: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_stands_still_past_its_lease_loses_nothing() {
    let mut servers = ServerSettings::default();
    let config = servers.rabbitmq.advanced_config.as_mut().expect("it is shipped");
    *config = config.replacen("{rabbit, [", &format!("{{rabbit, [{HEARTBEAT}, "), 1);
    assert!(config.contains(HEARTBEAT), "{config}");
    let cluster = Cluster::start(Shape { workers: 2, servers, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    // Long enough that there are always requests under way.
    receiver.on_others(Behaviour::slow(Duration::from_millis(300)));
    let policy = json!({
        "timeout_ms": TIMEOUT.as_millis(), "retry": {"delay_seconds": 1, "max_retries": 100},
    });
    cluster.api().create_callback(&with(callback(&receiver.url("/hook")), policy)).await;
    let mut ids = HashSet::new();
    for _ in 0..BATCHES {
        let batch: Vec<_> = (0..EVENTS / BATCHES).map(|_| event("COMMENT_CREATED")).collect();
        let answer = cluster.ingest().post("/v1/events", &json!(batch)).await.expect(202);
        ids.extend(answer["data"].as_array().expect("an array").iter().cloned());
    }
    assert_eq!(ids.len(), EVENTS);

    receiver.wait_for(100, LONG).await;
    eventually("worker in the middle of requests", LONG, async || {
        let scrape = Scrape::of([&cluster.workers[0].api]).await;
        (scrape.sum("ringback_deliveries_in_flight", &[]) > 0.0).then_some(())
    })
    .await;
    let asked = Instant::now();
    cluster.workers[0].pause();
    let stopped = Instant::now();
    // The other one takes over all that the stopped one had in its hands, when its connection and its claims have run out.
    let all_came = async || {
        let tallies = receiver.tallies();
        (tallies.len() == EVENTS && receiver.open_now() == 0).then_some(())
    };
    eventually("request for each event", LONG, all_came).await;
    // What was in its hands for the first time has no row yet, so it is not `pending` either.
    eventually("delivery of each event", LONG, async || {
        let delivered = cluster.api().list("/v1/deliveries?status=delivered").await;
        (delivered.len() == EVENTS).then_some(())
    })
    .await;
    let taken_over = stopped.elapsed();
    let total = receiver.total();

    // It goes on where it stopped: the answers are there, and it records what others have recorded meanwhile.
    cluster.workers[0].resume();
    let resumed = Instant::now();
    eventually("worker that is ready", LONG, async || {
        (cluster.workers[0].readiness().await.body["status"] == "ready").then_some(())
    })
    .await;
    cluster.servers.wait_for_empty_queues().await;
    let delivered = cluster.api().list("/v1/deliveries?status=delivered").await;
    assert_eq!(delivered.len(), EVENTS);
    assert_eq!(cluster.api().list("/v1/deliveries").await.len(), EVENTS);

    let requests = receiver.requests();
    let stop = Kill { part: Part::Worker(0), asked, dead: resumed, back: resumed };
    let duplicates = duplicates(&requests, TIMEOUT);
    println!(
        "taken over after {taken_over:?}; {} requests, {} of them after the stopped worker went on; {} duplicates: {}",
        requests.len(),
        requests.len() as u64 - total,
        duplicates.len(),
        summary(&duplicates, &[stop]),
    );
    super::duplicates::assert_explained(&duplicates, &[stop], Duration::from_secs(1));
    // It had requests in hand whose answers came while it stood still. Nobody else made them before its claims had run out.
    let held = duplicates.iter().filter(|pair| {
        pair.first.arrived < stopped && pair.first.ended.is_none_or(|at| at > asked)
    });
    let soonest = held.map(|pair| pair.second.arrived - pair.first.arrived).min();
    let soonest = soonest.expect("it was stopped with requests under way");
    assert!(soonest >= HELD_MIN, "taken over after {soonest:?}");
    // No more than it may have under way to one callback at once.
    assert!(duplicates.len() <= 32 + 32, "{} duplicates", duplicates.len());
}
