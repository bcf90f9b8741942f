//! All callbacks, in memory: an event finds those that match without a query.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ringback_core::{Account, Callback, CallbackId, Event, EventName};
use ringback_metrics::{CallbackMetrics, Metrics};
use ringback_store::{CallbackChange, Error, Revision, Store};
use tokio::sync::watch;

use crate::circuit::Circuit;
use crate::gate::Gate;
use crate::rate::OwnCount;

/// Between two readings of changes that nobody asked for.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

/// All callbacks, as fresh as the store says they are.
pub(crate) struct Directory {
    store: Arc<dyn Store>,
    metrics: Metrics,
    revision: watch::Receiver<Revision>,
    listing: RwLock<Arc<Listing>>,
    refreshing: tokio::sync::Mutex<()>,
}

/// A callback, and what this worker knows of it besides.
pub(crate) struct Entry {
    pub(crate) callback: Arc<Callback>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) circuit: Arc<Circuit>,
    pub(crate) own_count: Arc<OwnCount>,
    pub(crate) metrics: Arc<CallbackMetrics>,
}

/// The callbacks at one revision.
#[derive(Default)]
pub(crate) struct Listing {
    revision: Revision,
    by_id: HashMap<CallbackId, Arc<Entry>>,
    /// Of enabled callbacks only; none: those that listen across all accounts.
    by_account: HashMap<Option<Account>, Vec<Arc<Entry>>>,
}

impl Directory {
    pub(crate) fn new(store: Arc<dyn Store>, metrics: Metrics) -> Self {
        let revision = store.revision();
        Self {
            store,
            metrics,
            revision,
            listing: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
        }
    }

    /// The callbacks as they are now: a change that its author was told of is in it.
    ///
    /// # Errors
    /// If something changed and the store can't be read.
    pub(crate) async fn now(&self) -> Result<Arc<Listing>, Error> {
        let wanted = *self.revision.borrow();
        let listing = self.known();
        if listing.revision >= wanted && wanted > Revision::ZERO {
            return Ok(listing);
        }
        let _one_at_a_time = self.refreshing.lock().await;
        let listing = self.known();
        if listing.revision >= wanted && wanted > Revision::ZERO {
            return Ok(listing);
        }
        let (changes, reached) = self.store.callback_changes(listing.revision).await?;
        let listing = Arc::new(listing.with(changes, reached.max(wanted), &self.metrics));
        *self.listing.write().expect("nobody panics holding it") = listing.clone();
        Ok(listing)
    }

    /// Reads changes though nobody asks for callbacks: what is counted of those that are deleted goes. Never returns
    /// before its store is gone.
    pub(crate) async fn follow(&self) {
        let mut revision = self.revision.clone();
        while revision.changed().await.is_ok() {
            // Many changes are read at once: each reading goes through all callbacks.
            tokio::time::sleep(FOLLOW_PAUSE).await;
            revision.mark_unchanged();
            if let Err(error) = self.now().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "changes are read later");
            }
        }
        std::future::pending().await
    }

    /// The callbacks as they were when [`now`](Self::now) was last asked.
    pub(crate) fn known(&self) -> Arc<Listing> {
        self.listing.read().expect("nobody panics holding it").clone()
    }
}

impl Entry {
    fn new(callback: Arc<Callback>, metrics: &Metrics) -> Self {
        let gate = Arc::new(Gate::new(callback.max_in_flight));
        let metrics = Arc::new(metrics.callback(callback.id));
        Self { callback, gate, circuit: Arc::default(), own_count: Arc::default(), metrics }
    }

    /// Keeps what is still true after a change of the callback.
    fn changed_to(&self, callback: Arc<Callback>) -> Self {
        // The gate stays while its limit does: it counts the requests under way.
        let gate = if self.gate.limit() == callback.max_in_flight {
            self.gate.clone()
        } else {
            Arc::new(Gate::new(callback.max_in_flight))
        };
        // What is known of one endpoint says nothing of another, and who resumes or enables a callback wants to see it
        // tried. A change of the circuit's own settings counts from now on, whether it is open or not.
        let same = callback.url.as_str() == self.callback.url.as_str()
            && callback.state == self.callback.state;
        let circuit = if same { self.circuit.clone() } else { Arc::default() };
        let (own_count, metrics) = (self.own_count.clone(), self.metrics.clone());
        Self { callback, gate, circuit, own_count, metrics }
    }
}

impl Listing {
    pub(crate) fn get(&self, id: CallbackId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_id.values()
    }

    /// Those that want this event: enabled, of its account or of all, with a filter that it passes.
    pub(crate) fn matching(&self, event: &Event) -> Vec<CallbackId> {
        self.wanting(&event.account, &event.name).map(|entry| entry.callback.id).collect()
    }

    /// Those that want an event of this account and name.
    pub(crate) fn wanting<'a>(
        &'a self,
        account: &Account,
        name: &'a EventName,
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let of = |account: Option<Account>| self.by_account.get(&account).into_iter().flatten();
        of(Some(account.clone()))
            .chain(of(None))
            .filter(move |entry| entry.callback.events.matches(name))
    }

    fn with(&self, changes: Vec<CallbackChange>, revision: Revision, metrics: &Metrics) -> Self {
        let mut by_id = self.by_id.clone();
        for change in changes {
            match change {
                CallbackChange::Deleted(id) => {
                    by_id.remove(&id);
                }
                CallbackChange::Put(callback) => {
                    let entry = match by_id.get(&callback.id) {
                        Some(known) => known.changed_to(callback),
                        None => Entry::new(callback, metrics),
                    };
                    by_id.insert(entry.callback.id, Arc::new(entry));
                }
            }
        }
        let mut by_account: HashMap<Option<Account>, Vec<Arc<Entry>>> = HashMap::new();
        for entry in by_id.values().filter(|entry| entry.callback.state.is_enabled()) {
            by_account.entry(entry.callback.account.clone()).or_default().push(entry.clone());
        }
        Self { revision, by_id, by_account }
    }
}
