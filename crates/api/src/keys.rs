//! API keys, kept in memory: no request asks the store who is calling.

use std::collections::HashMap;
use std::sync::Arc;

use ringback_core::secret::Secret;
use ringback_store::{Error, KeyHash, Scope, Store};

use crate::cached::Cached;
use crate::{Caller, Problem};

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

    /// Who calls with this key.
    ///
    /// Looked up by its SHA-256: how long that takes says nothing of how much of a guess was right.
    ///
    /// # Errors
    /// 401 if it is not known, 503 if the keys changed and can't be read: an old list would let in whoever was just
    /// locked out.
    pub async fn caller(&self, key: &Secret) -> Result<Caller, Problem> {
        let key = KeyHash::of(key);
        let scope = self.scope_of(&key).await?.ok_or_else(Problem::unauthorized)?;
        Ok(Caller { scope, key })
    }

    /// What the key of this hash opens; none: it is not known, or not any more.
    ///
    /// # Errors
    /// 503, see [`caller`](Self::caller).
    pub async fn scope_of(&self, key: &KeyHash) -> Result<Option<Scope>, Problem> {
        if self.bootstrap == Some(*key) {
            return Ok(Some(Scope::Instance));
        }
        Ok(self.scopes.now(self.read()).await?.get(key).cloned())
    }

    /// Whether the settings give an administrator's key, which nobody can remove.
    #[must_use]
    pub fn has_admin_key(&self) -> bool {
        self.bootstrap.is_some()
    }

    async fn read(&self) -> Result<HashMap<KeyHash, Scope>, Error> {
        let keys = self.store.api_keys().await?;
        Ok(keys.into_iter().map(|key| (key.hash, key.scope)).collect())
    }
}
