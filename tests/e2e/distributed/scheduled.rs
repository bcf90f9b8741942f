//! Events that are to be delivered later, over RabbitMQ's ladder of delays.

use std::time::Duration;

use ringback_core::Timestamp;
use ringback_testkit::Receiver;

use super::cluster::{Cluster, Shape};
use crate::scheduled::in_future;
use crate::support::{SOON, callback, text};

#[tokio::test]
async fn scheduled_event_is_delivered_at_its_time_and_never_before() {
    let cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let (event, at) = in_future(Duration::from_secs(3));
    let id = cluster.ingest().send(&event).await;
    let waiting =
        cluster.api().delivery_when(&id, |delivery| delivery["status"] == "pending").await;
    assert_eq!(waiting["waits_for"], "scheduled", "{waiting}");
    receiver.wait_for_ended(1, SOON).await;
    let delivery = cluster.api().settled_delivery(&id).await;
    let started: Timestamp = text(&delivery["attempts"][0]["started_at"]).parse().expect("a time");
    assert!(started >= at, "{delivery}");
    assert!(started.since(at) < Duration::from_secs(2), "{delivery}");
}
