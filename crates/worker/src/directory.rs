//! All callbacks, in memory: an event finds those that match without a query.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use ringback_core::{Account, Callback, CallbackId, Event};
use ringback_store::{CallbackChange, Error, Revision, Store};
use tokio::sync::watch;

use crate::gate::Gate;

/// All callbacks, as fresh as the store says they are.
pub(crate) struct Directory {
    store: Arc<dyn Store>,
    revision: watch::Receiver<Revision>,
    listing: RwLock<Arc<Listing>>,
    refreshing: tokio::sync::Mutex<()>,
}

/// A callback and its gate.
pub(crate) struct Entry {
    pub(crate) callback: Arc<Callback>,
    pub(crate) gate: Arc<Gate>,
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
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let revision = store.revision();
        Self {
            store,
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
        let listing = self.listing();
        if listing.revision >= wanted && wanted > Revision::ZERO {
            return Ok(listing);
        }
        let _one_at_a_time = self.refreshing.lock().await;
        let listing = self.listing();
        if listing.revision >= wanted && wanted > Revision::ZERO {
            return Ok(listing);
        }
        let (changes, reached) = self.store.callback_changes(listing.revision).await?;
        let listing = Arc::new(listing.with(changes, reached.max(wanted)));
        *self.listing.write().expect("nobody panics holding it") = listing.clone();
        Ok(listing)
    }

    fn listing(&self) -> Arc<Listing> {
        self.listing.read().expect("nobody panics holding it").clone()
    }
}

impl Listing {
    pub(crate) fn get(&self, id: CallbackId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    /// Those that want this event: enabled, of its account or of all, with a filter that it passes.
    pub(crate) fn matching(&self, event: &Event) -> Vec<CallbackId> {
        let of = |account: &Option<Account>| self.by_account.get(account).into_iter().flatten();
        of(&Some(event.account.clone()))
            .chain(of(&None))
            .filter(|entry| entry.callback.events.matches(&event.name))
            .map(|entry| entry.callback.id)
            .collect()
    }

    fn with(&self, changes: Vec<CallbackChange>, revision: Revision) -> Self {
        let mut by_id = self.by_id.clone();
        for change in changes {
            match change {
                CallbackChange::Deleted(id) => {
                    by_id.remove(&id);
                }
                CallbackChange::Put(callback) => {
                    let limit = callback.max_in_flight;
                    // The gate stays while its limit does: it counts the requests under way.
                    let gate = match by_id.get(&callback.id) {
                        Some(known) if known.gate.limit() == limit => known.gate.clone(),
                        _ => Arc::new(Gate::new(limit)),
                    };
                    by_id.insert(callback.id, Arc::new(Entry { callback, gate }));
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
