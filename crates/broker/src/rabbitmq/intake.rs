//! Takes what producers publish straight to RabbitMQ.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::Connection;
use lapin::message::Delivery;
use lapin::types::ShortString;

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
            routing_key: delivery.routing_key.to_string(),
            redelivered: delivery.redelivered,
            receipt: IntakeReceipt(receipt),
            body: delivery.data,
        };
        Received::HandOut { item, dispatches: None }
    }
}
