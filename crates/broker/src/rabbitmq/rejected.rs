//! Looks through what was set aside: what producers published and nobody could take, and what could not be read.

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions};
use lapin::{Channel, Confirmation, Connection};

use super::error::ConnectError;
use super::message::{self, Outgoing};
use super::names::Names;
use super::settings::{Settings, Target};
use super::topology::RETURNED;
use super::{connection, publisher};

/// Why a message was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// A producer published it, and it could not be taken.
    Rejected,
    /// It is of Ringback's own queues, and could not be read or came back too often.
    Poison,
}

/// A message that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// A word for programs; `delivery_limit` and the like are the server's.
    pub reason: String,
    /// A sentence for people.
    pub detail: String,
    /// Where it was published to.
    pub routing_key: String,
    /// How its producer names it.
    pub message_id: Option<String>,
    /// What it says that its body is.
    pub content_type: Option<String>,
    /// What it says.
    pub body: Vec<u8>,
}

/// Shows the first ones, at most `limit`. They stay where they are.
///
/// # Errors
/// [`ConnectError`] if the server can't be asked.
pub async fn list(
    settings: &Settings,
    shelf: Shelf,
    limit: usize,
) -> Result<Vec<SetAside>, ConnectError> {
    let desk = Desk::open(settings, shelf).await?;
    let mut shown = Vec::new();
    let mut last = None;
    while shown.len() < limit
        && let Some(message) = desk.next().await?
    {
        last = Some(message.delivery.delivery_tag);
        shown.push(SetAside::of(message));
    }
    if let Some(tag) = last {
        // The queue lets messages be given back any number of times, and puts them where they were.
        let options = BasicNackOptions { multiple: true, requeue: true };
        let given_back = desk.channel.basic_nack(tag, options).await;
        given_back.map_err(|error| desk.failed(error))?;
    }
    desk.close().await;
    Ok(shown)
}

/// Puts the first ones in again, at most `limit`: a rejected one where its producer put it, another one where what is
/// due stands. Returns how many.
///
/// # Errors
/// [`ConnectError`]; those before it are in again.
pub async fn requeue(
    settings: &Settings,
    shelf: Shelf,
    limit: usize,
) -> Result<usize, ConnectError> {
    let desk = Desk::open(settings, shelf).await?;
    // No more than there are now: what is rejected once more comes to the end of the queue.
    let limit = limit.min(desk.count().await?);
    let mut done = 0;
    while done < limit
        && let Some(message) = desk.next().await?
    {
        desk.put_in_again(&message).await?;
        desk.forget(&message).await?;
        done += 1;
    }
    desk.close().await;
    Ok(done)
}

/// Drops the first ones for good, at most `limit`. Returns how many.
///
/// # Errors
/// [`ConnectError`]; those before it are gone.
pub async fn drop(settings: &Settings, shelf: Shelf, limit: usize) -> Result<usize, ConnectError> {
    let desk = Desk::open(settings, shelf).await?;
    let mut done = 0;
    while done < limit
        && let Some(message) = desk.next().await?
    {
        desk.forget(&message).await?;
        done += 1;
    }
    desk.close().await;
    Ok(done)
}

/// A connection to look through a queue with. What is not settled goes back when it closes.
struct Desk {
    target: Target,
    names: Names,
    connection: Connection,
    channel: Channel,
    shelf: Shelf,
    queue: String,
}

impl Desk {
    async fn open(settings: &Settings, shelf: Shelf) -> Result<Self, ConnectError> {
        settings.check()?;
        let target = Target::parse(&settings.url)?;
        let names = Names::new(&settings.prefix, settings.shards);
        let queue = match shelf {
            Shelf::Rejected => names.rejected(),
            Shelf::Poison => names.poison(),
        };
        let connection = connection::open(&target, "set aside").await?;
        let channel = publisher::confirming(&connection).await;
        let failed = |error| ConnectError::of_declaring(&queue, error, &target);
        let channel = channel.map_err(failed)?;
        Ok(Self { target, names, connection, channel, shelf, queue })
    }

    async fn count(&self) -> Result<usize, ConnectError> {
        let found = super::facts::passive(&self.channel, &self.queue).await;
        let found = found.map_err(|error| self.failed(error))?;
        Ok(usize::try_from(found.messages).unwrap_or(usize::MAX))
    }

    async fn next(&self) -> Result<Option<BasicGetMessage>, ConnectError> {
        let queue = self.queue.as_str().into();
        let got = self.channel.basic_get(queue, BasicGetOptions::default()).await;
        got.map_err(|error| self.failed(error))
    }

    async fn put_in_again(&self, message: &BasicGetMessage) -> Result<(), ConnectError> {
        let (exchange, key) = match self.shelf {
            Shelf::Rejected => (self.names.events(), first_key(message)),
            Shelf::Poison => (self.names.due(), RETURNED.to_owned()),
        };
        let content = (&message.delivery.properties, message.delivery.data.clone());
        let Outgoing { exchange, routing_key, properties, body } =
            Outgoing::forward(&exchange, &key, content, []);
        let publishing = async {
            let options = BasicPublishOptions::default();
            self.channel
                .basic_publish(exchange, routing_key, options, &body, properties)
                .await?
                .await
        };
        match publishing.await.map_err(|error| self.failed(error))? {
            Confirmation::Ack(_) => Ok(()),
            Confirmation::Nack(_) | Confirmation::NotRequested => {
                let address = self.target.to_string();
                let source = Box::new(super::Unconfirmed::Refused);
                Err(ConnectError::Unreachable { address, source })
            }
        }
    }

    async fn forget(&self, message: &BasicGetMessage) -> Result<(), ConnectError> {
        let tag = message.delivery.delivery_tag;
        let acked = self.channel.basic_ack(tag, BasicAckOptions::default()).await;
        acked.map_err(|error| self.failed(error))
    }

    async fn close(self) {
        connection::close(&self.connection).await;
    }

    fn failed(&self, error: lapin::Error) -> ConnectError {
        ConnectError::of_declaring(&self.queue, error, &self.target)
    }
}

/// Where it was published to, before it was set aside.
fn first_key(message: &BasicGetMessage) -> String {
    message::text(&message.delivery.properties, message::ROUTING_KEY)
        .unwrap_or_else(|| message.delivery.routing_key.to_string())
}

impl SetAside {
    fn of(message: BasicGetMessage) -> Self {
        let routing_key = first_key(&message);
        let delivery = message.delivery;
        let properties = &delivery.properties;
        let header = |name| message::text(properties, name);
        let text =
            |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
        Self {
            reason: header(message::REASON)
                .or_else(|| header("x-first-death-reason"))
                .unwrap_or_else(|| "unknown".to_owned()),
            detail: header(message::DETAIL).unwrap_or_default(),
            routing_key,
            message_id: text(properties.message_id()),
            content_type: text(properties.content_type()),
            body: delivery.data.clone(),
        }
    }
}
