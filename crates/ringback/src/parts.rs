//! The three ports and what stands behind them: in the data directory, or on servers, each for itself.
//!
//! **Starting.** What can never work (a wrong password, a queue declared otherwise) ends the process with a message. What
//! is only away is waited for: PostgreSQL before anything else is done, for nobody can be let in without it; RabbitMQ and
//! Redis while the process already answers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ringback_broker::rabbitmq::Rabbitmq;
use ringback_broker::{Broker, Intake};
use ringback_idempotency::Idempotency;
use ringback_idempotency::redis::Redis;
use ringback_metrics::Metrics;
use ringback_runtime::{Clock, Shutdown, Supervisor, SystemClock};
use ringback_sqlite::Database;
use ringback_store::postgres::{self, PostgresStore};
use ringback_store::sqlite::SqliteStore;
use ringback_store::transfer::{Transfer, Unfinished};
use ringback_store::{MasterKey, Store};
use ringback_worker::Ports;

use crate::exit::Failure;
use crate::key_files;
use crate::settings::{BrokerSettings, IdempotencySettings, Settings, StoreSettings};

/// The ports, opened, with what has to run for them.
pub(crate) struct Parts {
    pub(crate) ports: Ports,
    /// None: producers can't put events on the queue themselves.
    pub(crate) intake: Option<Arc<dyn Intake>>,
    /// If any of the three is embedded.
    database: Option<Arc<Database>>,
    queue: Queue,
    postgres: Option<Arc<PostgresStore>>,
    /// The embedded one has keys to delete now and then.
    pub(crate) claims: Option<Arc<ringback_idempotency::embedded::Embedded>>,
}

enum Queue {
    Embedded(Arc<ringback_broker::embedded::Embedded>),
    Rabbitmq(Arc<Rabbitmq>),
}

impl Parts {
    /// Opens everything that is kept.
    ///
    /// # Errors
    /// What is in the way and stays so: a data directory in use, a wrong master key, a wrong password, an import that
    /// was cut off.
    pub(crate) async fn open(settings: &Settings, metrics: Metrics) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // Before the database is there: one that is there was written with a key, and another would not open it.
        let master_key = match &settings.master_key {
            Some(key) => key.clone(),
            None => key_files::master_key(&settings.data_dir).map_err(Failure::Unavailable)?,
        };
        let database = match settings.is_all_remote() {
            true => None,
            false => Some(Database::open(&settings.data_dir).await?),
        };
        // What is opened first is also what joins the group commit first; its rank counts, not the order.
        let queue = Queue::open(&settings.broker, database.as_ref(), &clock).await?;
        let (store, postgres) = store(settings, database.as_ref(), master_key, &clock).await?;
        let (idempotency, claims) = idempotency(settings, database.as_ref(), &clock).await?;
        let (broker, intake): (Arc<dyn Broker>, Option<Arc<dyn Intake>>) = match &queue {
            Queue::Embedded(queue) => (queue.clone(), None),
            Queue::Rabbitmq(queue) => (queue.clone(), Some(queue.clone())),
        };
        let ports = Ports { broker, store, idempotency, clock, metrics };
        Ok(Self { ports, intake, database, queue, postgres, claims })
    }

    /// Starts what the ports need to work, until nobody needs them any more.
    pub(crate) fn start(&self, supervisor: &mut Supervisor, unneeded: &Shutdown) {
        if let Some(database) = &self.database {
            supervisor.start("writer", database.clone().run_writer(unneeded.clone()));
        }
        match &self.queue {
            Queue::Embedded(queue) => {
                supervisor.start("timers", queue.clone().run(unneeded.clone()));
            }
            Queue::Rabbitmq(queue) => {
                supervisor.start("rabbitmq", queue.clone().run(unneeded.clone()));
            }
        }
        if let Some(postgres) = &self.postgres {
            supervisor.start("postgres", postgres.clone().run(unneeded.clone()));
        }
    }
}

impl Queue {
    async fn open(
        settings: &BrokerSettings,
        database: Option<&Arc<Database>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        match settings {
            BrokerSettings::Embedded => {
                let queue =
                    ringback_broker::embedded::Embedded::open(embedded(database), clock.clone());
                let queue = queue.await.context("the queue can't be opened")?;
                Ok(Self::Embedded(queue))
            }
            BrokerSettings::Rabbitmq(settings) => {
                let queue = Rabbitmq::connect(settings, clock.clone()).await;
                let queue = queue.context("amqp_url").map_err(Failure::Unavailable)?;
                Ok(Self::Rabbitmq(queue))
            }
        }
    }
}

/// There is one whenever a part is embedded, see [`Settings::is_all_remote`].
fn embedded(database: Option<&Arc<Database>>) -> Arc<Database> {
    database.cloned().expect("an embedded part has a database")
}

pub(crate) type EmbeddedClaims = Option<Arc<ringback_idempotency::embedded::Embedded>>;

/// Opens the idempotency store. The embedded one joins the group commit: before it starts.
///
/// # Errors
/// What is in the way and stays so.
pub(crate) async fn idempotency(
    settings: &Settings,
    database: Option<&Arc<Database>>,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn Idempotency>, EmbeddedClaims), Failure> {
    match &settings.idempotency {
        IdempotencySettings::Embedded => {
            let claims =
                ringback_idempotency::embedded::Embedded::open(embedded(database), clock.clone());
            let claims = claims.await.context("the idempotency store can't be opened")?;
            Ok((claims.clone(), Some(claims)))
        }
        IdempotencySettings::Redis(settings) => {
            let redis = Redis::connect(settings.clone()).await;
            let redis = redis.context("redis_url").map_err(Failure::Unavailable)?;
            Ok((redis, None))
        }
    }
}

async fn store(
    settings: &Settings,
    database: Option<&Arc<Database>>,
    key: MasterKey,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn Store>, Option<Arc<PostgresStore>>), Failure> {
    match &settings.store {
        StoreSettings::Sqlite => {
            let store = SqliteStore::open(embedded(database), key, clock.clone()).await?;
            is_whole(store.unfinished_import(ANY).await?)?;
            Ok((store, None))
        }
        StoreSettings::Postgres(settings) => {
            let store = wait_for_postgres(settings, &key, clock).await?;
            Ok((store.clone(), Some(store)))
        }
    }
}

/// No import has this id: any that was begun is another one.
pub(crate) const ANY: &str = "";

/// Refuses an instance of which a part was imported: what is missing would be taken for gone.
///
/// # Errors
/// If an import was begun that did not come to its end.
pub(crate) fn is_whole(unfinished: Unfinished) -> Result<(), Failure> {
    match unfinished {
        Unfinished::None => Ok(()),
        Unfinished::This | Unfinished::Another => Err(Failure::Unavailable(anyhow::anyhow!(
            "an import into this instance is under way or was cut off, so that a part is missing: run the same `ringback import` \
             again, to its end"
        ))),
    }
}

/// Opens the database, again and again while it is away: whoever starts everything at once need not see to the order.
async fn wait_for_postgres(
    settings: &postgres::Settings,
    key: &MasterKey,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<PostgresStore>, Failure> {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        let opened = async {
            let store = PostgresStore::open(settings.clone(), key.clone(), clock.clone()).await?;
            let unfinished = store.unfinished_import(ANY).await?;
            Ok((store, unfinished))
        };
        let error: ringback_store::Error = match opened.await {
            Ok((store, unfinished)) => return is_whole(unfinished).map(|()| store),
            Err(error) => error,
        };
        if !error.is_temporary() {
            return Err(Failure::from(error));
        }
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "PostgreSQL (database_url) is away: waiting for it");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = crate::process::stop_signal() => {
                return Err(Failure::Unavailable(anyhow::anyhow!("stopped before PostgreSQL was there")));
            }
        }
    }
}
