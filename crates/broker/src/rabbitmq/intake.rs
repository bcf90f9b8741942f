//! Takes what producers publish straight to RabbitMQ.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ShortString};
use lapin::{BasicProperties, Connection};

use ringback_core::Timestamp;

use super::error::ConnectError;
use super::link::Group;
use super::message::{self, Outgoing};
use super::subscription::{Handler, Kept, Received, Subscription};
use super::{Rabbitmq, Shared, unavailable};
use crate::{Error, Incoming, Intake, IntakeConsumer, IntakeReceipt, PublishError, Rejection};

/// Unacked messages at once.
const PREFETCH: u16 = 500;

#[async_trait]
impl Intake for Rabbitmq {
    async fn consume(&self) -> Result<Box<dyn IntakeConsumer>, Error> {
        let subscription = Subscription::start(&self.shared, Events);
        Ok(Box::new(RabbitmqIntake { shared: Arc::clone(&self.shared), subscription }))
    }
}

struct RabbitmqIntake {
    shared: Arc<Shared>,
    subscription: Subscription<Incoming>,
}

#[async_trait]
impl IntakeConsumer for RabbitmqIntake {
    async fn next(&mut self, limit: usize) -> Vec<Incoming> {
        let mut taken: Vec<_> = self.subscription.next().await.into_iter().collect();
        while !taken.is_empty()
            && taken.len() < limit
            && let Some(next) = self.subscription.try_next()
        {
            taken.push(next);
        }
        taken
    }

    fn ack(&self, receipt: IntakeReceipt) {
        self.shared.receipts.ack(receipt.0);
    }

    async fn reject(&self, incoming: &Incoming, why: &Rejection) -> Result<(), PublishError> {
        let Shared { names, receipts, publisher, .. } = &*self.shared;
        // Settled already, or its connection is gone and it comes again.
        let Some(properties) = receipts.properties(incoming.receipt.0) else { return Ok(()) };
        let headers = [
            (message::REASON, why.reason),
            (message::DETAIL, why.detail.as_str()),
            (message::ROUTING_KEY, incoming.routing_key.as_str()),
        ];
        let content = (&properties, incoming.body.clone());
        let exchange = names.rejecting();
        let message = Outgoing::forward(&exchange, &incoming.routing_key, content, headers);
        publisher.publish_ready(message).await.map_err(unavailable)?;
        self.ack(incoming.receipt);
        Ok(())
    }

    async fn stop(&mut self) {
        self.subscription.stop().await;
    }

    async fn finish(self: Box<Self>) {
        self.subscription.finish().await;
    }
}

struct Events;

impl Handler for Events {
    type Item = Incoming;
    type Kind = ();
    const NAME: &'static str = "intake";
    const AHEAD: usize = 100;
    const KEPT: Kept = Kept::Properties;

    async fn groups(
        shared: &Shared,
        _connection: &Connection,
    ) -> Result<Vec<Group<()>>, ConnectError> {
        let queues = vec![shared.names.intake()];
        Ok(vec![Group { kind: (), queues, prefetch: PREFETCH }])
    }

    fn receive(
        &mut self,
        _shared: &Arc<Shared>,
        (): (),
        delivery: Delivery,
        receipt: u64,
    ) -> Received<Incoming> {
        let text = |text: &Option<ShortString>| text.as_ref().map(ToString::to_string);
        let item = Incoming {
            content_type: text(delivery.properties.content_type()),
            message_id: text(delivery.properties.message_id()),
            cloud_event: cloud_event_of(&delivery.properties),
            traceparent: message::text(&delivery.properties, "traceparent"),
            tracestate: message::text(&delivery.properties, "tracestate"),
            routing_key: delivery.routing_key.to_string(),
            redelivered: delivery.redelivered,
            receipt: IntakeReceipt(receipt),
            body: delivery.data,
        };
        Received::HandOut { item, dispatches: None }
    }
}

/// The attributes of a CloudEvent that stand in headers. Producers that can't write a colon in a name put an underscore in
/// its place; libraries for this version of AMQP name headers as HTTP does.
///
/// # Source
/// AMQP protocol binding for CloudEvents 1.0.2, section 3.1.3.1.
fn cloud_event_of(properties: &BasicProperties) -> Vec<(String, String)> {
    const PREFIXES: [&str; 3] = ["cloudEvents:", "cloudEvents_", "ce-"];
    let Some(headers) = properties.headers() else { return Vec::new() };
    let attribute = |(name, value): (&ShortString, &AMQPValue)| {
        let name = PREFIXES.iter().find_map(|prefix| name.as_str().strip_prefix(prefix))?;
        Some((name.to_owned(), text_of(name, value)?))
    };
    headers.inner().iter().filter_map(attribute).collect()
}

/// Attributes are texts, numbers, truths and moments. A moment may come as the number of its milliseconds, as AMQP 1.0
/// writes it, or of its seconds, as this version does.
fn text_of(name: &str, value: &AMQPValue) -> Option<String> {
    let is_moment = matches!(name, "time" | "deliverat");
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::Boolean(truth) => Some(truth.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::LongLongInt(ms) if is_moment => Some(Timestamp::from_ms(*ms).to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        AMQPValue::Timestamp(seconds) => {
            let ms = i64::try_from(*seconds).ok()?.checked_mul(1_000)?;
            Some(Timestamp::from_ms(ms).to_string())
        }
        _ => None,
    }
}
