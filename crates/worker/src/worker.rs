//! Feeds the pipeline: takes messages off the queue, as many as there is room for, and drains when it stops.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ringback_broker::{Broker, Consumer, Message};
use ringback_idempotency::Idempotency;
use ringback_metrics::{Metrics, WorkerWatch};
use ringback_runtime::{Clock, Shutdown, TaskGroup, Tracer};
use ringback_store::Store;
use tokio::sync::Semaphore;

use crate::circuit::Circuits;
use crate::directory::Directory;
use crate::job::Room;
use crate::pipeline::Pipeline;
use crate::sender::Sender;

/// What a worker works with.
#[derive(Clone)]
pub struct Ports {
    /// The queue.
    pub broker: Arc<dyn Broker>,
    /// Configuration and history.
    pub store: Arc<dyn Store>,
    /// Claims.
    pub idempotency: Arc<dyn Idempotency>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
}

/// How much a worker takes on.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Deliveries held at once. A waiting request costs memory, not a thread.
    pub deliveries_max: u32,
    /// How long requests under way may go on after the worker was asked to stop; what is left then is handed back.
    pub drain: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { deliveries_max: 2_000, drain: Duration::from_secs(25) }
    }
}

/// How long the last acks may take.
const FINISH: Duration = Duration::from_secs(3);

/// Takes messages off the queue and delivers them.
pub struct Worker {
    broker: Arc<dyn Broker>,
    pipeline: Arc<Pipeline>,
    circuits: Circuits,
    directory: Arc<Directory>,
    settings: WorkerSettings,
    room: Arc<Semaphore>,
    /// Asked for once the drain is over: who still waits for a dead server gives up.
    give_up: Shutdown,
}

impl Worker {
    /// A worker that has not begun.
    #[must_use]
    pub fn new(settings: WorkerSettings, ports: &Ports, sender: Sender) -> Self {
        let give_up = Shutdown::new();
        let room = Arc::new(Semaphore::new(settings.deliveries_max as usize));
        let directory = Directory::new(ports.store.clone(), ports.metrics.clone());
        let directory = Arc::new(directory);
        let circuits = Circuits::new(directory.clone(), ports.clock.clone());
        ports.metrics.watch_worker(WorkerWatch {
            circuits: circuits.watched(),
            held: held(&room, settings.deliveries_max),
            held_max: settings.deliveries_max,
            now: {
                let clock = ports.clock.clone();
                Box::new(move || clock.now())
            },
        });
        let pipeline =
            Pipeline::new(ports, directory.clone(), sender, room.clone(), give_up.clone());
        let (broker, pipeline) = (ports.broker.clone(), Arc::new(pipeline));
        Self { broker, pipeline, circuits, directory, room, settings, give_up }
    }

    /// The same, which tells of its attempts.
    ///
    /// # Panics
    /// Never: nobody else holds what it has not begun to work with.
    #[must_use]
    pub fn traced_by(mut self, tracer: Tracer) -> Self {
        let pipeline = Arc::get_mut(&mut self.pipeline).expect("it has not begun");
        pipeline.trace_by(tracer);
        self
    }

    /// How its circuits stand, to be looked at while it works.
    #[must_use]
    pub fn circuits(&self) -> Circuits {
        self.circuits.clone()
    }

    /// Works until asked to stop, then finishes what is under way or hands it back. Takes at the most
    /// [`drain`](WorkerSettings::drain) and three seconds more for that.
    ///
    /// # Errors
    /// If the queue can't be consumed from.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ringback_broker::Error> {
        let mut consumer = self.broker.consume().await?;
        let tasks = TaskGroup::new();
        tokio::select! {
            () = self.take(&mut *consumer, &tasks) => {}
            () = self.directory.follow() => {}
            () = shutdown.requested() => {}
        }
        let under_way = tasks.len();
        let stopped = async { futures_util::join!(consumer.stop(), tasks.drained()) };
        if tokio::time::timeout(self.settings.drain, stopped).await.is_err() {
            tracing::info!(messages = tasks.len(), "handed back to the queue: still under way");
        } else if under_way > 0 {
            tracing::info!(messages = under_way, "finished what was under way");
        }
        self.give_up.request();
        if tokio::time::timeout(FINISH, consumer.finish()).await.is_err() {
            tracing::info!("the last acks may not have come through: their messages come again");
        }
        Ok(())
    }

    /// Takes messages until the queue is shut down. Dropped while a message waits for room, it leaves it unacked.
    async fn take(&self, consumer: &mut dyn Consumer, tasks: &TaskGroup) {
        while self.pipeline.ready().await.is_ok() {
            let Some(message) = consumer.next().await else { break };
            let size = self.pipeline.expected_deliveries(&message);
            let size = size.clamp(1, self.settings.deliveries_max);
            let room = self.room.clone().acquire_many_owned(size).await;
            let room = room.expect("the semaphore is never closed");
            tasks.start(self.deliver(message, room));
        }
    }

    fn deliver(&self, message: Message, room: Room) -> impl Future<Output = ()> + Send + use<> {
        let pipeline = self.pipeline.clone();
        async move {
            let receipt = message.receipt;
            let dispatches = message.dispatches.clone();
            let delivered = AssertUnwindSafe(pipeline.deliver(message, room)).catch_unwind().await;
            if delivered.is_ok() {
                return;
            }
            tracing::error!(
                dispatches = dispatches.len(),
                "a message made the worker panic: it is taken apart and comes again later"
            );
            // Stopped: it is not acked, and comes again at the next start.
            let _comes_again = pipeline.take_apart(dispatches, receipt).await;
        }
    }
}

/// How much of its room is taken, for whom it is only looked at: it goes with its worker.
fn held(room: &Arc<Semaphore>, max: u32) -> Box<dyn Fn() -> u32 + Send + Sync> {
    let room = Arc::downgrade(room);
    Box::new(move || {
        let free = room.upgrade().map_or(max as usize, |room| room.available_permits());
        max.saturating_sub(u32::try_from(free).unwrap_or(u32::MAX))
    })
}
