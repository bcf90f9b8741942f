//! One trace through three processes.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use ringback_testkit::{Collector, Receiver};
use serde_json::json;

use super::cluster::{Cluster, Shape};
use super::producers::Amqp;
use crate::support::{SOON, callback_once};
use crate::traces::{PRODUCER, TRACE, follow_one_event, traceparent};

#[tokio::test]
async fn trace_goes_from_the_producer_through_ingest_queue_and_worker_to_the_receivers() {
    let collector = Collector::start().await.expect("a port");
    let settings = vec![("RINGBACK_OTLP_ENDPOINT", collector.endpoint())];
    let cluster = Cluster::start(Shape { settings, ..Shape::default() }).await;
    follow_one_event(cluster.api(), cluster.ingest(), &collector).await;

    // The same from a producer that puts its event on RabbitMQ itself.
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback_once(&receiver.url("/hook"))).await;
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString(traceparent().into()));
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_headers(headers);
    let event = json!({"name": "ORDER_PAID", "account": "acme"}).to_string();
    let producer = Amqp::connect(&cluster.servers).await;
    producer.publish_as(properties, "acme.ORDER_PAID", event.as_bytes()).await;
    receiver.wait_for_ended(1, SOON).await;
    let spans = collector.wait_for(6, SOON).await;
    let of_it = |name: &str| {
        let mut of_it = spans.iter().filter(|span| {
            span.attributes["ringback.event.name"] == "ORDER_PAID" && span.name == name
        });
        of_it.next_back().unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
    };
    let (accept, attempt) = (of_it("accept"), of_it("attempt"));
    assert_eq!((&*accept.trace, &*accept.parent), (TRACE, PRODUCER));
    assert_eq!(attempt.parent, accept.span);
    assert_eq!(accept.attributes["ringback.role"], "ingest");
    assert_eq!(attempt.attributes["ringback.role"], "worker");
    let told = receiver.requests()[0].header("traceparent").to_owned();
    assert_eq!(told, format!("00-{TRACE}-{}-01", attempt.span));
}
