//! One quorum queue of RabbitMQ.

use anyhow::{Context as _, Result, ensure};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};

/// A channel of a connection of its own, and the queue that it is for.
pub(crate) struct Queue {
    _connection: Connection,
    channel: Channel,
    name: String,
}

impl Queue {
    pub(crate) async fn connect(url: &str, name: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok(Self { _connection: connection, channel, name: name.to_owned() })
    }

    pub(crate) async fn create(&self) -> Result<()> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions::durable();
        self.channel.queue_declare(self.name.as_str().into(), options, arguments).await?;
        Ok(())
    }

    /// Deletes it, which is an error if anything is left in it.
    pub(crate) async fn delete(&self) -> Result<()> {
        let options = QueueDeleteOptions::default();
        let left = self.channel.queue_delete(self.name.as_str().into(), options).await?;
        ensure!(left == 0, "{left} messages were not acked");
        Ok(())
    }

    pub(super) async fn confirm_publishes(&self) -> Result<()> {
        Ok(self.channel.confirm_select(ConfirmSelectOptions::default()).await?)
    }

    /// Returns once the message is durable.
    pub(super) async fn publish(&self, message: &[u8]) -> Result<()> {
        const PERSISTENT: u8 = 2;
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let queue = self.name.as_str().into();
        let options = BasicPublishOptions::default();
        let published =
            self.channel.basic_publish("".into(), queue, options, message, properties).await?;
        ensure!(published.await?.is_ack(), "RabbitMQ did not take a message");
        Ok(())
    }

    pub(super) async fn consume(&self, prefetch: u16) -> Result<Consumer> {
        self.channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (queue, options) = (self.name.as_str().into(), BasicConsumeOptions::default());
        let consumer =
            self.channel.basic_consume(queue, "".into(), options, FieldTable::default()).await;
        consumer.context("consuming")
    }

    /// Acks all messages up to this one.
    pub(super) async fn ack_up_to(&self, delivery_tag: u64) -> Result<()> {
        Ok(self.channel.basic_ack(delivery_tag, BasicAckOptions { multiple: true }).await?)
    }
}
