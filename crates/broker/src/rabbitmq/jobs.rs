//! What is done with a message that is not handed out. Each is done when what it publishes is confirmed; until then its
//! message is unacked, and comes again if the connection breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future;
use lapin::message::Delivery;
use ringback_core::dispatch;
use ringback_core::{Dispatch, Timestamp};
use tokio::sync::Mutex;
use tokio::time;

use super::consumer::Source;
use super::error::Unconfirmed;
use super::message::{self, Outgoing};
use super::{Shared, connection, retry};
use crate::{Cause, Delayed};

/// What could not be published is published again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The topology is declared anew at most this often, for messages that find no queue.
const HEAL_EVERY: Duration = Duration::from_secs(1);

/// Declares the topology anew when messages find no queue.
#[derive(Default)]
pub(super) struct Healing(Mutex<Option<Instant>>);

impl Healing {
    /// Waits a moment, and declares everything; unless that was just done.
    async fn heal(&self, shared: &Shared) {
        let mut last = self.0.lock().await;
        if last.is_some_and(|at| at.elapsed() < HEAL_EVERY) {
            return;
        }
        // Whoever deletes a queue to declare it anew gets the time for it.
        time::sleep(HEAL_EVERY).await;
        let Shared { target, names, publisher, .. } = shared;
        match publisher.usable() {
            Ok(connection) => match connection::declare(&connection, target, names).await {
                Ok(()) => tracing::warn!(
                    "messages found no queue; the topology is declared anew, and they are put back"
                ),
                Err(error) => {
                    let error = retry::whole(&error);
                    tracing::error!(
                        error,
                        "messages found no queue, and the topology can't be declared"
                    );
                }
            },
            Err(error) => tracing::debug!(%error, "messages found no queue"),
        }
        *last = Some(Instant::now());
    }
}

/// A message found no queue: it goes where it was to go.
pub(super) async fn put_back(shared: Arc<Shared>, delivery: Delivery) {
    shared.healing.heal(&shared).await;
    let (exchange, key) = (delivery.exchange.as_str(), delivery.routing_key.as_str());
    let forward =
        || Outgoing::forward(exchange, key, (&delivery.properties, delivery.data.clone()), []);
    publish(&shared, forward).await;
}

/// A message can't be read: people have to look at it.
pub(super) async fn set_aside(shared: Arc<Shared>, delivery: Delivery, why: Cause) {
    let detail = retry::whole(&*why);
    tracing::error!(
        routing_key = delivery.routing_key.as_str(),
        error = detail,
        "a message can't be read; it is set aside in the queue `{}`",
        shared.names.poison()
    );
    let key = delivery.routing_key.as_str();
    let headers = [
        (message::REASON, "unreadable"),
        (message::DETAIL, detail.as_str()),
        (message::ROUTING_KEY, key),
    ];
    let poison = shared.names.poison();
    let forward = || {
        let content = (&delivery.properties, delivery.data.clone());
        Outgoing::forward(&poison, key, content, headers)
    };
    publish(&shared, forward).await;
}

/// A message came out of the ladder too early, for it does not reach far enough: it goes in again.
pub(super) async fn hold_back(shared: Arc<Shared>, due: Timestamp, dispatches: Vec<Dispatch>) {
    let delayed: Vec<_> =
        dispatches.into_iter().map(|dispatch| Delayed { due, dispatch }).collect();
    until_confirmed(|| shared.publisher.publish_after(&delayed)).await;
}

/// A bundle came back again and again: each dispatch goes on by itself, and what was done already is asked of the
/// history.
pub(super) async fn take_apart(shared: Arc<Shared>, source: Source, dispatches: Vec<Dispatch>) {
    tracing::warn!(
        dispatches = dispatches.len(),
        "a message came back again and again; each of its dispatches goes on by itself"
    );
    let names = &shared.names;
    let texts = dispatches.into_iter().map(|dispatch| dispatch::encode(&dispatch.in_doubt()));
    let each = texts.map(async |text: String| {
        publish(&shared, || {
            let id = shared.publisher.id();
            match source {
                Source::Fresh => {
                    // One queue is bound with this key; several are chosen by the hash of any.
                    let key = if names.shards() == 1 { "0" } else { id.as_str() };
                    Outgoing::bundle(&names.dispatch(), key, &id, &[text.as_str()])
                }
                Source::Returned | Source::Unrouted => {
                    Outgoing::returned(names, &id, &[text.as_str()])
                }
            }
        })
        .await;
    });
    future::join_all(each).await;
}

async fn publish(shared: &Shared, message: impl Fn() -> Outgoing) {
    until_confirmed(|| shared.publisher.publish_ready(message())).await;
}

async fn until_confirmed<F>(publish: impl Fn() -> F)
where
    F: Future<Output = Result<(), Unconfirmed>>,
{
    while let Err(error) = publish().await {
        tracing::debug!(%error, "not published yet; trying again");
        time::sleep(AGAIN_AFTER).await;
    }
}
