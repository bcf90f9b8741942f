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
pub(crate) struct Callbacks(HashMap<CallbackId, Arc<Callback>>);

impl KnownCallbacks {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let callbacks = Cached::new(store.revision(), Callbacks::default());
        Self { store, callbacks }
    }

    async fn read(&self) -> Result<Callbacks, Error> {
        let (changes, _) = self.store.callback_changes(Revision::ZERO).await?;
        let callbacks = changes.into_iter().filter_map(|change| match change {
            CallbackChange::Put(callback) => Some((callback.id, callback)),
            CallbackChange::Deleted(_) => None,
        });
        Ok(Callbacks(callbacks.collect()))
    }
}

/// All callbacks, as they are now.
///
/// # Errors
/// If they changed and can't be read.
pub(super) async fn callbacks(console: &Console) -> Result<Arc<Callbacks>, Problem> {
    let known = &console.known;
    Ok(known.callbacks.now(known.read()).await?)
}

impl Callbacks {
    /// One that the caller manages.
    pub(super) fn get(&self, caller: &Caller, id: CallbackId) -> Option<&Arc<Callback>> {
        self.0.get(&id).filter(|callback| manages(caller, callback))
    }

    /// All that the caller manages, in no order.
    pub(super) fn of<'a>(&'a self, caller: &'a Caller) -> impl Iterator<Item = &'a Arc<Callback>> {
        self.0.values().filter(|callback| manages(caller, callback))
    }
}
