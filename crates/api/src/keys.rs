//! API keys, kept in memory: no request asks the store who is calling.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use ringback_core::secret::Secret;
use ringback_store::{KeyHash, Revision, Scope, Store};
use tokio::sync::{Mutex, watch};

use crate::Problem;

/// The API keys that are known, as of the configuration's last revision.
pub struct Keys {
    store: Arc<dyn Store>,
    /// The administrator's key of the settings. It counts even while the store can't be read.
    bootstrap: Option<KeyHash>,
    revision: watch::Receiver<Revision>,
    known: RwLock<Arc<Known>>,
    /// Held while the store is asked, so that a change makes one query and not one for each caller.
    loading: Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// None: nothing was read yet.
    revision: Option<Revision>,
    scopes: HashMap<KeyHash, Scope>,
}

impl Keys {
    /// The keys of this store, and the administrator's key of the settings, if there is one.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, bootstrap: Option<KeyHash>) -> Arc<Self> {
        let revision = store.revision();
        let known = RwLock::default();
        Arc::new(Self { store, bootstrap, revision, known, loading: Mutex::new(()) })
    }

    /// What this key opens.
    ///
    /// Looked up by its SHA-256: how long that takes says nothing of how much of a guess was right.
    ///
    /// # Errors
    /// 401 if it is not known, 503 if the keys changed and can't be read: an old list would let in whoever was just
    /// locked out.
    pub async fn scope_of(&self, bearer: &str) -> Result<Scope, Problem> {
        let hash = KeyHash::of(&Secret::new(bearer));
        if self.bootstrap == Some(hash) {
            return Ok(Scope::Instance);
        }
        let known = match self.current() {
            Some(known) => known,
            None => self.reload().await?,
        };
        known.scopes.get(&hash).cloned().ok_or_else(Problem::unauthorized)
    }

    /// What is in memory, if nothing changed since.
    fn current(&self) -> Option<Arc<Known>> {
        let known = Arc::clone(&self.known.read().expect("nobody panics holding it"));
        (known.revision == Some(*self.revision.borrow())).then_some(known)
    }

    async fn reload(&self) -> Result<Arc<Known>, Problem> {
        let _loading = self.loading.lock().await;
        if let Some(known) = self.current() {
            return Ok(known);
        }
        // Before the query: a change that comes during it is then seen by the next caller, never missed.
        let revision = *self.revision.borrow();
        let keys = self.store.api_keys().await?;
        let scopes = keys.into_iter().map(|key| (key.hash, key.scope)).collect();
        let known = Arc::new(Known { revision: Some(revision), scopes });
        *self.known.write().expect("nobody panics holding it") = Arc::clone(&known);
        Ok(known)
    }
}
