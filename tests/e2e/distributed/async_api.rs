//! RabbitMQ's side does what `docs/asyncapi.yaml` says: its examples are published as they stand there.

use ringback_testkit::{Launch, Receiver, python};
use serde_json::Value;

use super::cluster::{Cluster, Shape};
use crate::support::{SOON, callback};

#[tokio::test]
async fn examples_of_the_document_are_taken_and_delivered() {
    let cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let publish = Launch::new(python().expect("it is there"), cluster.servers.directory())
        .arg(format!("{root}/tests/python/publish_examples.py"))
        .arg(format!("{root}/docs/asyncapi.yaml"))
        .arg(cluster.servers.rabbitmq.url())
        .arg("ringback");
    let mut publish = publish.start().expect("it starts");
    let status = publish.wait_exit(SOON).await.expect("it ends");
    let output = publish.output();
    assert!(status.success(), "{output}");

    let published: Vec<Value> =
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(published.len() >= 3, "two events and a CloudEvent: {output}");
    receiver.wait_for_ended(published.len() as u64, SOON).await;
    cluster.servers.wait_for_empty_queues().await;
    let events = cluster.api().list("/v1/events").await;
    for example in &published {
        let name = example.get("name").unwrap_or(&example["type"]);
        assert!(events.iter().any(|event| event["name"] == *name), "{example}");
    }
    assert_eq!(events.len(), published.len());
}
