//! What a process is made of, and in which order it stops.
//!
//! **Roles.** Ingest takes events in, the worker delivers them, the console answers the management API. `serve` is all of
//! them in one process; each also runs as a process of its own, any number of times, on the same servers.
//!
//! **Stopping.** First intake: no new connection, no new message, while requests under way finish. Then the worker
//! drains. Last what the ports run on, for whoever still works needs it. All of it within [`GRACE`]; what is not
//! finished then was never acked, and goes on at the next start, or at another worker at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use ringback_api::{Keys, Types};
use ringback_console::Console;
use ringback_core::address::PublicUrl;
use ringback_ingest::{Ingest, Rules};
use ringback_metrics::{About, Metrics};
use ringback_runtime::{Shutdown, Supervisor, Tracer, telemetry};
use ringback_store::{KeyHash, Scope};
use ringback_worker::{Ports, Sender, SenderSettings, Worker, WorkerSettings};
use tokio::net::TcpListener;

use crate::exit::Failure;
use crate::health::Checkup;
use crate::parts::Parts;
use crate::sampler::Sampler;
use crate::settings::Settings;
use crate::traces::Exporter;
use crate::{facts, health, housekeeping, http};

/// How long stopping may take in all.
const GRACE: Duration = Duration::from_secs(30);
/// Of which deliveries under way get this much.
const DRAIN: Duration = Duration::from_secs(25);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// All of it.
    All,
    /// Takes events in.
    Ingest,
    /// Delivers them.
    Worker,
    /// Answers the management API, and keeps house.
    Console,
}

impl Role {
    fn takes_events_in(self) -> bool {
        matches!(self, Self::All | Self::Ingest)
    }

    fn delivers(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }

    fn manages(self) -> bool {
        matches!(self, Self::All | Self::Console)
    }

    /// As the command is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "serve",
            Self::Ingest => "ingest",
            Self::Worker => "worker",
            Self::Console => "console",
        }
    }
}

/// The parts of a process, opened and not yet running.
pub(crate) struct Process {
    role: Role,
    settings: Settings,
    parts: Parts,
    checkup: Arc<Checkup>,
    keys: Arc<Keys>,
    sender: Sender,
    tracer: Tracer,
    /// None: there is no collector, or nothing to tell it.
    exporter: Option<Exporter>,
}

/// A process with its ports bound.
pub(crate) struct Listening {
    process: Process,
    listener: TcpListener,
    address: SocketAddr,
    /// For health alone.
    second: Option<TcpListener>,
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
    /// What is in the way: a data directory in use, a wrong master key, a CA file that can't be read, a server that
    /// refuses us.
    pub(crate) async fn open(role: Role, settings: Settings) -> Result<Self, Failure> {
        let sender = SenderSettings {
            address_policy: settings.address_policy.clone(),
            ca_files: settings.ca_files.clone(),
        };
        let sender = Sender::new(sender).map_err(|error| Failure::Usage(error.into()))?;
        let (tracer, exporter) = traces(role, &settings)?;
        let metrics = Metrics::new(About {
            version: env!("CARGO_PKG_VERSION"),
            role: role.name(),
            callbacks_max: settings.metrics_callbacks_max,
        });
        let parts = Parts::open(&settings, metrics).await?;
        let checkup = Checkup::new(role, parts.ports.clone());
        let bootstrap = settings.admin_key.as_ref().map(KeyHash::of);
        let keys = Keys::new(parts.ports.store.clone(), bootstrap);
        Ok(Self { role, settings, parts, checkup, keys, sender, tracer, exporter })
    }

    /// What it works with.
    pub(crate) fn ports(&self) -> &Ports {
        &self.parts.ports
    }

    /// Whether any key opens the management API.
    pub(crate) async fn has_a_way_in(&self) -> Result<bool, Failure> {
        let keys = self.ports().store.api_keys().await?;
        Ok(self.settings.admin_key.is_some() || keys.iter().any(|key| key.scope == Scope::Instance))
    }

    /// Binds the ports.
    ///
    /// # Errors
    /// If one can't be bound.
    pub(crate) async fn listen(self) -> Result<Listening, Failure> {
        const WORKER_DEFAULT: SocketAddr =
            SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
        let (listener, second) = match self.role {
            Role::Worker => {
                let wanted = self.settings.metrics_listen.unwrap_or(WORKER_DEFAULT);
                (bind("metrics_listen", wanted).await?, None)
            }
            Role::All | Role::Ingest | Role::Console => {
                let second = match self.settings.metrics_listen {
                    Some(wanted) => Some(bind("metrics_listen", wanted).await?),
                    None => None,
                };
                (bind("listen", self.settings.listen).await?, second)
            }
        };
        let address = listener.local_addr().context("the port is not known")?;
        let public_url = self.settings.public_url.clone().or_else(|| self.reached_at(address));
        let process = self.with_public_url(public_url);
        Ok(Listening { process, listener, address, second, extra: Router::new() })
    }

    /// Where it is reached if nobody says otherwise: where it listens, if it is the only process and that is an address to
    /// send to.
    fn reached_at(&self, address: SocketAddr) -> Option<PublicUrl> {
        let is_one = self.role == Role::All && !address.ip().is_unspecified();
        is_one.then(|| format!("http://{address}").parse().ok()).flatten()
    }

    /// Lets callbacks be made that point at the sink of this instance, and requests be sent to them.
    fn with_public_url(mut self, own: Option<PublicUrl>) -> Self {
        self.settings.address_policy = self.settings.address_policy.reached_at(own.clone());
        self.sender = self.sender.reached_at(own);
        self
    }

    fn router(&self, ingest: &Arc<Ingest>, console: &Console) -> Router {
        let mut router = self.health();
        if self.role.takes_events_in() {
            router = router.merge(ringback_ingest::router(ingest.clone()));
        }
        if self.role.manages() {
            router = router.merge(ringback_console::router(console.clone()));
        }
        router
    }

    fn health(&self) -> Router {
        health::router(self.checkup.clone())
    }

    fn ingest(&self) -> Arc<Ingest> {
        let ports = self.ports();
        let ingest = Ingest::new(
            ports.broker.clone(),
            ports.idempotency.clone(),
            ports.clock.clone(),
            Rules {
                keys: self.keys.clone(),
                types: Types::new(ports.store.clone()),
                event_bytes_max: self.settings.event_bytes_max,
                // Whoever takes none in tells nothing of them, be it that there were none.
                metrics: match self.role.takes_events_in() {
                    true => ports.metrics.intake(),
                    false => Arc::default(),
                },
            },
        );
        Arc::new(ingest.traced_by(self.tracer.clone()))
    }

    fn console(&self, listens_at: SocketAddr) -> Console {
        let ports = self.ports();
        Console::new(
            ports.store.clone(),
            ports.broker.clone(),
            ports.clock.clone(),
            self.settings.address_policy.clone(),
            self.keys.clone(),
        )
        .counting(ports.metrics.clone())
        .knowing(facts::of(&self.settings, listens_at, self.checkup.clone()))
    }

    /// Starts what this role does besides answering requests.
    fn start(&self, start: &mut Start<'_>, ingest: Arc<Ingest>, console: &Console) {
        let sampler = Sampler::new(self.ports(), self.checkup.clone());
        let sampler = match self.role.manages() {
            true => sampler.of_everything(console.clone()),
            false => sampler,
        };
        start.task("sampler", |stop| sampler.run(stop));
        if self.role.takes_events_in()
            && let Some(intake) = &self.parts.intake
        {
            start.task("intake", |stop| ingest.run_intake(intake.clone(), stop));
        }
        if self.role.delivers() {
            let settings = WorkerSettings { drain: DRAIN, ..WorkerSettings::default() };
            let worker = Worker::new(settings, self.ports(), self.sender.clone());
            let worker = worker.traced_by(self.tracer.clone());
            start.task("worker", |stop| worker.run(stop));
        }
        if self.role.manages() {
            let letting_go = console.clone();
            start.task("letting go", |stop| letting_go.let_go(stop));
            let replaying = console.clone();
            start.task("bulk replays", |stop| replaying.replay(stop));
            let showing = console.clone();
            start.task("pages", |stop| showing.keep_pages_ready(stop));
            let (ports, claims) = (self.ports().clone(), self.parts.claims.clone());
            let retention = self.settings.retention;
            start.task("housekeeping", |stop| housekeeping::run(ports, claims, retention, stop));
        }
    }
}

fn traces(role: Role, settings: &Settings) -> Result<(Tracer, Option<Exporter>), Failure> {
    match &settings.traces {
        // What it does for events is done by the others.
        Some(traces) if role != Role::Console => {
            let made = Exporter::new(traces, role, &settings.ca_files).map_err(Failure::Usage)?;
            Ok((made.0, Some(made.1)))
        }
        _ => Ok((Tracer::default(), None)),
    }
}

async fn bind(setting: &str, wanted: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(wanted).await;
    bound
        .with_context(|| format!("{setting}: {wanted} can't be bound"))
        .map_err(Failure::Unavailable)
}

impl Listening {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its API works with.
    pub(crate) fn console(&self) -> Console {
        self.process.console(self.address)
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
        let Self { mut process, listener, address, second, extra } = self;
        let stopping = Shutdown::new();
        // Requested when the last of those who need the ports is gone.
        let unneeded = Shutdown::new();
        let mut supervisor = Supervisor::new(stopping.clone());
        process.parts.start(&mut supervisor, &unneeded);
        if let Some(exporter) = process.exporter.take() {
            supervisor.start("traces", exporter.run(unneeded.clone()));
        }

        let mut start = Start {
            supervisor: &mut supervisor,
            stopping: stopping.clone(),
            needed: Arc::new(RequestOnDrop(unneeded)),
        };
        let (ingest, console) = (process.ingest(), process.console(address));
        let router = process.router(&ingest, &console).merge(extra);
        start
            .task("http", |stop| http::serve(listener, ringback_api::with_fallbacks(router), stop));
        if let Some(second) = second {
            let health = ringback_api::with_fallbacks(process.health());
            start.task("metrics", |stop| http::serve(second, health, stop));
        }
        process.start(&mut start, ingest, &console);
        drop(start);

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

/// Starts tasks that need the ports: these stay until the last of them is gone.
struct Start<'a> {
    supervisor: &'a mut Supervisor,
    stopping: Shutdown,
    needed: Arc<RequestOnDrop>,
}

impl Start<'_> {
    fn task<F, E>(&mut self, name: &'static str, make: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<ringback_runtime::BoxError> + Send + 'static,
    {
        let run = make(self.stopping.clone());
        let needed = self.needed.clone();
        self.supervisor.start(name, async move {
            let ended = run.await;
            drop(needed);
            ended
        });
    }
}

/// Makes the request when the last holder lets go, be it by a panic.
struct RequestOnDrop(Shutdown);

impl Drop for RequestOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}
