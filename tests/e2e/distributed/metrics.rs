//! Metrics of many processes: their sums are what happened, and what dies leaves nothing wrong behind.

use std::time::{Duration, Instant};

use ringback_testkit::{Behaviour, Receiver};
use serde_json::json;

use super::cluster::{Cluster, Node, Part, Shape};
use super::producers::Amqp;
use crate::metrics::{Scrape, assert_counted, cancel_the_rest, expected, make};
use crate::support::{Api, SOON, callback, event, eventually, with};

/// A scrape takes no longer, whatever is away.
const QUICKLY: Duration = Duration::from_secs(2);

fn apis(nodes: &[Node]) -> impl Iterator<Item = &Api> {
    nodes.iter().map(|node| &node.api)
}

#[tokio::test]
async fn sums_over_all_processes_agree_with_what_the_receiver_counted() {
    const EVENTS: u32 = 10;
    let cluster = Cluster::start(Shape { workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    let expected = expected();
    let ids = make(cluster.api(), &receiver, &expected).await;
    let amqp = Amqp::connect(&cluster.servers).await;
    for number in 0..EVENTS {
        for one in &expected {
            if number % 2 == 0 {
                cluster.ingest().send(&event(one.name)).await;
            } else {
                let body = event(one.name).to_string();
                amqp.publish("acme.A", body.as_bytes(), None).await;
            }
        }
    }
    amqp.publish("acme.A", b"{", None).await;
    cancel_the_rest(cluster.api(), EVENTS as usize).await;
    let callbacks: Vec<_> = expected.into_iter().zip(ids).collect();
    let all: Vec<_> = apis(&cluster.workers)
        .chain(apis(&cluster.consoles))
        .chain(apis(&cluster.ingests))
        .collect();
    assert_counted(&all, &receiver, &callbacks, EVENTS).await;

    let scrape = Scrape::of(all.iter().copied()).await;
    for source in ["http", "amqp"] {
        let accepted = scrape.sum("ringback_events_accepted_total", &[("source", source)]);
        assert_eq!(accepted, f64::from(EVENTS) * 3.0, "{source}");
    }
    let rejected = [("source", "amqp"), ("reason", "not_json")];
    assert_eq!(scrape.sum("ringback_events_rejected_total", &rejected), 1.0);
    eventually("what was set aside", SOON, async || {
        let scrape = Scrape::of([cluster.api()]).await;
        let messages = |queue| scrape.sum("ringback_queue_messages", &[("queue", queue)]);
        (messages("rejected") == 1.0 && messages("fresh") == 0.0).then_some(())
    })
    .await;

    // Each role tells what is its own.
    let of_worker = Scrape::of([all[0]]).await;
    assert!(of_worker.values("ringback_events_accepted_total", &[]).is_empty());
    assert!(of_worker.values("ringback_queue_messages", &[]).is_empty());
    let of_console = Scrape::of([cluster.api()]).await;
    assert!(of_console.values("ringback_attempts_total", &[]).is_empty());
    assert!(of_console.values("ringback_circuit_state", &[]).is_empty());
}

/// Killed with requests under way, or stopped in good order: what it counted as being so is so no more.
#[tokio::test]
async fn worker_that_dies_leaves_no_wrong_gauge() {
    let mut cluster = Cluster::start(Shape { workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/hook", Behaviour::Hang);
    let settings = json!({
        "events": ["HANGS"], "timeout_ms": 15_000, "max_in_flight": 100, "circuit": {"enabled": false},
    });
    cluster.api().create_callback(&with(callback(&receiver.url("/hook")), settings)).await;
    let failing = json!({
        "events": ["FAILS"], "circuit": {"failures": 1, "open_seconds": 600}, "retry": {"enabled": false},
    });
    receiver.on("/fails", Behaviour::status(500));
    let failing = with(callback(&receiver.url("/fails")), failing);
    let failing = cluster.api().create_callback(&failing).await;
    for _ in 0..20 {
        cluster.ingest().send(&event("HANGS")).await;
    }
    let in_flight = async |cluster: &Cluster| {
        Scrape::of(apis(&cluster.workers)).await.sum("ringback_deliveries_in_flight", &[])
    };
    eventually("requests under way", SOON, async || {
        (in_flight(&cluster).await == 20.0).then_some(())
    })
    .await;
    cluster.ingest().send(&event("FAILS")).await;
    eventually("an open circuit", SOON, async || {
        let scrape = Scrape::of(apis(&cluster.workers)).await;
        let states = scrape.values("ringback_circuit_state", &[("callback", &failing)]);
        states.contains(&2.0).then_some(())
    })
    .await;

    receiver.on("/hook", Behaviour::status(204));
    for number in 0..2 {
        cluster.kill_and_start_again(Part::Worker(number)).await;
    }
    let left_nothing = async |cluster: &Cluster| {
        eventually("nothing in flight, and no circuit open", SOON * 3, async || {
            let scrape = Scrape::of(apis(&cluster.workers)).await;
            let in_flight = scrape.sum("ringback_deliveries_in_flight", &[]);
            let held = scrape.sum("ringback_dispatches_held", &[]);
            let open = scrape.sum("ringback_circuit_state", &[("callback", &failing)]);
            let delivered = receiver.requests_to("/hook").len() >= 40;
            (delivered && in_flight == 0.0 && held == 0.0 && open == 0.0).then_some(())
        })
        .await;
    };
    left_nothing(&cluster).await;
    for worker in &mut cluster.workers {
        worker.stop().await;
        worker.start_again().await;
    }
    left_nothing(&cluster).await;
}

#[tokio::test]
async fn server_that_is_away_is_told_and_no_scrape_waits_for_it() {
    let mut cluster = Cluster::start(Shape::default()).await;
    let all = |cluster: &Cluster| -> Vec<Api> {
        let nodes = [&cluster.ingests, &cluster.workers, &cluster.consoles];
        nodes.into_iter().flat_map(|nodes| apis(nodes).cloned()).collect()
    };
    let apis = all(&cluster);
    let up = async |dependency: &str, expected: f64| {
        eventually(&format!("{dependency}: {expected} everywhere"), SOON * 2, async || {
            for api in &apis {
                let asked = Instant::now();
                let scrape = Scrape::of([api]).await;
                assert!(asked.elapsed() < QUICKLY, "{dependency}: {:?}", asked.elapsed());
                let labels = [("dependency", dependency)];
                if scrape.values("ringback_dependency_up", &labels) != [expected] {
                    return None;
                }
            }
            Some(())
        })
        .await;
    };
    let series = async |name: &str| {
        let console = apis.last().expect("there is a console");
        Scrape::of([console]).await.values(name, &[]).len()
    };
    let parts = [
        (Part::Redis, "idempotency", None),
        (Part::Rabbitmq, "broker", Some("ringback_queue_messages")),
        (Part::Postgres, "store", Some("ringback_deliveries_overdue")),
    ];
    for (part, dependency, gone) in parts {
        up(dependency, 1.0).await;
        cluster.kill(part).await;
        up(dependency, 0.0).await;
        if let Some(gone) = gone {
            eventually(&format!("end of {gone}"), SOON, async || {
                (series(gone).await == 0).then_some(())
            })
            .await;
        }
        cluster.start_again(part).await;
        up(dependency, 1.0).await;
        if let Some(gone) = gone {
            eventually(&format!("{gone} again"), SOON, async || {
                (series(gone).await > 0).then_some(())
            })
            .await;
        }
    }
}

/// RabbitMQ tells nobody how old its messages are.
#[tokio::test]
async fn queue_without_a_worker_grows_old() {
    let mut cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    cluster.workers[0].stop().await;
    let sent = cluster.ingest().send(&event("WAITS")).await;
    eventually("age of what nobody takes", SOON, async || {
        let scrape = Scrape::of([cluster.api()]).await;
        (scrape.sum("ringback_oldest_pending_seconds", &[]) >= 5.0).then_some(())
    })
    .await;
    let scrape = Scrape::of([cluster.api()]).await;
    assert_eq!(scrape.sum("ringback_queue_messages", &[("queue", "fresh")]), 1.0);
    cluster.workers[0].start_again().await;
    cluster.api().settled_delivery(&sent).await;
    eventually("nothing that is old", SOON, async || {
        let all = [cluster.api(), &cluster.workers[0].api];
        let oldest = Scrape::of(all).await.values("ringback_oldest_pending_seconds", &[]);
        (oldest == [0.0, 0.0]).then_some(())
    })
    .await;
}
