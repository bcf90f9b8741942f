//! CloudEvents on RabbitMQ, published by the public library for them.

use ringback_testkit::Receiver;

use super::cluster::{Cluster, Shape};
use crate::cloud_events::produce;
use crate::support::{SOON, callback};

#[tokio::test]
async fn cloud_events_on_the_exchange_are_taken_in_each_mode() {
    let cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let directory = tempfile::tempdir().expect("a directory");
    let url = cluster.servers.rabbitmq.url();
    produce(directory.path(), &["amqp", &url, "ringback.events"]).await;

    receiver.wait_for_ended(2, SOON).await;
    cluster.servers.wait_for_empty_queues().await;
    let events = cluster.api().list("/v1/events").await;
    assert_eq!(
        events.len(),
        2,
        "source and id identify, however the headers are named: {events:?}"
    );
    for event in &events {
        assert_eq!(event["account"], "acme", "{event}");
        assert_eq!(event["time"], "2026-01-02T03:04:05.000Z", "{event}");
        assert_eq!(event["variables"]["COMMENT_ID"], 178, "{event}");
    }
    assert_eq!(receiver.total(), 2);
}
