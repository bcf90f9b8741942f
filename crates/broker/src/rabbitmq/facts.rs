//! What the server says of itself and of the queues, for people and health checks.

use std::time::Duration;

use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, future};
use lapin::options::{
    BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions,
};
use lapin::protocol::{self, AMQPClass, AMQPErrorKind, AMQPHardError};
use lapin::tcp::AMQPUriTcpExt as _;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ExchangeKind};
use tokio::time;

use super::error::{ConnectError, NoAnswer, amqp_kind, is_not_found};
use super::ladder::LEVELS;
use super::names::Names;
use super::settings::{Settings, Target};
use super::topology::Topology;
use super::{Shared, connection};
use crate::{Cause, Depth, Error};

/// Longest wait for any one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A server that is short of memory or disk says so within this of a publish.
const BLOCKED_WITHIN: Duration = Duration::from_secs(1);

/// A server, as it shows itself.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Mostly `RabbitMQ`.
    pub product: String,
    /// Such as `3.10.8`.
    pub version: String,
    /// Why it takes no messages, if it does not: its memory or disk alarm.
    pub blocked: Option<String>,
    /// Whether the plugin is there that spreads new events over several shards.
    pub consistent_hash: bool,
    /// The queues that Ringback declares.
    pub queues: Vec<QueueFacts>,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its name.
    pub name: String,
    /// What is in it; none if it is not declared.
    pub found: Option<Found>,
}

/// What is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Messages that wait; those handed out are not counted.
    pub messages: u32,
    /// Those who take messages off it.
    pub consumers: u32,
}

/// Asks a server. It leaves nothing there.
///
/// # Errors
/// [`ConnectError`] if it can't be asked.
pub async fn facts(settings: &Settings) -> Result<Facts, ConnectError> {
    settings.check()?;
    let target = Target::parse(&settings.url)?;
    let names = Names::new(&settings.prefix, settings.shards);
    let (product, version) = greeting(&target).await?;
    let connection = connection::open(&target, "doctor").await?;
    let queues = queues(&connection, &names, &target).await?;
    let blocked = blocked(&connection, &names, &target).await?;
    connection::close(&connection).await;
    let consistent_hash = consistent_hash(&target, &names).await?;
    Ok(Facts { product, version, blocked, consistent_hash, queues })
}

/// What the server says when it is greeted: product and version. lapin reads it and does not tell.
async fn greeting(target: &Target) -> Result<(String, String), ConnectError> {
    let unreachable = |source: Cause| {
        let address = target.to_string();
        ConnectError::Unreachable { address, source }
    };
    let asking = async {
        let runtime = lapin::runtime::default_runtime()?;
        let mut stream = target.uri().connect_async(&runtime).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.flush().await?;
        // Type, channel and size, then as much as the size says, then a byte that ends the frame.
        let mut head = [0; 7];
        stream.read_exact(&mut head).await?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut frame = vec![0; usize::try_from(size.min(FRAME_MAX))?];
        stream.read_exact(&mut frame).await?;
        let parsed = protocol::parse_class(frame.as_slice());
        let (_, method) = parsed.map_err(|_| "the answer is not of AMQP 0-9-1")?;
        let AMQPClass::Connection(protocol::connection::AMQPMethod::Start(start)) = method else {
            return Err("the answer is not of AMQP 0-9-1".into());
        };
        let property = |name: &str| match start.server_properties.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            _ => "unknown".to_owned(),
        };
        Ok::<_, Cause>((property("product"), property("version")))
    };
    match time::timeout(ANSWER_WITHIN, asking).await {
        Ok(answer) => answer.map_err(unreachable),
        Err(_) => Err(unreachable(Box::new(NoAnswer(ANSWER_WITHIN)))),
    }
}

/// No server greets with more.
const FRAME_MAX: u32 = 128 * 1024;

async fn queues(
    connection: &Connection,
    names: &Names,
    target: &Target,
) -> Result<Vec<QueueFacts>, ConnectError> {
    let mut queues = Vec::new();
    for queue in Topology::new(names).queues {
        let failed = |error| ConnectError::of_declaring(&queue.name, error, target);
        // The server closes a channel with the answer "no".
        let channel = connection.create_channel().await.map_err(failed)?;
        let found = match passive(&channel, &queue.name).await {
            Ok(found) => Some(found),
            Err(error) if is_not_found(&error) => None,
            Err(error) => return Err(failed(error)),
        };
        queues.push(QueueFacts { name: queue.name, found });
    }
    Ok(queues)
}

/// Looks at a queue. If there is none the server closes the channel.
pub(super) async fn passive(channel: &lapin::Channel, queue: &str) -> lapin::Result<Found> {
    let options = QueueDeclareOptions::default().passive();
    let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    Ok(Found { messages: queue.message_count(), consumers: queue.consumer_count() })
}

/// Why the server takes no messages. It says so to those who publish: so messages are
/// published that nobody gets.
async fn blocked(
    connection: &Connection,
    names: &Names,
    target: &Target,
) -> Result<Option<String>, ConnectError> {
    let failed = |error| ConnectError::of_declaring("", error, target);
    let channel = super::publisher::confirming(connection).await.map_err(failed)?;
    let nowhere = names.probe();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listening = connection::lost(connection, |blocked| {
        // The end that listens is held until this is over.
        let _ = told.send(blocked);
    });
    let publish = || async {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        let confirm =
            channel.basic_publish("".into(), nowhere.as_str().into(), options, b"", properties);
        confirm.await?.await
    };
    let publishing = async {
        // A server that blocks reads no further than the first, but may confirm it before it says so.
        publish().await?;
        publish().await
    };
    tokio::select! {
        blocked = heard.recv() => Ok(blocked.flatten()),
        published = publishing => published.map(|_| None).map_err(failed),
        () = listening => Ok(None),
        () = time::sleep(BLOCKED_WITHIN) => Ok(Some("it does not confirm".to_owned())),
    }
}

/// Declares an exchange of the plugin's kind, on a connection of its own: the server closes it with the answer "no".
async fn consistent_hash(target: &Target, names: &Names) -> Result<bool, ConnectError> {
    let connection = connection::open(target, "doctor").await?;
    let name = names.probe();
    let failed = |error| ConnectError::of_declaring(&name, error, target);
    let channel = connection.create_channel().await.map_err(failed)?;
    let kind = ExchangeKind::Custom("x-consistent-hash".to_owned());
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    let declared =
        channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await;
    match declared {
        Ok(()) => {
            let options = ExchangeDeleteOptions::default();
            channel.exchange_delete(name.as_str().into(), options).await.map_err(failed)?;
            connection::close(&connection).await;
            Ok(true)
        }
        Err(error)
            if amqp_kind(&error) == Some(AMQPErrorKind::Hard(AMQPHardError::COMMANDINVALID)) =>
        {
            Ok(false)
        }
        Err(error) => Err(failed(error)),
    }
}

/// How much is waiting, as far as the server tells: what was handed out is not counted.
pub(super) async fn depth(shared: &Shared) -> Result<Depth, Error> {
    let asked = time::timeout(ANSWER_WITHIN, ask_depth(shared)).await;
    let depth = asked.unwrap_or_else(|_| Err(Box::new(NoAnswer(ANSWER_WITHIN))));
    depth.map_err(Error)
}

async fn ask_depth(shared: &Shared) -> Result<Depth, Cause> {
    let Shared { publisher, names, .. } = shared;
    let connection = publisher.up().await?;
    let channel = connection.create_channel().await?;
    // All at once, answered in order.
    let look = async |queues: Vec<String>| {
        future::try_join_all(queues.iter().map(|queue| passive(&channel, queue))).await
    };
    let shards = (0..names.shards()).map(|shard| names.shard(shard)).collect();
    let levels = (0..LEVELS).map(|level| names.level(level)).collect();
    let (fresh, delayed) = future::try_join(look(shards), look(levels)).await?;
    let others = [names.returned(), names.intake(), names.poison(), names.rejected()];
    let others = look(others.into_iter().chain([names.unrouted()]).collect()).await?;
    let &[returned, intake, poison, rejected, unrouted] = others.as_slice() else {
        return Err("the server answered for other queues than were asked for".into());
    };
    let count = |found: &[Found]| found.iter().map(|found| u64::from(found.messages)).sum();
    let is_deserted = |found: &Found| found.messages > 0 && found.consumers == 0;
    let depth = Depth {
        fresh: count(&fresh),
        returned: count(&[returned]),
        delayed: count(&delayed),
        poison: count(&[poison]),
        intake: count(&[intake]),
        rejected: count(&[rejected]),
        unrouted: count(&[unrouted]),
        is_deserted: fresh.iter().chain([&returned, &intake]).any(is_deserted),
        oldest_due: None,
    };
    // Its end is of no interest: all that was asked for was answered.
    let _ = channel.close(200, "".into()).await;
    Ok(depth)
}
