//! The queue on RabbitMQ, for as many processes as one likes.
//!
//! **Publish.** Dispatches that wait together become bundles, a message each, persistent, on quorum queues, confirmed
//! before their callers are told (`publisher.rs`).
//! **Delay.** A ladder of queues, each of which holds its messages for a power of two (`ladder.rs`). What comes out stands
//! in a queue of its own, beside the new events.
//! **Consume.** A consumer has a connection of its own: RabbitMQ blocks those that publish when it is short of memory or
//! disk, and what is blocked can't ack either (`subscription.rs`).
//! **Loss.** Every connection is made anew for ever, with all that hangs on it (`retry.rs`). What was not acked comes
//! again, marked.
//! **Set aside.** What can't be read, or is given back again and again, goes to `poison`; what finds no queue goes to
//! `unrouted`, and is put back by consumers.
//!
//! All names are in `names.rs`, all declarations in `topology.rs`.

mod connection;
mod consumer;
mod error;
pub mod facts;
mod intake;
mod jobs;
mod ladder;
mod link;
mod message;
mod names;
mod prefetch;
mod publisher;
pub mod rejected;
mod retry;
mod settings;
mod settle;
mod subscription;
pub mod topology;
pub mod waiting;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lapin::Connection;
use ringback_core::Dispatch;
use ringback_runtime::{Clock, Shutdown, TaskGroup};
use tokio::time;

pub use self::error::{ConnectError, InvalidSettings, Unconfirmed};
use self::jobs::Healing;
use self::names::Names;
use self::publisher::{Lanes, Publisher};
use self::retry::Retry;
pub use self::settings::Settings;
use self::settings::Target;
use self::settle::Receipts;
use crate::{Broker, Consumer, Delayed, Depth, Error, PublishError, Receipt};

/// Consumers that are left when the process stops have this long to give back what they hold.
const CONSUMERS_END_WITHIN: Duration = Duration::from_secs(5);

/// The queue on RabbitMQ.
pub struct Rabbitmq {
    shared: Arc<Shared>,
    /// What [`run`](Self::run) begins with.
    idle: Mutex<Option<Idle>>,
}

/// What waits for [`Rabbitmq::run`].
struct Idle {
    lanes: Lanes,
    connection: Option<Connection>,
}

/// What the queue and its consumers share.
struct Shared {
    target: Target,
    names: Names,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
    receipts: Receipts,
    healing: Healing,
    tasks: TaskGroup,
    /// Consumers are to end.
    stopping: Shutdown,
}

impl Rabbitmq {
    /// Tries the server once: connects and declares what is missing. One that merely can't be reached is no error:
    /// [`run`](Self::run) goes on trying.
    ///
    /// # Errors
    /// [`ConnectError`] if somebody has to change something.
    pub async fn connect(
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, ConnectError> {
        settings.check()?;
        let target = Target::parse(&settings.url)?;
        let names = Names::new(&settings.prefix, settings.shards);
        let (publisher, lanes) = Publisher::new(target.to_string(), &names);
        let connection = match connection::open_declared(&target, &names, "publisher").await {
            Ok(connection) => Some(connection),
            Err(error) if error.is_permanent() => return Err(error),
            Err(error) => {
                let why = retry::whole(&error);
                tracing::warn!(
                    error = why,
                    "starting without RabbitMQ; it is tried again and again"
                );
                publisher.down(&error);
                None
            }
        };
        let shared = Arc::new(Shared {
            target,
            names,
            clock,
            publisher,
            receipts: Receipts::default(),
            healing: Healing::default(),
            tasks: TaskGroup::new(),
            stopping: Shutdown::new(),
        });
        let idle = Mutex::new(Some(Idle { lanes, connection }));
        Ok(Arc::new(Self { shared, idle }))
    }

    /// Publishes, and keeps up the connection for it. After the shutdown is requested consumers get nothing more, and
    /// publishing ends once what was handed in is confirmed: stop it last.
    ///
    /// # Errors
    /// None: whatever fails is tried again.
    ///
    /// # Panics
    /// If it is called twice.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), Error> {
        let idle = self.idle.lock().expect("nobody panics holding it").take();
        let Idle { mut lanes, mut connection } = idle.expect("it is called once");
        let Shared { target, names, publisher, clock, .. } = &*self.shared;
        let mut retry = Retry::new("publisher");
        while !shutdown.is_requested() {
            let made = match connection.take() {
                Some(connection) => Ok(connection),
                None => tokio::select! {
                    made = connection::open_declared(target, names, "publisher") => made,
                    () = shutdown.requested() => break,
                },
            };
            let wait = match made {
                Ok(connection) => {
                    retry.connected(target);
                    let connection = Arc::new(connection);
                    let session =
                        publisher.session(connection.clone(), &mut lanes, &**clock, &shutdown);
                    let ended = session.await;
                    connection::close(&connection).await;
                    match ended {
                        Ok(()) => break,
                        Err(error) => {
                            publisher.down(&error);
                            retry.lost(target, &error)
                        }
                    }
                }
                Err(error) => {
                    publisher.down(&error);
                    retry.failed(&error)
                }
            };
            tokio::select! {
                () = time::sleep(wait) => {}
                () = shutdown.requested() => {}
            }
        }
        publisher.stop();
        self.shared.stopping.request();
        // What they hold comes again if they don't.
        let _ = time::timeout(CONSUMERS_END_WITHIN, self.shared.tasks.drained()).await;
        Ok(())
    }
}

fn unavailable(why: Unconfirmed) -> PublishError {
    PublishError::Unavailable(Box::new(why))
}

#[async_trait]
impl Broker for Rabbitmq {
    async fn publish(&self, dispatches: Vec<Dispatch>) -> Result<(), PublishError> {
        self.shared.publisher.publish(&dispatches).await.map_err(unavailable)
    }

    async fn publish_after(&self, delayed: Vec<Delayed>) -> Result<(), PublishError> {
        self.shared.publisher.publish_after(&delayed).await.map_err(unavailable)
    }

    async fn consume(&self) -> Result<Box<dyn Consumer>, Error> {
        Ok(Box::new(consumer::start(&self.shared)))
    }

    fn ack(&self, receipt: Receipt) {
        self.shared.receipts.ack(receipt.0);
    }

    async fn ready(&self) -> Result<(), Error> {
        self.shared.publisher.ready().await.map_err(|why| Error(Box::new(why)))
    }

    async fn depth(&self) -> Result<Depth, Error> {
        facts::depth(&self.shared).await
    }
}
