//! API keys, kept in memory: no request asks the store who is calling.

use std::collections::HashMap;
use std::sync::Arc;

use ringback_core::secret::Secret;
use ringback_store::{Error, KeyHash, Scope, Store};

use crate::Problem;
use crate::cached::Cached;

/// The API keys that are known, as of the configuration's last revision.
pub struct Keys {
    store: Arc<dyn Store>,
    /// The administrator's key of the settings. It counts even while the store can't be read.
    bootstrap: Option<KeyHash>,
    scopes: Cached<HashMap<KeyHash, Scope>>,
}

impl Keys {
    /// The keys of this store, and the administrator's key of the settings, if there is one.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, bootstrap: Option<KeyHash>) -> Arc<Self> {
        let scopes = Cached::new(store.revision(), HashMap::new());
        Arc::new(Self { store, bootstrap, scopes })
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
        let scopes = self.scopes.now(self.read()).await?;
        scopes.get(&hash).cloned().ok_or_else(Problem::unauthorized)
    }

    async fn read(&self) -> Result<HashMap<KeyHash, Scope>, Error> {
        let keys = self.store.api_keys().await?;
        Ok(keys.into_iter().map(|key| (key.hash, key.scope)).collect())
    }
}
