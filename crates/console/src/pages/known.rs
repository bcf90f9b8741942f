//! All callbacks, kept in memory until one changes: lists name them, and sort and search them, without a query for each.

use std::collections::HashMap;
use std::sync::Arc;

use ringback_api::{Cached, Caller, Problem};
use ringback_core::{Callback, CallbackId};
use ringback_store::{CallbackChange, Error, Revision, Store};

use crate::state::{Console, manages};

/// The callbacks, as of the configuration's last revision.
pub(crate) struct KnownCallbacks {
    store: Arc<dyn Store>,
    callbacks: Cached<Callbacks>,
}

/// All callbacks.
#[derive(Default)]
pub(crate) struct Callbacks {
    by_id: HashMap<CallbackId, Arc<Callback>>,
    /// Of which revision they are.
    revision: Revision,
}

impl KnownCallbacks {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let callbacks = Cached::new(store.revision(), Callbacks::default());
        Self { store, callbacks }
    }

    /// All of them, as they are now.
    ///
    /// # Errors
    /// If they changed and can't be read.
    pub(super) async fn now(&self) -> Result<Arc<Callbacks>, Error> {
        self.callbacks.now(self.read()).await
    }

    /// What was known, with what has changed since: to read and unseal all of them takes the longer the more there are.
    async fn read(&self) -> Result<Callbacks, Error> {
        let before = self.callbacks.known();
        let (changes, revision) = self.store.callback_changes(before.revision).await?;
        let mut by_id = before.by_id.clone();
        for change in changes {
            match change {
                CallbackChange::Put(callback) => by_id.insert(callback.id, callback),
                CallbackChange::Deleted(id) => by_id.remove(&id),
            };
        }
        Ok(Callbacks { by_id, revision })
    }
}

/// All callbacks, as they are now.
///
/// # Errors
/// If they changed and can't be read.
pub(super) async fn callbacks(console: &Console) -> Result<Arc<Callbacks>, Problem> {
    Ok(console.known.now().await?)
}

impl Callbacks {
    /// One that the caller manages.
    pub(super) fn get(&self, caller: &Caller, id: CallbackId) -> Option<&Callback> {
        self.by_id.get(&id).map(AsRef::as_ref).filter(|callback| manages(caller, callback))
    }

    /// All that the caller manages, in no order.
    pub(super) fn of<'a>(&'a self, caller: &'a Caller) -> impl Iterator<Item = &'a Arc<Callback>> {
        self.by_id.values().filter(|callback| manages(caller, callback))
    }
}
