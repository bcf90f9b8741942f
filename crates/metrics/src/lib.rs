//! What is counted and measured, for Prometheus.
//!
//! What there is stands in [`definitions`], as data. Whoever counts has a handle with methods in the words of the domain:
//! [`IntakeMetrics`] for events, [`CallbackMetrics`] for the attempts and deliveries of one callback. What has to be asked
//! for is set by who asks ([`Metrics::dependency`] and its neighbours), or looked at when Prometheus comes
//! ([`Metrics::watch_worker`]).

mod callbacks;
mod cells;
mod collect;
pub mod definitions;
mod document;
mod held;
mod intake;
mod sampled;
mod words;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};
use ringback_core::{CallbackId, Timestamp};

use crate::callbacks::Callbacks;
use crate::collect::Everything;
use crate::held::Held;
use crate::sampled::Sampled;

pub use callbacks::{CallbackMetrics, InFlight};
pub use document::document;
pub use held::HeldAttempt;
pub use intake::IntakeMetrics;
pub use sampled::Overdue;
pub use words::{Dependency, Queue, Rejection, Source};

/// The media type of what [`Metrics::to_text`] gives.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Callbacks with series of their own, unless a setting says otherwise.
pub const CALLBACKS_MAX_DEFAULT: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

/// All that a process counts. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    inside: Arc<Inside>,
    registry: Registry,
}

/// Which process this is, and how much it tells.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Ringback's version.
    pub version: &'static str,
    /// The command that it runs.
    pub role: &'static str,
    /// Callbacks with series of their own; all others share one.
    pub callbacks_max: NonZeroUsize,
}

/// What is looked at of a worker when Prometheus comes.
pub struct WorkerWatch {
    /// Each callback that it knows, with how its circuit stands: 0 closed, 1 half-open, 2 open.
    pub circuits: Box<dyn Fn() -> Vec<(CallbackId, u8)> + Send + Sync>,
    /// Dispatches that it has in hand.
    pub held: Box<dyn Fn() -> u32 + Send + Sync>,
    /// The most that it takes on.
    pub held_max: u32,
    /// The time.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

pub(crate) struct Inside {
    about: About,
    intake: OnceLock<Arc<IntakeMetrics>>,
    callbacks: Arc<Callbacks>,
    worker: RwLock<Option<Arc<WorkerWatch>>>,
    held: Arc<Held>,
    sampled: Mutex<Sampled>,
}

impl Default for Metrics {
    /// For tests, and for commands that are not scraped.
    fn default() -> Self {
        Self::new(About { version: "", role: "", callbacks_max: CALLBACKS_MAX_DEFAULT })
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("about", &self.inside.about).finish_non_exhaustive()
    }
}

impl Metrics {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(about: About) -> Self {
        let inside = Arc::new(Inside {
            about,
            intake: OnceLock::new(),
            callbacks: Callbacks::new(about.callbacks_max.get()),
            worker: RwLock::default(),
            held: Held::new(),
            sampled: Mutex::default(),
        });
        let registry = Registry::new();
        let everything = Everything::of(inside.clone());
        registry.register(Box::new(everything)).expect("each metric is defined once");
        let process = ProcessCollector::for_self();
        registry.register(Box::new(process)).expect("no metric of ours has such a name");
        Self { inside, registry }
    }

    /// As Prometheus reads it, see [`MEDIA_TYPE`]. With thousands of callbacks it takes a while: not for a thread that
    /// others wait for.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let written = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text);
        written.expect("a string takes it, and families without series are left out");
        text
    }

    // Counted, where it happens.

    /// What ingest counts with. Its metrics are there from now on.
    #[must_use]
    pub fn intake(&self) -> Arc<IntakeMetrics> {
        self.inside.intake.get_or_init(Arc::default).clone()
    }

    /// What is counted of a callback with. It takes a place when the first is counted, and leaves it when it is dropped.
    #[must_use]
    pub fn callback(&self, id: CallbackId) -> CallbackMetrics {
        self.inside.callbacks.metrics(Some(id))
    }

    /// The same for callbacks that are not known any more.
    #[must_use]
    pub fn unknown_callback(&self) -> CallbackMetrics {
        self.inside.callbacks.metrics(None)
    }

    /// So many deliveries to a callback are cancelled, says who holds no [`CallbackMetrics`] of it. None: to one that is
    /// deleted.
    pub fn deliveries_cancelled(&self, callback: Option<CallbackId>, deliveries: usize) {
        if deliveries > 0 {
            self.inside.callbacks.cancelled(callback, deliveries as u64);
        }
    }

    /// A callback is deleted: what was counted of it by [`deliveries_cancelled`](Self::deliveries_cancelled) goes.
    pub fn callback_deleted(&self, id: CallbackId) {
        self.inside.callbacks.deleted(id);
    }

    /// A worker has a first attempt in hand that was due at that moment. None if it is not due yet.
    #[must_use]
    pub fn hold(&self, due: Timestamp, now: Timestamp) -> Option<HeldAttempt> {
        self.inside.held.hold(due, now)
    }

    // Looked at, when Prometheus comes.

    /// Looks at this worker from now on.
    pub fn watch_worker(&self, watch: WorkerWatch) {
        let mut worker = self.inside.worker.write().expect("nobody panics holding it");
        *worker = Some(Arc::new(watch));
    }

    // Asked for, now and then.

    /// Whether it could do what it is for.
    pub fn dependency(&self, dependency: Dependency, is_up: bool) {
        self.sample(|sampled| sampled.up[dependency.index()] = Some(is_up));
    }

    /// How many messages wait; none: it is not known.
    pub fn queue(&self, queue: Queue, messages: Option<u64>) {
        self.sample(|sampled| sampled.queues[queue.index()] = messages);
    }

    /// For how long the oldest on the queue is due; none: it is not known.
    pub fn oldest_on_the_queue(&self, age: Option<Duration>) {
        self.sample(|sampled| sampled.oldest.on_the_queue = age);
    }

    /// For how long the oldest pending one of the history is due, and how many are overdue; none: it is not known.
    pub fn history(&self, oldest: Option<Duration>, overdue: Option<Overdue>) {
        self.sample(|sampled| {
            sampled.oldest.in_the_history = oldest;
            sampled.overdue = overdue;
        });
    }

    fn sample(&self, change: impl FnOnce(&mut Sampled)) {
        change(&mut self.inside.sampled.lock().expect("nobody panics holding it"));
    }
}

impl Inside {
    fn worker(&self) -> Option<Arc<WorkerWatch>> {
        self.worker.read().expect("nobody panics holding it").clone()
    }

    fn sampled(&self) -> Sampled {
        self.sampled.lock().expect("nobody panics holding it").clone()
    }
}
