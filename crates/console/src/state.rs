//! What the handlers work with.

use std::sync::Arc;

use axum::extract::FromRef;
use ringback_api::{Caller, Keys, Problem, Types};
use ringback_broker::{Broker, Depth};
use ringback_core::Callback;
use ringback_core::address::AddressPolicy;
use ringback_metrics::Metrics;
use ringback_runtime::Clock;
use ringback_store::Store;
use tokio::sync::Notify;

use crate::facts::Facts;
use crate::pages::{KnownCallbacks, LastDay, Late, Lately, Pending, ShownOnce};
use crate::reference::Reference;
use crate::sink::Sink;

/// What the management API works with. Clones share it.
#[derive(Clone)]
pub struct Console {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) address_policy: Arc<AddressPolicy>,
    pub(crate) sink: Arc<Sink>,
    /// Somebody asked for a bulk replay.
    pub(crate) replay_asked: Arc<Notify>,
    pub(crate) reference: Arc<Reference>,
    pub(crate) metrics: Metrics,
    pub(crate) known: Arc<KnownCallbacks>,
    pub(crate) traffic: Arc<Lately<Arc<LastDay>>>,
    pub(crate) late: Arc<Lately<Late>>,
    pub(crate) pending: Arc<Lately<Pending>>,
    pub(crate) shown_once: Arc<ShownOnce>,
    /// None: it does not answer.
    pub(crate) queue: Arc<Lately<Option<Depth>>>,
    /// None: the process says nothing of itself.
    pub(crate) facts: Option<Arc<Facts>>,
    keys: Arc<Keys>,
}

impl Console {
    /// The management API over these.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        broker: Arc<dyn Broker>,
        clock: Arc<dyn Clock>,
        address_policy: AddressPolicy,
        keys: Arc<Keys>,
    ) -> Self {
        let (address_policy, sink) = (Arc::new(address_policy), Arc::default());
        let reference = Arc::new(Reference::new(Types::new(Arc::clone(&store))));
        let replay_asked = Arc::default();
        let metrics = Metrics::default();
        let known = Arc::new(KnownCallbacks::new(Arc::clone(&store)));
        Self {
            known,
            traffic: Arc::default(),
            late: Arc::default(),
            pending: Arc::default(),
            shown_once: Arc::default(),
            queue: Arc::default(),
            reference,
            store,
            broker,
            clock,
            address_policy,
            sink,
            replay_asked,
            metrics,
            facts: None,
            keys,
        }
    }

    /// The same, which counts here.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The same, which shows these facts to administrators.
    #[must_use]
    pub fn knowing(self, facts: Facts) -> Self {
        Self { facts: Some(Arc::new(facts)), ..self }
    }
}

impl FromRef<Console> for Arc<Keys> {
    fn from_ref(console: &Console) -> Self {
        Self::clone(&console.keys)
    }
}

/// Whether the caller may see and change a callback: an account key its own account's only, so no instance callbacks.
pub(crate) fn manages(caller: &Caller, callback: &Callback) -> bool {
    caller.account().is_none_or(|own| callback.account.as_ref() == Some(own))
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(bytes)
}
