//! A receiver's limit holds for all workers together.

use std::ops::Add;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use ringback_core::Timestamp;
use ringback_testkit::Receiver;
use serde_json::{Value, json};

use super::cluster::{Cluster, Shape};
use crate::support::{Api, attempts, callback, event, eventually, text, with};

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
    let let_go = let_go(cluster.api(), &delivered).await;
    let most_let_go = most_within_a_second(&let_go);
    let took = arrived[EVENTS - 1] - arrived[0];
    let rate = (EVENTS - BURST) as f64 / took.as_secs_f64();
    let mut each_second = vec![0; took.as_secs() as usize + 1];
    arrived.iter().for_each(|at| each_second[(*at - arrived[0]).as_secs() as usize] += 1);
    println!(
        "{EVENTS} requests in {took:?}: {rate:.1} a second, at most {most} within one, {most_let_go} by the history; {each_second:?}"
    );
    // The burst, and after it one every 20 ms: 59 begin within a second if each does when it was let go, and one more for
    // each 20 ms that the first ones were late.
    let bound = PER_SECOND + BURST + JITTER;
    assert!(most_let_go <= bound, "{most_let_go} attempts begun within a second");
    assert!(most <= bound, "{most} requests within a second");
    assert!(rate >= RATE_MIN, "{rate:.1} requests a second");
}

/// When the attempts of these deliveries began, by the history, in order.
async fn let_go(api: &Api, deliveries: &[Value]) -> Vec<Timestamp> {
    let started = stream::iter(deliveries).map(async |delivery| {
        let path = format!("/v1/deliveries/{}", text(&delivery["id"]));
        let delivery = api.get(&path).await.expect(200);
        let started = text(&attempts(&delivery)[0]["started_at"]);
        started.parse::<Timestamp>().expect("a time")
    });
    let mut started: Vec<_> = started.buffer_unordered(8).collect().await;
    started.sort_unstable();
    started
}

fn most_within_a_second<T: Copy + Ord + Add<Duration, Output = T>>(times: &[T]) -> usize {
    let within = |start: &T| {
        let end = *start + Duration::from_secs(1);
        times.iter().filter(|at| (start..&end).contains(at)).count()
    };
    times.iter().map(within).max().unwrap_or_default()
}
