//! One event that very many want.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use ringback_testkit::{Behaviour, Receiver};
use serde_json::json;

use super::cluster::{Cluster, Part, Shape};
use super::duplicates::{assert_explained, duplicates, summary};
use crate::metrics::Scrape;
use crate::support::{Api, callback, event, eventually, with};

const CALLBACKS: usize = 2_000;
/// How many of the requests each of two workers makes, at least: they are handed out in turn, in parts of unequal size.
const SHARE_MIN: f64 = 500.0;
/// Long enough for a loaded machine; what a dead worker had in hand comes so much later.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_reaches_two_thousand_callbacks_though_a_worker_is_killed() {
    let mut cluster = Cluster::start(Shape { workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::slow(Duration::from_millis(300)));
    let timeout = json!({"timeout_ms": TIMEOUT.as_millis()});
    let urls = (0..CALLBACKS).map(|number| receiver.url(&format!("/hook/{number}")));
    let urls = urls.map(|url| with(callback(&url), timeout.clone()));
    futures_util::stream::iter(urls)
        .for_each_concurrent(16, async |callback| {
            cluster.api().create_callback(&callback).await;
        })
        .await;

    // It is split: a worker is not left alone with all of it.
    let id = cluster.ingest().send(&event("COMMENT_CREATED")).await;
    all_delivered(cluster.api(), &id).await;
    for worker in &cluster.workers {
        let attempts = Scrape::of([&worker.api]).await.sum("ringback_attempts_total", &[]);
        assert!(attempts >= SHARE_MIN, "{attempts} of {CALLBACKS} attempts");
    }
    let before = receiver.total();

    let sent = Instant::now();
    let id = cluster.ingest().send(&event("COMMENT_CREATED")).await;
    receiver.wait_for(before + CALLBACKS as u64 / 4, LONG).await;
    let kill = cluster.kill_and_start_again(Part::Worker(0)).await;
    let all_came = async || (receiver.tallies().len() == 2 * CALLBACKS).then_some(());
    eventually("request to each callback", LONG, all_came).await;
    let came = sent.elapsed();
    all_delivered(cluster.api(), &id).await;
    let deliveries = cluster.api().list(&format!("/v1/deliveries?event={id}")).await;
    let callbacks: HashSet<_> =
        deliveries.iter().map(|delivery| delivery["callback"].as_str()).collect();
    assert_eq!((deliveries.len(), callbacks.len()), (CALLBACKS, CALLBACKS));
    cluster.servers.wait_for_empty_queues().await;

    let requests = receiver.requests();
    let duplicates = duplicates(&requests, TIMEOUT);
    println!(
        "one event to {CALLBACKS} callbacks in {came:?}, {} requests; {} duplicates: {}",
        requests.len(),
        duplicates.len(),
        summary(&duplicates, &[kill]),
    );
    assert!(!duplicates.is_empty(), "it was killed with requests under way");
    assert_explained(&duplicates, &[kill], Duration::from_secs(2));
}

async fn all_delivered(api: &Api, event: &str) {
    let delivered = format!("/v1/deliveries?event={event}&status=delivered");
    eventually("delivery to each callback", LONG, async || {
        (api.list(&delivered).await.len() == CALLBACKS).then_some(())
    })
    .await;
}
