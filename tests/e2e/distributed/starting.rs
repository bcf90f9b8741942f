//! Processes that come and go.

use std::time::{Duration, Instant};

use ringback_testkit::{Behaviour, Receiver};
use serde_json::json;

use super::cluster::{Cluster, Shape};
use crate::support::{SOON, callback, event, eventually, with};

#[tokio::test]
async fn two_of_each_role_start_at_once_on_empty_servers() {
    let shape = Shape { ingests: 2, workers: 2, consoles: 2, ..Shape::default() };
    let cluster = Cluster::start(shape).await;
    for node in cluster.ingests.iter().chain(&cluster.workers).chain(&cluster.consoles) {
        eventually("process that is ready", SOON, async || {
            (node.readiness().await.body["status"] == "ready").then_some(())
        })
        .await;
    }
    let receiver = Receiver::start().await.expect("a port");
    cluster.consoles[0].api.create_callback(&callback(&receiver.url("/hook"))).await;
    let mut sent = Vec::new();
    for ingest in &cluster.ingests {
        sent.push(ingest.api.send(&event("COMMENT_CREATED")).await);
    }
    for event in &sent {
        let delivery = cluster.consoles[1].api.settled_delivery(event).await;
        assert_eq!(delivery["status"], "delivered");
    }
}

#[tokio::test]
async fn processes_wait_for_servers_that_are_not_there_yet() {
    let mut servers = super::cluster::Servers::start().await;
    servers.postgres.kill9().await.expect("it runs");
    let (ingest, worker, console) =
        (servers.launch("ingest"), servers.launch("worker"), servers.launch("console"));
    let starting = async {
        futures_util::join!(
            super::cluster::Node::start(ingest),
            super::cluster::Node::start(worker),
            super::cluster::Node::start(console),
        )
    };
    let database = async {
        // So long that each has found it missing.
        tokio::time::sleep(Duration::from_secs(2)).await;
        servers.postgres.start_again().await.expect("it starts");
    };
    let ((ingest, worker, console), ()) = futures_util::join!(starting, database);
    let receiver = Receiver::start().await.expect("a port");
    console.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let sent = ingest.api.send(&event("COMMENT_CREATED")).await;
    assert_eq!(console.api.settled_delivery(&sent).await["status"], "delivered");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_is_stopped_under_load_leaves_its_work_to_the_others() {
    const EVENTS: usize = 1_000;
    let mut cluster = Cluster::start(Shape { workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::slow(Duration::from_millis(100)));
    let policy = json!({"max_in_flight": 16});
    cluster.api().create_callback(&with(callback(&receiver.url("/hook")), policy)).await;
    let batch: Vec<_> = (0..EVENTS).map(|_| event("COMMENT_CREATED")).collect();
    cluster.ingest().post("/v1/events", &json!(batch)).await.expect(202);

    receiver.wait_for(100, SOON).await;
    let stopping = Instant::now();
    cluster.workers[0].stop().await;
    let stopped = stopping.elapsed();
    // What it had fetched is with the other now, without any waiting for a claim or a connection to run out.
    eventually("request for each event", SOON, async || {
        (receiver.tallies().len() == EVENTS && receiver.open_now() == 0).then_some(())
    })
    .await;
    let all = stopping.elapsed();
    println!("stopped in {stopped:?}, all {EVENTS} requests {all:?} after it was asked to");
    assert_eq!(receiver.total(), EVENTS as u64, "who stops in good order sends nothing twice");
    eventually("settled history", SOON, async || {
        let delivered = cluster.api().list("/v1/deliveries?status=delivered").await;
        (delivered.len() == EVENTS).then_some(())
    })
    .await;
    cluster.servers.wait_for_empty_queues().await;
}
