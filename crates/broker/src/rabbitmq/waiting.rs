//! Reads all that waits in the queues, to move it elsewhere. It stays where it is.
//!
//! A queue shows its messages to those who take them. So all queues are consumed from at once, and nothing is acked: a
//! message that is held so neither expires nor moves, and what is just on its way from one level of the ladder to the next
//! is met there. Once nothing comes any more all of it is held; the connection is closed, and everything is back in its
//! place. Nobody else may consume meanwhile.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll};
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use ringback_runtime::Clock;
use tokio::time;

use super::error::{ConnectError, NoAnswer, is_not_found};
use super::ladder::LEVELS;
use super::names::Names;
use super::settings::{Settings, Target};
use super::{connection, consumer, facts, ladder, message};
use crate::{Due, Waiting};

/// Nothing came for so long: perhaps that was all.
const QUIET: Duration = Duration::from_secs(2);
/// So often in a row it has to be quiet. A message that the ladder moves is away for milliseconds.
const QUIET_TIMES: u32 = 2;

/// What stands in the way of moving, or stays behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those who take messages off a queue: a Ringback is running.
    pub consumers: u32,
    /// What producers published and no ingest has taken yet.
    pub intake: u32,
    /// What waits for a worker, or to become due.
    pub waiting: u32,
    /// What was set aside: rejected, or poison.
    pub set_aside: u32,
}

/// Counts what is there.
///
/// # Errors
/// [`ConnectError`] if the server can't be asked.
pub async fn standing(settings: &Settings) -> Result<Standing, ConnectError> {
    settings.check()?;
    let target = Target::parse(&settings.url)?;
    let names = Names::new(&settings.prefix, settings.shards);
    let connection = connection::open(&target, "moving").await?;
    let mut standing = Standing::default();
    for (queue, lane) in queues(&connection, &names, &target).await? {
        let Some(found) = look(&connection, &queue, &target).await? else { continue };
        standing.consumers += found.consumers;
        match lane {
            Lane::Intake => standing.intake += found.messages,
            Lane::SetAside => standing.set_aside += found.messages,
            Lane::Fresh | Lane::Returned | Lane::Level(_) => standing.waiting += found.messages,
        }
    }
    connection::close(&connection).await;
    Ok(standing)
}

/// Shows all that waits, in no order. Returns how many messages could not be read.
///
/// # Errors
/// [`ConnectError`] if the server can't be asked, or whatever `show` says.
pub async fn all<E: From<ConnectError>>(
    settings: &Settings,
    clock: &dyn Clock,
    mut show: impl FnMut(Waiting) -> Result<(), E>,
) -> Result<u64, E> {
    settings.check().map_err(ConnectError::from)?;
    let target = Target::parse(&settings.url).map_err(ConnectError::from)?;
    let names = Names::new(&settings.prefix, settings.shards);
    let connection = connection::open(&target, "moving").await?;
    let failed = |queue: &str, error| ConnectError::of_declaring(queue, error, &target);
    let channel = connection.create_channel().await.map_err(|error| failed("", error))?;
    let mut coming: SelectAll<BoxStream<'static, (Lane, lapin::Result<Delivery>)>> =
        SelectAll::new();
    let mut watched = Vec::new();
    for (queue, lane) in queues(&connection, &names, &target).await? {
        if matches!(lane, Lane::Intake | Lane::SetAside)
            || look(&connection, &queue, &target).await?.is_none()
        {
            continue;
        }
        let consumer = consume(&channel, &queue).await.map_err(|error| failed(&queue, error))?;
        coming.push(consumer.map(move |delivery| (lane, delivery)).boxed());
        watched.push(queue);
    }
    let (mut unreadable, mut quiet) = (0, 0);
    while quiet < QUIET_TIMES {
        match time::timeout(QUIET, coming.next()).await {
            Ok(Some((lane, delivery))) => {
                quiet = 0;
                let delivery = delivery.map_err(|error| failed("", error))?;
                match waiting(lane, &delivery, clock) {
                    Some(waiting) => show(waiting)?,
                    None => unreadable += 1,
                }
            }
            Ok(None) => return Err(lost(&target).into()),
            Err(_) => {
                if !connection.status().connected() {
                    return Err(lost(&target).into());
                }
                let asked = watched.iter().map(|queue| facts::passive(&channel, queue));
                let found = futures_util::future::try_join_all(asked).await;
                let found = found.map_err(|error| failed("", error))?;
                let none_left = found.iter().all(|found| found.messages == 0);
                quiet = if none_left { quiet + 1 } else { 0 };
            }
        }
    }
    // What was held goes back.
    connection::close(&connection).await;
    Ok(unreadable)
}

/// What a queue holds.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Intake,
    SetAside,
    Fresh,
    Returned,
    Level(u32),
}

/// All queues that there may be: of shards also those that the settings no longer have.
async fn queues(
    connection: &Connection,
    names: &Names,
    target: &Target,
) -> Result<Vec<(String, Lane)>, ConnectError> {
    let mut queues = vec![
        (names.intake(), Lane::Intake),
        (names.rejected(), Lane::SetAside),
        (names.poison(), Lane::SetAside),
        (names.returned(), Lane::Returned),
        // Where it was to go it would have been due, or fresh: which makes no difference but for its turn.
        (names.unrouted(), Lane::Returned),
    ];
    queues.extend((0..LEVELS).map(|level| (names.level(level), Lane::Level(level))));
    for shard in 0.. {
        let name = names.shard(shard);
        if shard >= names.shards() && look(connection, &name, target).await?.is_none() {
            break;
        }
        queues.push((name, Lane::Fresh));
    }
    Ok(queues)
}

/// What is in a queue; none if there is no such queue.
async fn look(
    connection: &Connection,
    queue: &str,
    target: &Target,
) -> Result<Option<facts::Found>, ConnectError> {
    let failed = |error| ConnectError::of_declaring(queue, error, target);
    // The server closes a channel with the answer "no".
    let channel = connection.create_channel().await.map_err(failed)?;
    match facts::passive(&channel, queue).await {
        Ok(found) => {
            let _ = channel.close(200, "".into()).await;
            Ok(Some(found))
        }
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Without a limit of what may be unacked: all of it is to be held.
async fn consume(channel: &Channel, queue: &str) -> lapin::Result<lapin::Consumer> {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), queue.into(), options, FieldTable::default()).await
}

fn waiting(lane: Lane, delivery: &Delivery, clock: &dyn Clock) -> Option<Waiting> {
    let dispatches = consumer::read(&delivery.data).ok()?;
    let now = clock.now();
    let due = match (lane, message::due(delivery)) {
        (_, Some(due)) => Due::At(due),
        (Lane::Fresh, None) => Due::Fresh,
        (Lane::Level(level), None) => {
            let left = ladder::left_at_most(delivery.routing_key.as_str(), level);
            Due::NotAfter(now + left)
        }
        (Lane::Returned | Lane::Intake | Lane::SetAside, None) => Due::At(now),
    };
    Some(Waiting { due, dispatches })
}

fn lost(target: &Target) -> ConnectError {
    let address = target.to_string();
    ConnectError::Unreachable { address, source: Box::new(NoAnswer(QUIET)) }
}
