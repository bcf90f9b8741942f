//! A receiver's limit holds for all workers together.

use std::time::{Duration, Instant};

use ringback_testkit::Receiver;
use serde_json::json;

use super::cluster::{Cluster, Shape};
use crate::support::{callback, event, eventually, with};

const EVENTS: usize = 1_000;
const PER_SECOND: usize = 50;
const BURST: usize = 10;
/// The limit is kept where requests are let go. Between there and here they may draw closer to each other: two that
/// left 20 ms apart come at once if the first had to open a connection.
const JITTER: usize = 3;
/// Nine tenths of the limit: of the first moments some go by while the backlog is still being sent away.
const RATE_MIN: f64 = 45.0;
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_keep_one_rate_limit_together() {
    let cluster = Cluster::start(Shape { workers: 3, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    let limit = json!({"rate_limit": {"per_second": PER_SECOND, "burst": BURST}});
    let limited =
        cluster.api().create_callback(&with(callback(&receiver.url("/hook")), limit)).await;
    let shown = cluster.api().get(&format!("/v1/callbacks/{limited}")).await.expect(200);
    assert_eq!(shown["rate_limit"], json!({"per_second": PER_SECOND, "burst": BURST}));

    let batch: Vec<_> = (0..EVENTS).map(|_| event("COMMENT_CREATED")).collect();
    let answer = cluster.ingest().post("/v1/events", &json!(batch)).await.expect(202);
    assert_eq!(answer["data"].as_array().map(Vec::len), Some(EVENTS));
    eventually("delivery that waits for the limit", LONG, async || {
        let pending =
            cluster.api().get("/v1/deliveries?status=pending&limit=200").await.expect(200);
        let pending = pending["data"].as_array()?.clone();
        pending.iter().any(|delivery| delivery["waits_for"] == "rate_limit").then_some(())
    })
    .await;
    receiver.wait_for_ended(EVENTS as u64, LONG).await;
    let delivered = eventually("delivered events", LONG, async || {
        let delivered = cluster.api().list("/v1/deliveries?status=delivered").await;
        (delivered.len() == EVENTS).then_some(delivered)
    })
    .await;
    assert!(delivered.iter().all(|delivery| delivery["attempts_made"] == 1));
    assert_eq!(receiver.total(), EVENTS as u64, "to wait is no attempt");

    let arrived: Vec<Instant> = receiver.requests().iter().map(|request| request.arrived).collect();
    let most = most_within_a_second(&arrived);
    let took = arrived[EVENTS - 1] - arrived[0];
    let rate = (EVENTS - BURST) as f64 / took.as_secs_f64();
    let mut each_second = vec![0; took.as_secs() as usize + 1];
    arrived.iter().for_each(|at| each_second[(*at - arrived[0]).as_secs() as usize] += 1);
    println!(
        "{EVENTS} requests in {took:?}: {rate:.1} a second, at most {most} within one; {each_second:?}"
    );
    assert!(most <= PER_SECOND + BURST + JITTER, "{most} requests within a second");
    assert!(rate >= RATE_MIN, "{rate:.1} requests a second");
}

fn most_within_a_second(arrived: &[Instant]) -> usize {
    let within = |start: &Instant| {
        let end = *start + Duration::from_secs(1);
        arrived.iter().filter(|at| (start..&end).contains(at)).count()
    };
    arrived.iter().map(within).max().unwrap_or_default()
}
