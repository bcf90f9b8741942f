//! One event that very many want.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use ringback_testkit::{Behaviour, Receiver};

use super::cluster::{Cluster, Part, Shape};
use super::duplicates::{assert_explained, duplicates, summary};
use crate::support::{callback, event, eventually};

const CALLBACKS: usize = 2_000;
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_reaches_two_thousand_callbacks_though_a_worker_is_killed() {
    let mut cluster = Cluster::start(Shape { workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::slow(Duration::from_millis(20)));
    let urls = (0..CALLBACKS).map(|number| callback(&receiver.url(&format!("/hook/{number}"))));
    futures_util::stream::iter(urls)
        .for_each_concurrent(16, async |callback| {
            cluster.api().create_callback(&callback).await;
        })
        .await;

    let sent = Instant::now();
    let id = cluster.ingest().send(&event("COMMENT_CREATED")).await;
    receiver.wait_for(CALLBACKS as u64 / 4, LONG).await;
    let kill = cluster.kill_and_start_again(Part::Worker(0)).await;
    let all_came = async || (receiver.tallies().len() == CALLBACKS).then_some(());
    eventually("request to each callback", LONG, all_came).await;
    let came = sent.elapsed();
    let delivered = format!("/v1/deliveries?event={id}&status=delivered");
    eventually("delivery to each callback", LONG, async || {
        (cluster.api().list(&delivered).await.len() == CALLBACKS).then_some(())
    })
    .await;
    let deliveries = cluster.api().list(&format!("/v1/deliveries?event={id}")).await;
    let callbacks: HashSet<_> =
        deliveries.iter().map(|delivery| delivery["callback"].as_str()).collect();
    assert_eq!((deliveries.len(), callbacks.len()), (CALLBACKS, CALLBACKS));
    cluster.servers.wait_for_empty_queues().await;

    let requests = receiver.requests();
    let duplicates = duplicates(&requests, Duration::from_secs(15));
    println!(
        "one event to {CALLBACKS} callbacks in {came:?}, {} requests; {} duplicates: {}",
        requests.len(),
        duplicates.len(),
        summary(&duplicates, &[kill]),
    );
    assert_explained(&duplicates, &[kill], Duration::from_secs(2));
}
