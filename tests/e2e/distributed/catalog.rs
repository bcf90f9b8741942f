//! The catalog between processes: changed at the console, kept to by each ingest, whoever the producer speaks to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::{Cluster, Shape};
use super::producers::{Amqp, header};
use crate::support::{Api, SOON, eventually};

/// How long after its answer a change may take to reach an ingest.
const FRESHNESS: Duration = Duration::from_secs(1);

fn order(id: &Value) -> Value {
    json!({"name": "ORDER_PAID", "account": "acme", "variables": {"ORDER_ID": id}})
}

/// Sends until the answer has this status; gives how long that took.
async fn until(ingest: &Api, event: &Value, status: u16) -> Duration {
    let begun = Instant::now();
    eventually("answer as expected", SOON, async || {
        let asked = begun.elapsed();
        (ingest.post("/v1/events", event).await.status == status).then_some(asked)
    })
    .await
}

#[tokio::test]
async fn type_counts_in_every_ingest_within_a_second_and_while_the_store_is_away() {
    let mut cluster = Cluster::start(Shape { ingests: 2, ..Shape::default() }).await;
    let bad = order(&json!("one"));
    for ingest in &cluster.ingests {
        ingest.api.send(&bad).await;
    }
    let kind = json!({"variables": [{"name": "ORDER_ID", "type": "integer"}]});
    cluster.api().put("/v1/event-types/ORDER_PAID", &kind).await.expect(201);
    for ingest in &cluster.ingests {
        let took = until(&ingest.api, &bad, 422).await;
        assert!(took < FRESHNESS, "{took:?}");
    }

    // By AMQP it is set aside, with the reason.
    let amqp = Amqp::connect(&cluster.servers).await;
    amqp.publish("acme.ORDER_PAID", bad.to_string().as_bytes(), None).await;
    let rejected = eventually("rejected message", SOON, async || {
        let mut seen = amqp.peek("ringback.rejected").await;
        (seen.len() == 1).then(|| seen.remove(0))
    });
    let (_, headers) = rejected.await;
    assert_eq!(header(&headers, "x-ringback-reason"), "invalid");
    assert_eq!(
        header(&headers, "x-ringback-detail"),
        "/variables/ORDER_ID: ORDER_ID is a whole number, got a string"
    );

    cluster.api().put("/v1/accounts/acme", &json!({"strict": true})).await.expect(200);
    let unknown = json!({"name": "ORDER_SENT", "account": "acme"});
    for ingest in &cluster.ingests {
        let took = until(&ingest.api, &unknown, 422).await;
        assert!(took < FRESHNESS, "{took:?}");
    }

    // What was known last counts.
    cluster.servers.postgres.kill9().await.expect("it runs");
    for ingest in &cluster.ingests {
        ingest.api.post("/v1/events", &bad).await.expect_problem(422);
        ingest.api.post("/v1/events", &unknown).await.expect_problem(422);
        ingest.api.send(&order(&json!(1))).await;
    }
    cluster.servers.postgres.start_again().await.expect("it starts");
    // The one that was set aside stays.
    let rejected = [("ringback.rejected".to_owned(), 1)];
    eventually("all else off the queues", SOON, async || {
        (cluster.servers.queues_with_messages().await == rejected).then_some(())
    })
    .await;
}
