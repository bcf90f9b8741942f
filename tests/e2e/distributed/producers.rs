//! Producers that put their events on RabbitMQ themselves.

use std::time::Duration;

use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use ringback_testkit::builders::event_id;
use ringback_testkit::{Launch, Receiver};
use serde_json::{Value, json};

use super::cluster::{Cluster, Part, Servers, Shape};
use crate::support::{SOON, callback, event, eventually, with};

const LONG: Duration = Duration::from_secs(60);
const EXCHANGE: &str = "ringback.events";
const REJECTED: &str = "ringback.rejected";
const KEY: &str = "acme.COMMENT_CREATED";

/// A program that speaks AMQP.
pub(super) struct Amqp {
    channel: Channel,
    _connection: Connection,
}

impl Amqp {
    pub(super) async fn connect(servers: &Servers) -> Self {
        // The first one wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = servers.rabbitmq.url();
        let connection = Connection::connect(&url, ConnectionProperties::default()).await;
        let connection = connection.expect("RabbitMQ takes connections");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("it confirms");
        Self { channel, _connection: connection }
    }

    /// Publishes a persistent message and waits until RabbitMQ has it.
    pub(super) async fn publish(&self, key: &str, body: &[u8], message_id: Option<&str>) {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into());
        if let Some(id) = message_id {
            properties = properties.with_message_id(id.into());
        }
        self.publish_as(properties, key, body).await;
    }

    /// Publishes a message and waits until RabbitMQ has it.
    pub(super) async fn publish_as(&self, properties: BasicProperties, key: &str, body: &[u8]) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let published =
            self.channel.basic_publish(EXCHANGE.into(), key.into(), options, body, properties);
        let confirmed = published.await.expect("it is sent").await.expect("it is answered");
        assert!(confirmed.is_ack() && confirmed.take_message().is_none(), "it has a queue");
    }

    async fn publish_event(&self, event: &Value) {
        self.publish(KEY, event.to_string().as_bytes(), None).await;
    }

    /// Declares a queue of the old kind.
    pub(super) async fn declare_classic_queue(&self, name: &str) {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(name.into(), options, FieldTable::default());
        declared.await.expect("it is declared");
    }

    /// All messages of a queue, which stay there: their bodies and headers.
    pub(super) async fn peek(&self, queue: &str) -> Vec<(Vec<u8>, FieldTable)> {
        let mut seen = Vec::new();
        let mut last_tag = 0;
        while let Some(message) =
            self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("a queue")
        {
            last_tag = message.delivery.delivery_tag;
            let headers = message.delivery.properties.headers().clone().unwrap_or_default();
            seen.push((message.delivery.data, headers));
        }
        if last_tag > 0 {
            let all = BasicNackOptions { multiple: true, requeue: true };
            self.channel.basic_nack(last_tag, all).await.expect("they go back");
        }
        seen
    }
}

pub(super) fn header(headers: &FieldTable, name: &str) -> String {
    let value = headers.inner().get(name);
    let value = value.unwrap_or_else(|| panic!("no {name} in {headers:?}"));
    value.as_long_string().map_or_else(|| format!("{value:?}"), ToString::to_string)
}

#[tokio::test]
async fn event_on_the_exchange_is_delivered_once_for_each_id() {
    let cluster = Cluster::start(Shape { ingests: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let amqp = Amqp::connect(&cluster.servers).await;

    let ids = [(); 3].map(|()| event_id().to_string());
    for _ in 0..2 {
        // The body's own id; the message's, which is a UUID; the account in the routing key alone.
        amqp.publish_event(&with(event("COMMENT_CREATED"), json!({"id": ids[0]}))).await;
        let body = event("COMMENT_CREATED").to_string();
        amqp.publish(KEY, body.as_bytes(), Some(&ids[1])).await;
        let nobodys = json!({"name": "COMMENT_CREATED", "variables": {}}).to_string();
        amqp.publish(KEY, nobodys.as_bytes(), Some(&ids[2])).await;
        // No UUID: an id is made of it, always the same.
        amqp.publish(KEY, body.as_bytes(), Some("order-7")).await;
    }
    for id in &ids {
        let delivery = cluster.api().settled_delivery(id).await;
        assert_eq!(
            (&delivery["status"], &delivery["account"]),
            (&json!("delivered"), &json!("acme"))
        );
    }
    // The same id by HTTP is the same event.
    let again = with(event("COMMENT_CREATED"), json!({"id": ids[0]}));
    let again = cluster.ingest().post("/v1/events", &again).await.expect(202);
    assert_eq!(again["duplicate"], true, "{again}");

    cluster.servers.wait_for_empty_queues().await;
    receiver.wait_for_ended(4, SOON).await;
    assert_eq!(receiver.total(), 4, "each of four events came once");
    assert_eq!(cluster.api().list("/v1/events").await.len(), 4);
}

#[tokio::test]
async fn events_on_the_exchange_outlive_a_killed_ingest() {
    const EVENTS: usize = 2_000;
    let mut cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let amqp = Amqp::connect(&cluster.servers).await;
    let publishing = async {
        for _ in 0..EVENTS {
            let id = event_id().to_string();
            amqp.publish_event(&with(event("COMMENT_CREATED"), json!({"id": id}))).await;
        }
    };
    let killing = async {
        for threshold in [50, 200, 500, 1_000] {
            receiver.wait_for(threshold, LONG).await;
            cluster.kill_and_start_again(Part::Ingest(0)).await;
        }
    };
    futures_util::join!(publishing, killing);
    receiver.wait_for_ended(EVENTS as u64, LONG).await;
    cluster.servers.wait_for_empty_queues().await;
    assert_eq!(receiver.tallies().len(), EVENTS);
    assert_eq!(
        receiver.total(),
        EVENTS as u64,
        "what an ingest did twice is one event all the same"
    );
}

#[tokio::test]
async fn what_cannot_be_taken_is_set_aside_with_the_reason_and_in_nobodys_way() {
    let mut cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let amqp = Amqp::connect(&cluster.servers).await;
    let too_large = 20 * 1024 * 1024;
    let invalid = with(event("BAD NAME"), json!({"colour": "blue"})).to_string();
    // Larger than what an ingest takes by default, and of a size that another setting allows.
    let padded = json!({"variables": {"PADDING": "x".repeat(300 * 1024)}});
    let large = with(event("COMMENT_CREATED"), padded).to_string();
    amqp.publish(KEY, b"not JSON", Some("garbage")).await;
    amqp.publish("", invalid.as_bytes(), None).await;
    amqp.publish(KEY, &vec![b'x'; too_large], None).await;
    amqp.publish(KEY, large.as_bytes(), None).await;
    let good = event_id().to_string();
    amqp.publish_event(&with(event("COMMENT_CREATED"), json!({"id": good}))).await;
    assert_eq!(cluster.api().settled_delivery(&good).await["status"], "delivered");

    let rejected = eventually("rejected messages", SOON, async || {
        let seen = amqp.peek(REJECTED).await;
        (seen.len() == 4).then_some(seen)
    })
    .await;
    let mut told: Vec<_> = rejected
        .iter()
        .map(|(body, headers)| {
            let detail = header(headers, "x-ringback-detail");
            assert!(!detail.is_empty());
            (header(headers, "x-ringback-reason"), body.len())
        })
        .collect();
    told.sort();
    let expected = [
        ("invalid", invalid.len()),
        ("not_json", b"not JSON".len()),
        ("too_large", large.len()),
        ("too_large", too_large),
    ];
    assert_eq!(told, expected.map(|(reason, size)| (reason.to_owned(), size)));

    commands_for_rejected_messages(&mut cluster, &receiver).await;
}

/// `ringback rejected`, with four messages there: garbage, invalid, too large, and too large for this ingest.
async fn commands_for_rejected_messages(cluster: &mut Cluster, receiver: &Receiver) {
    let listed = rejected(cluster, &["list"]).await;
    for word in ["not_json", "invalid", "too_large"] {
        assert!(listed.contains(word), "{listed}");
    }
    // An ingest that takes more: what was too large for the other goes its way, the rest comes back.
    cluster.ingests[0].stop().await;
    let launch = cluster.servers.launch("ingest").env("RINGBACK_EVENT_BYTES_MAX", "1048576");
    let _ingest = super::cluster::Node::start(launch).await;
    rejected(cluster, &["requeue"]).await;
    receiver.wait_for_ended(2, SOON).await;
    let amqp = Amqp::connect(&cluster.servers).await;
    eventually("three that are rejected again", SOON, async || {
        (amqp.peek(REJECTED).await.len() == 3).then_some(())
    })
    .await;
    rejected(cluster, &["drop"]).await;
    assert_eq!(amqp.peek(REJECTED).await.len(), 0);
    cluster.servers.wait_for_empty_queues().await;
}

/// Runs `ringback rejected` with these arguments, which is to succeed; gives what it says.
async fn rejected(cluster: &Cluster, arguments: &[&str]) -> String {
    let launch: Launch = cluster.servers.launch("rejected").args(arguments);
    let mut process = launch.start().expect("it starts");
    let status = process.wait_exit(SOON).await.expect("it ends");
    let output = process.output();
    assert_eq!(status.code(), Some(0), "{arguments:?}: {output}");
    output
}
