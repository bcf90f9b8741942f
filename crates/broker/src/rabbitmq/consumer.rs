//! The consumer of dispatches: new events and what came back, in turn.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::Connection;
use lapin::message::Delivery;
use ringback_core::{Dispatch, dispatch};

use super::error::{ConnectError, is_not_found};
use super::link::Group;
use super::prefetch::Prefetch;
use super::subscription::{Handler, Received, Subscription};
use super::{Shared, facts, jobs, message};
use crate::{Cause, Consumer, Message, Receipt};

/// A bundle that was handed out this often and came back is taken apart, so that the dispatch that brings its worker
/// down takes nobody along.
const TAKEN_APART_AFTER: u64 = 3;

/// So many messages that found no queue are put back at once.
const UNROUTED_PREFETCH: u16 = 256;

/// Starts a consumer.
pub(super) fn start(shared: &Arc<Shared>) -> RabbitmqConsumer {
    RabbitmqConsumer(Subscription::start(shared, Dispatches))
}

/// One of those who share the messages.
pub(super) struct RabbitmqConsumer(Subscription<Message>);

#[async_trait]
impl Consumer for RabbitmqConsumer {
    async fn next(&mut self) -> Option<Message> {
        self.0.next().await
    }

    async fn stop(&mut self) {
        self.0.stop().await;
    }

    async fn finish(self: Box<Self>) {
        self.0.finish().await;
    }
}

struct Dispatches;

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Fresh,
    Returned,
    Unrouted,
}

impl Handler for Dispatches {
    type Item = Message;
    type Kind = Source;
    const NAME: &'static str = "consumer";
    const AHEAD: usize = 1;

    async fn groups(
        shared: &Shared,
        connection: &Connection,
    ) -> Result<Vec<Group<Source>>, ConnectError> {
        let names = &shared.names;
        let prefetch = Prefetch::FIRST;
        let shards = shards(shared, connection).await?;
        Ok(vec![
            Group { kind: Source::Returned, queues: vec![names.returned()], prefetch },
            Group { kind: Source::Fresh, queues: shards, prefetch },
            Group {
                kind: Source::Unrouted,
                queues: vec![names.unrouted()],
                prefetch: UNROUTED_PREFETCH,
            },
        ])
    }

    fn receive(
        &mut self,
        shared: &Arc<Shared>,
        source: Source,
        delivery: Delivery,
        receipt: u64,
    ) -> Received<Message> {
        if source == Source::Unrouted {
            return Received::Aside(Box::pin(jobs::put_back(shared.clone(), delivery)));
        }
        let dispatches = match read(&delivery.data) {
            Ok(dispatches) => dispatches,
            Err(why) => {
                return Received::Aside(Box::pin(jobs::set_aside(shared.clone(), delivery, why)));
            }
        };
        if let Some(due) = message::due(&delivery)
            && due > shared.clock.now()
        {
            return Received::Aside(Box::pin(jobs::hold_back(shared.clone(), due, dispatches)));
        }
        if dispatches.len() > 1 && message::deliveries_before(&delivery) >= TAKEN_APART_AFTER {
            return Received::Aside(Box::pin(jobs::take_apart(shared.clone(), source, dispatches)));
        }
        let count = dispatches.len();
        let redelivered = delivery.redelivered;
        let item = Message { dispatches, redelivered, receipt: Receipt(receipt) };
        Received::HandOut { item, dispatches: Some(count) }
    }
}

/// All queues of new events that there are: one that the settings no longer have is emptied too.
async fn shards(shared: &Shared, connection: &Connection) -> Result<Vec<String>, ConnectError> {
    let Shared { names, target, .. } = shared;
    let mut queues: Vec<_> = (0..names.shards()).map(|shard| names.shard(shard)).collect();
    for shard in names.shards().. {
        let name = names.shard(shard);
        let failed = |error| ConnectError::of_declaring(&name, error, target);
        // The server closes the channel with the answer "no".
        let channel = connection.create_channel().await.map_err(failed)?;
        match facts::passive(&channel, &name).await {
            Ok(_) => queues.push(name),
            Err(error) if is_not_found(&error) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(queues)
}

pub(super) fn read(body: &[u8]) -> Result<Vec<Dispatch>, Cause> {
    let dispatches = dispatch::decode(std::str::from_utf8(body)?)?;
    if dispatches.is_empty() {
        return Err("there is no dispatch in it".into());
    }
    Ok(dispatches)
}
