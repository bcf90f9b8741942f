//! Where it is moved from, or to: store and queue, opened without anything that works on them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use ringback_broker::rabbitmq::{Rabbitmq, waiting};
use ringback_broker::{Broker, rabbitmq};
use ringback_idempotency::Idempotency;
use ringback_runtime::{Clock, Shutdown, Supervisor, SystemClock};
use ringback_sqlite::Database;
use ringback_store::Store;
use ringback_store::postgres::{self, PostgresStore};
use ringback_store::sqlite::SqliteStore;
use ringback_store::transfer::Transfer;

use crate::exit::Failure;
use crate::settings::{BrokerSettings, Settings, StoreSettings};
use crate::{key_files, parts};

/// Store and queue of an instance at which nobody works.
pub(super) struct Place {
    pub(super) transfer: Arc<dyn Transfer>,
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: Queue,
    /// If anything is embedded. Its lock keeps others out.
    pub(super) database: Option<Arc<Database>>,
}

/// Its queue.
pub(super) enum Queue {
    Embedded(Arc<ringback_broker::embedded::Embedded>),
    /// Not connected yet: reading and writing take connections of their own.
    Rabbitmq(rabbitmq::Settings),
}

impl Place {
    /// Opens an instance.
    ///
    /// # Errors
    /// If somebody is at work on it, as far as that can be seen; if it can't be opened.
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let key = match &settings.master_key {
            Some(key) => key.clone(),
            None => key_files::master_key(&settings.data_dir).map_err(Failure::Unavailable)?,
        };
        // First, for its lock.
        let database = match settings.is_all_remote() {
            true => None,
            false => Some(Database::open(&settings.data_dir).await?),
        };
        let queue = match &settings.broker {
            BrokerSettings::Embedded => {
                let database = database.clone().expect("an embedded part has a database");
                let queue = ringback_broker::embedded::Embedded::open(database, clock.clone());
                Queue::Embedded(queue.await.context("the queue can't be opened")?)
            }
            BrokerSettings::Rabbitmq(settings) => {
                let standing = waiting::standing(settings).await?;
                if standing.consumers > 0 {
                    return Err(at_work("amqp_url", "RabbitMQ", standing.consumers.into()));
                }
                Queue::Rabbitmq(settings.clone())
            }
        };
        let (transfer, store): (Arc<dyn Transfer>, Arc<dyn Store>) = match &settings.store {
            StoreSettings::Sqlite => {
                let database = database.clone().expect("an embedded part has a database");
                let store = SqliteStore::open(database, key, clock).await?;
                (store.clone(), store)
            }
            StoreSettings::Postgres(postgres) => {
                let others = postgres::other_connections(postgres).await?;
                if others > 0 {
                    return Err(at_work("database_url", "PostgreSQL", others));
                }
                let store = PostgresStore::open((**postgres).clone(), key, clock).await?;
                (store.clone(), store)
            }
        };
        Ok(Self { transfer, store, queue, database })
    }
}

/// A queue that can be written to, and a memory of repeats, until [`end`](Self::end).
pub(super) struct Publishing {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) idempotency: Arc<dyn Idempotency>,
    supervisor: Supervisor,
}

/// What was handed in is written by then.
const END_WITHIN: Duration = Duration::from_secs(30);

impl Place {
    /// Gets ready to put messages on its queue, and to remember what was accepted.
    ///
    /// # Errors
    /// If a server refuses.
    pub(super) async fn publishing(&self, settings: &Settings) -> Result<Publishing, Failure> {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (idempotency, _no_key_expires_now) =
            parts::idempotency(settings, self.database.as_ref(), &clock).await?;
        if let Some(database) = &self.database {
            supervisor.start("writer", database.clone().run_writer(shutdown.clone()));
        }
        let broker: Arc<dyn Broker> = match &self.queue {
            Queue::Embedded(queue) => queue.clone(),
            Queue::Rabbitmq(settings) => {
                let queue = Rabbitmq::connect(settings, clock).await?;
                supervisor.start("rabbitmq", queue.clone().run(shutdown));
                queue
            }
        };
        Ok(Publishing { broker, idempotency, supervisor })
    }

    /// Whether anything waits on its queue.
    ///
    /// # Errors
    /// If it can't be asked.
    pub(super) async fn has_messages(&self) -> Result<bool, Failure> {
        match &self.queue {
            Queue::Embedded(queue) => {
                let first = queue.waiting(None, 1).await.context("the queue can't be read")?;
                Ok(!first.is_empty())
            }
            Queue::Rabbitmq(settings) => {
                let standing = waiting::standing(settings).await?;
                Ok(standing.waiting > 0 || standing.intake > 0)
            }
        }
    }
}

impl Publishing {
    /// Ends what takes part.
    ///
    /// # Errors
    /// If a part of it fails.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.supervisor.shutdown().request();
        self.supervisor.run(END_WITHIN).await.map_err(|error| Failure::Other(error.into()))
    }
}

fn at_work(setting: &str, server: &str, count: i64) -> Failure {
    Failure::Unavailable(anyhow!(
        "{setting}: a Ringback is at work on this {server} ({count} connections or consumers): stop all its processes first"
    ))
}
