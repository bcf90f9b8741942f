//! The queue on a real RabbitMQ: the conformance suite, and what only this one promises.

#![expect(clippy::disallowed_methods, reason = "tests spawn tasks of their own")]

mod conformance;
mod consumers;
mod delays;
mod faults;
mod intake;
mod outages;
mod set_aside;
mod waiting;

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use ringback_core::Timestamp;
use ringback_core::secret::Secret;
use ringback_runtime::{Clock, Shutdown, SystemClock};
use ringback_testkit::servers;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{ConnectError, Rabbitmq, Settings, topology};
use crate::conformance::{dispatch_of, numbers};
use crate::{Broker, Consumer, Delayed, Depth, Error, Message, PublishError};

/// What should come comes within this.
const SOON: Duration = Duration::from_secs(15);

/// Names of its own on the server that tests share.
fn fresh_settings() -> Settings {
    let url = servers::amqp_url().expect("a server is there");
    settings_at(&url)
}

/// Names of its own on this server.
fn settings_at(url: &str) -> Settings {
    Settings { prefix: servers::fresh_prefix(), ..Settings::new(Secret::new(url)) }
}

fn sharded(settings: Settings, shards: u16) -> Settings {
    Settings { shards: NonZeroU16::new(shards).expect("at least one"), ..settings }
}

/// A queue with the task it needs. What it declared goes when this is dropped.
struct Running {
    settings: Settings,
    broker: Arc<Rabbitmq>,
    shutdown: Shutdown,
    task: Option<JoinHandle<Result<(), Error>>>,
    left: bool,
}

impl Running {
    async fn start(settings: Settings) -> Self {
        let running = Self::try_start(settings).await;
        let running = running.expect("nothing of this name is there");
        // There may be no server yet.
        let _ = running.broker.ready().await;
        running
    }

    async fn try_start(settings: Settings) -> Result<Self, ConnectError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let broker = Rabbitmq::connect(&settings, clock).await?;
        let shutdown = Shutdown::new();
        let task = Some(tokio::spawn(broker.clone().run(shutdown.clone())));
        Ok(Self { settings, broker, shutdown, task, left: false })
    }

    async fn stop(&mut self) {
        self.shutdown.request();
        let task = self.task.take().expect("it runs");
        task.await.expect("no panic").expect("stopped");
    }

    /// Leaves what it declared, for another of the same names.
    fn leave(mut self) {
        self.left = true;
    }

    async fn consumer(&self) -> Box<dyn Consumer> {
        Broker::consume(&*self.broker).await.expect("always")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.request();
        if self.left {
            return;
        }
        let settings = self.settings.clone();
        // Not in the test's own runtime, which can't be waited for here.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(topology::delete(&settings))
        });
        // A server of the test's own may be gone already, and all of it with it.
        let _ = deleting.join().expect("no panic");
    }
}

async fn next(consumer: &mut dyn Consumer) -> Message {
    let message = tokio::time::timeout(SOON, consumer.next()).await;
    message.expect("a message comes in time").expect("no shutdown")
}

async fn publish(running: &Running, numbers: impl IntoIterator<Item = u32>) {
    try_publish(running, numbers).await.expect("published");
}

async fn try_publish(
    running: &Running,
    numbers: impl IntoIterator<Item = u32>,
) -> Result<(), PublishError> {
    running.broker.publish(numbers.into_iter().map(dispatch_of).collect()).await
}

async fn publish_after(running: &Running, delayed: impl IntoIterator<Item = (u32, Timestamp)>) {
    let delayed =
        delayed.into_iter().map(|(number, due)| Delayed { due, dispatch: dispatch_of(number) });
    running.broker.publish_after(delayed.collect()).await.expect("published");
}

/// Takes and acks messages until each of these came, in any order, and nothing else.
async fn take_all(running: &Running, consumer: &mut dyn Consumer, expected: BTreeSet<u32>) {
    let mut missing = expected;
    while !missing.is_empty() {
        let message = next(consumer).await;
        for number in numbers(&message) {
            assert!(missing.remove(&number), "{number} came twice, or should not come");
        }
        running.broker.ack(message.receipt);
    }
}

/// Returns the depth once it is as expected.
async fn depth_becomes(running: &Running, expected: impl Fn(Depth) -> bool) {
    eventually("the depth", async || match running.broker.depth().await {
        Ok(depth) => expected(depth),
        Err(_) => false,
    })
    .await;
}

/// Returns once it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what} is not as expected after {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A channel past Ringback, as a producer or an operator has it. It confirms.
async fn channel(settings: &Settings) -> (Connection, lapin::Channel) {
    let connection = Connection::connect(settings.url.reveal(), ConnectionProperties::default());
    let connection = connection.await.expect("the server is there");
    let channel = connection.create_channel().await.expect("there is room");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("it can");
    (connection, channel)
}

/// Publishes past Ringback.
async fn put(
    channel: &lapin::Channel,
    (exchange, key): (&str, &str),
    (body, properties): (&[u8], BasicProperties),
) {
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    let confirmed = published.await.expect("sent").await.expect("answered");
    assert!(confirmed.is_ack());
}

async fn delete_queue(channel: &lapin::Channel, name: &str) {
    let deleted = channel.queue_delete(name.into(), QueueDeleteOptions::default());
    deleted.await.expect("deleted");
}

/// The text of an error and of all its causes.
fn told(error: &dyn std::error::Error) -> String {
    super::retry::whole(error)
}
