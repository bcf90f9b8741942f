//! What a process is made of, and in which order it stops.
//!
//! **Stopping.** First intake: no new connection, no new message, while requests under way finish. Then the worker
//! drains. Last the writer and the timers, for whoever still works needs them. All of it within [`GRACE`]; what is not
//! finished then was never acked, and goes on at the next start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use ringback_api::Keys;
use ringback_console::Console;
use ringback_ingest::Ingest;
use ringback_runtime::{Clock, Shutdown, Supervisor, SystemClock, telemetry};
use ringback_sqlite::Database;
use ringback_store::{KeyHash, Scope};
use ringback_worker::{Ports, Sender, SenderSettings, Worker, WorkerSettings};
use tokio::net::TcpListener;

use crate::exit::Failure;
use crate::settings::Settings;
use crate::{health, housekeeping, http, key_files};

/// How long stopping may take in all.
const GRACE: Duration = Duration::from_secs(30);
/// Of which deliveries under way get this much.
const DRAIN: Duration = Duration::from_secs(25);

/// The parts of a process, opened and not yet running.
pub(crate) struct Process {
    settings: Settings,
    database: Arc<Database>,
    queue: Arc<ringback_broker::embedded::Embedded>,
    claims: Arc<ringback_idempotency::embedded::Embedded>,
    pub(crate) ports: Ports,
    keys: Arc<Keys>,
    sender: Sender,
}

/// A process with its port bound.
pub(crate) struct Listening {
    process: Process,
    listener: TcpListener,
    address: SocketAddr,
    extra: Router,
}

/// Sends logs to standard error.
///
/// # Errors
/// A log filter that can't be read.
pub(crate) fn start_logs(settings: &Settings) -> Result<(), Failure> {
    telemetry::start(settings.log_format, &settings.log).context("log").map_err(Failure::Usage)
}

/// Resolves once the process is asked to stop: SIGTERM, or Ctrl-C.
pub(crate) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened to");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
}

impl Process {
    /// Opens everything that is kept.
    ///
    /// # Errors
    /// What is in the way: a data directory in use, a wrong master key, a CA file that can't be read.
    pub(crate) async fn open(settings: Settings) -> Result<Self, Failure> {
        let sender = SenderSettings {
            address_policy: settings.address_policy.clone(),
            ca_files: settings.ca_files.clone(),
        };
        let sender = Sender::new(sender).map_err(|error| Failure::Usage(error.into()))?;
        // Before the database is there: one that is there was written with a key, and another would not open it.
        let master_key = match &settings.master_key {
            Some(key) => key.clone(),
            None => key_files::master_key(&settings.data_dir).map_err(Failure::Unavailable)?,
        };
        let database = Database::open(&settings.data_dir).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queue = ringback_broker::embedded::Embedded::open(database.clone(), clock.clone())
            .await
            .context("the queue can't be opened")?;
        let store =
            ringback_store::sqlite::SqliteStore::open(database.clone(), master_key, clock.clone())
                .await?;
        let claims =
            ringback_idempotency::embedded::Embedded::open(database.clone(), clock.clone())
                .await
                .context("the idempotency store can't be opened")?;
        let bootstrap = settings.admin_key.as_ref().map(KeyHash::of);
        let keys = Keys::new(store.clone(), bootstrap);
        let ports = Ports { broker: queue.clone(), store, idempotency: claims.clone(), clock };
        Ok(Self { settings, database, queue, claims, ports, keys, sender })
    }

    /// Whether any key opens the management API.
    pub(crate) async fn has_a_way_in(&self) -> Result<bool, Failure> {
        let keys = self.ports.store.api_keys().await?;
        Ok(self.settings.admin_key.is_some() || keys.iter().any(|key| key.scope == Scope::Instance))
    }

    /// Binds the port.
    ///
    /// # Errors
    /// If it can't be bound.
    pub(crate) async fn listen(self) -> Result<Listening, Failure> {
        let wanted = self.settings.listen;
        let bound = TcpListener::bind(wanted).await;
        let listener = bound
            .with_context(|| format!("listen: {wanted} can't be bound"))
            .map_err(Failure::Unavailable)?;
        let address = listener.local_addr().context("the port is not known")?;
        Ok(Listening { process: self, listener, address, extra: Router::new() })
    }

    fn router(&self) -> Router {
        let ingest = Ingest::new(
            self.ports.broker.clone(),
            self.ports.idempotency.clone(),
            self.ports.clock.clone(),
            self.keys.clone(),
            self.settings.event_bytes_max,
        );
        let console = Console::new(
            self.ports.store.clone(),
            self.ports.broker.clone(),
            self.ports.clock.clone(),
            self.settings.address_policy.clone(),
            self.keys.clone(),
        );
        ringback_ingest::router(Arc::new(ingest))
            .merge(ringback_console::router(console))
            .merge(health::router(self.ports.clone()))
    }
}

impl Listening {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves these routes besides the API.
    pub(crate) fn with(mut self, extra: Router) -> Self {
        self.extra = self.extra.merge(extra);
        self
    }

    /// Works until `stop` resolves, and then stops in good order.
    ///
    /// # Errors
    /// The first task that fails: the others are stopped then.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self { process, listener, address, extra } = self;
        let stopping = Shutdown::new();
        // Requested when the last of those who need writer and timers is gone.
        let unneeded = Shutdown::new();
        let needed = Arc::new(RequestOnDrop(unneeded.clone()));
        let mut supervisor = Supervisor::new(stopping.clone());

        let writer = process.database.clone();
        supervisor.start("writer", writer.run_writer(unneeded.clone()));
        supervisor.start("timers", process.queue.clone().run(unneeded.clone()));

        let settings = WorkerSettings { drain: DRAIN, ..WorkerSettings::default() };
        let worker = Worker::new(settings, &process.ports, process.sender.clone());
        let worker = worker.run(stopping.clone());
        supervisor.start("worker", keeping(needed.clone(), worker));

        let router = ringback_api::with_fallbacks(process.router().merge(extra));
        let http = http::serve(listener, router, stopping.clone());
        supervisor.start("http", keeping(needed.clone(), http));

        let retention = process.settings.retention;
        let (ports, claims) = (process.ports.clone(), process.claims.clone());
        let housekeeping = housekeeping::run(ports, claims, retention, stopping.clone());
        supervisor.start("housekeeping", keeping(needed, housekeeping));

        tracing::info!("ringback is ready on http://{address}");
        let running = supervisor.run(GRACE);
        tokio::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = stop => {
                stopping.request();
                running.await
            }
        };
        ended.map_err(|error| Failure::Other(error.into()))?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Makes the request when the last holder lets go, be it by a panic.
struct RequestOnDrop(Shutdown);

impl Drop for RequestOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

async fn keeping<T>(needed: Arc<RequestOnDrop>, run: impl Future<Output = T>) -> T {
    let ended = run.await;
    drop(needed);
    ended
}
