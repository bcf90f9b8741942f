//! The queues, exchanges and bindings, as data; declaring, comparing and deleting them.
//!
//! Arguments can't be changed in place: what is declared otherwise is an error that names it, and whatever must change
//! gets a new version in its name ([`Names`]).
//!
//! **Nothing is dropped on the way.** Every exchange of Ringback's own that may find no queue hands the message to
//! `unrouted` (alternate exchange), from where consumers put it back. All work queues are quorum queues: a level of the
//! ladder that is a classic queue loses messages when the server is killed. Dead-lettering is at-least-once, which needs
//! `reject-publish`; no queue has a length limit, since a full one would stop the ladder for all.

mod verify;

use futures_util::future;
use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ExchangeKind};

pub use self::verify::{Difference, Kind, verify};
use super::error::ConnectError;
use super::ladder::{self, LEVELS, UNIT_MS};
use super::names::Names;
use super::settings::Target;

/// The word that ends the routing keys of the ladder: the queue of what came back.
pub(super) const RETURNED: &str = "returned";

/// A message that was given back this often, by crashes or lost connections, is set aside. Without a limit named, it is
/// endless on RabbitMQ 3 and 20 on 4.
const DELIVERIES_MAX: i32 = 20;

/// For queues that people look through: looking gives messages back, and what was given back too often would be
/// dropped.
const LOOKS_MAX: i32 = 1_000_000_000;

/// All that is declared.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    pub exchanges: Vec<Exchange>,
    pub queues: Vec<Queue>,
    pub bindings: Vec<Binding>,
}

/// An exchange, durable.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub name: String,
    pub kind: ExchangeKind,
    /// Where what finds no queue goes.
    pub alternate: Option<String>,
}

/// A quorum queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub name: String,
    pub arguments: FieldTable,
}

/// A way from an exchange to a queue or to another exchange.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub source: String,
    pub destination: String,
    pub kind: Kind,
    pub key: String,
}

impl Topology {
    pub(super) fn new(names: &Names) -> Self {
        let mut topology = Self { exchanges: vec![], queues: vec![], bindings: vec![] };
        topology.add_set_aside(names);
        topology.add_intake(names);
        topology.add_dispatch(names);
        topology.add_ladder(names);
        topology
    }

    /// What is set aside: unrouted, poison, rejected.
    fn add_set_aside(&mut self, names: &Names) {
        self.exchange(names.unrouted(), ExchangeKind::Fanout, None);
        self.exchange(names.poison(), ExchangeKind::Fanout, Some(names.unrouted()));
        self.exchange(names.rejecting(), ExchangeKind::Fanout, Some(names.unrouted()));
        for (exchange, queue) in [
            (names.unrouted(), names.unrouted()),
            (names.poison(), names.poison()),
            (names.rejecting(), names.rejected()),
        ] {
            let mut arguments = quorum();
            arguments.insert("x-delivery-limit".into(), LOOKS_MAX.into());
            self.queues.push(Queue { name: queue.clone(), arguments });
            self.bind(exchange, queue, Kind::Queue, String::new());
        }
    }

    fn add_intake(&mut self, names: &Names) {
        // Producers may declare it themselves: it has no arguments that they would have to know.
        self.exchange(names.events(), ExchangeKind::Topic, None);
        self.work_queue(names.intake(), names);
        self.bind(names.events(), names.intake(), Kind::Queue, "#".to_owned());
    }

    fn add_dispatch(&mut self, names: &Names) {
        let spread = names.shards() > 1;
        let kind = if spread {
            ExchangeKind::Custom("x-consistent-hash".to_owned())
        } else {
            ExchangeKind::Direct
        };
        self.exchange(names.dispatch(), kind, Some(names.unrouted()));
        for shard in 0..names.shards() {
            self.work_queue(names.shard(shard), names);
            // For the plugin the key is the queue's weight.
            let key = if spread { "1" } else { "0" };
            self.bind(names.dispatch(), names.shard(shard), Kind::Queue, key.to_owned());
        }
    }

    fn add_ladder(&mut self, names: &Names) {
        self.exchange(names.due(), ExchangeKind::Topic, Some(names.unrouted()));
        self.work_queue(names.returned(), names);
        self.bind(names.due(), names.returned(), Kind::Queue, format!("#.{RETURNED}"));
        for level in 0..LEVELS {
            let name = names.level(level);
            let below = level.checked_sub(1).map_or_else(|| names.due(), |next| names.level(next));
            self.exchange(name.clone(), ExchangeKind::Topic, Some(names.unrouted()));
            let mut arguments = quorum();
            let ttl_ms = i64::from(UNIT_MS) << level;
            arguments.insert("x-message-ttl".into(), ttl_ms.into());
            dead_letter_to(&mut arguments, &below);
            self.queues.push(Queue { name: name.clone(), arguments });
            let (here, past) = (ladder::waits_here(level), ladder::goes_past(level));
            self.bind(name.clone(), name.clone(), Kind::Queue, here);
            self.bind(name, below, Kind::Exchange, past);
        }
    }

    /// All of it, in an order in which it can be declared.
    fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let exchanges = self.exchanges.iter().map(Item::Exchange);
        let queues = self.queues.iter().map(Item::Queue);
        exchanges.chain(queues).chain(self.bindings.iter().map(Item::Binding))
    }

    fn work_queue(&mut self, name: String, names: &Names) {
        let mut arguments = quorum();
        arguments.insert("x-delivery-limit".into(), DELIVERIES_MAX.into());
        dead_letter_to(&mut arguments, &names.poison());
        self.queues.push(Queue { name, arguments });
    }

    fn exchange(&mut self, name: String, kind: ExchangeKind, alternate: Option<String>) {
        self.exchanges.push(Exchange { name, kind, alternate });
    }

    fn bind(&mut self, source: String, destination: String, kind: Kind, key: String) {
        self.bindings.push(Binding { source, destination, kind, key });
    }
}

/// One thing to declare.
#[derive(Clone, Copy)]
enum Item<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
    Binding(&'a Binding),
}

impl<'a> Item<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::Exchange(exchange) => &exchange.name,
            Self::Queue(queue) => &queue.name,
            Self::Binding(binding) => &binding.destination,
        }
    }

    async fn declare(self, channel: &lapin::Channel) -> lapin::Result<()> {
        match self {
            Self::Exchange(exchange) => exchange.declare(channel).await,
            Self::Queue(queue) => queue.declare(channel).await,
            Self::Binding(binding) => binding.declare(channel).await,
        }
    }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), long_string("quorum"));
    arguments
}

fn dead_letter_to(arguments: &mut FieldTable, exchange: &str) {
    arguments.insert("x-dead-letter-exchange".into(), long_string(exchange));
    arguments.insert("x-dead-letter-strategy".into(), long_string("at-least-once"));
    arguments.insert("x-overflow".into(), long_string("reject-publish"));
}

fn long_string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

impl Exchange {
    pub(super) async fn declare(&self, channel: &lapin::Channel) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let mut arguments = FieldTable::default();
        if let Some(alternate) = &self.alternate {
            arguments.insert("alternate-exchange".into(), long_string(alternate));
        }
        let name = ShortString::from(self.name.as_str());
        channel.exchange_declare(name, self.kind.clone(), options, arguments).await
    }
}

impl Queue {
    pub(super) async fn declare(&self, channel: &lapin::Channel) -> lapin::Result<()> {
        let name = ShortString::from(self.name.as_str());
        let options = QueueDeclareOptions::durable();
        channel.queue_declare(name, options, self.arguments.clone()).await.map(drop)
    }
}

impl Binding {
    pub(super) async fn declare(&self, channel: &lapin::Channel) -> lapin::Result<()> {
        let [source, destination, key] = [&self.source, &self.destination, &self.key]
            .map(|text| ShortString::from(text.as_str()));
        let none = FieldTable::default();
        match self.kind {
            Kind::Queue => {
                let options = QueueBindOptions::default();
                channel.queue_bind(destination, source, key, options, none).await
            }
            Kind::Exchange => {
                let options = ExchangeBindOptions::default();
                channel.exchange_bind(destination, source, key, options, none).await
            }
        }
    }
}

/// Declares what is missing. What is there already is left as it is.
///
/// # Errors
/// [`ConnectError`] names the first that can't be declared.
pub(super) async fn apply(
    connection: &Connection,
    names: &Names,
    target: &Target,
) -> Result<(), ConnectError> {
    let topology = Topology::new(names);
    let failed = |name: &str, error| ConnectError::of_declaring(name, error, target);
    let channel = connection.create_channel().await.map_err(|error| failed("", error))?;
    // All are sent without waiting, and answered in order: a connection that was lost is back sooner.
    let declared = future::try_join_all(topology.items().map(|item| item.declare(&channel))).await;
    if let Err(error) = declared {
        if !connection.status().connected() {
            return Err(failed("", error));
        }
        // The error is the same for all that were still open. One by one it shows whose it is.
        let channel = connection.create_channel().await.map_err(|error| failed("", error))?;
        for item in topology.items() {
            item.declare(&channel).await.map_err(|error| failed(item.name(), error))?;
        }
    }
    // Its end is of no interest: all that was asked for was answered.
    let _ = channel.close(200, "".into()).await;
    Ok(())
}

/// Connects and declares what is missing.
///
/// # Errors
/// [`ConnectError`] if the server can't be reached, or names the first that can't be declared.
pub async fn declare(settings: &super::Settings) -> Result<(), ConnectError> {
    settings.check()?;
    let target = Target::parse(&settings.url)?;
    let names = Names::new(&settings.prefix, settings.shards);
    let connection = super::connection::open_declared(&target, &names, "topology").await?;
    super::connection::close(&connection).await;
    Ok(())
}

/// Deletes all of it, with what is in it. For tests.
///
/// # Errors
/// [`ConnectError`] if the server can't be asked.
#[cfg(any(test, feature = "conformance"))]
pub async fn delete(settings: &super::Settings) -> Result<(), ConnectError> {
    use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};

    settings.check()?;
    let target = Target::parse(&settings.url)?;
    let topology = Topology::new(&Names::new(&settings.prefix, settings.shards));
    let connection = super::connection::open(&target, "delete").await?;
    let channel = connection.create_channel().await;
    let channel = channel.map_err(|error| ConnectError::of_declaring("", error, &target))?;
    // What is not there is deleted already, says RabbitMQ.
    for Exchange { name, .. } in topology.exchanges {
        let deleted =
            channel.exchange_delete(name.as_str().into(), ExchangeDeleteOptions::default());
        deleted.await.map_err(|error| ConnectError::of_declaring(&name, error, &target))?;
    }
    for Queue { name, .. } in topology.queues {
        let deleted = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default());
        deleted.await.map_err(|error| ConnectError::of_declaring(&name, error, &target))?;
    }
    super::connection::close(&connection).await;
    Ok(())
}
