//! The callbacks whose requests come to the log, in memory.
//!
//! **Problem.** Anybody may name a callback, and it has to be read before anybody can tell whether the request bears its
//! signature: a query for each such request would be anybody's to ask for.
//!
//! **Design.** A callback that was found is remembered, and read again only once the configuration has changed. Those that
//! are not remembered are looked for one after the other, and only so many within one second. So whoever names many that
//! do not exist keeps out those that were not heard of yet, whose workers come again, and nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringback_api::Problem;
use ringback_core::{Callback, CallbackId};
use ringback_runtime::Clock;
use ringback_store::{Revision, Store};

use super::PerSecond;

/// How many are remembered. If one more comes, all are forgotten.
const REMEMBERED_MAX: usize = 1_000;
/// How many of those that are not remembered are looked for within one second.
const STRANGERS_PER_SECOND: u32 = 20;

#[derive(Default)]
pub(super) struct Senders {
    remembered: Mutex<HashMap<CallbackId, Remembered>>,
    /// Held while the store is asked: of many first requests of a callback one asks, and the others find it.
    strangers: tokio::sync::Mutex<PerSecond>,
}

struct Remembered {
    callback: Arc<Callback>,
    /// The configuration that it was read in, or one before that.
    revision: Revision,
}

impl Senders {
    /// A callback as it is now, if there is one.
    ///
    /// # Errors
    /// 429 if too many are asked for that are not remembered, and if it can't be read.
    pub(super) async fn find(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        id: CallbackId,
    ) -> Result<Option<Arc<Callback>>, Problem> {
        let revision = store.revision();
        if let Some(callback) = self.current(id, *revision.borrow()) {
            return Ok(Some(callback));
        }
        let mut strangers = self.strangers.lock().await;
        // Before the query: a change that comes during it is then seen by the next request, never missed.
        let revision = *revision.borrow();
        if let Some(callback) = self.current(id, revision) {
            return Ok(Some(callback));
        }
        let is_stranger = !self.lock().contains_key(&id);
        if is_stranger && !strangers.admit(clock.now(), STRANGERS_PER_SECOND) {
            return Err(Problem::too_many_requests(
                "too many requests of callbacks that were not heard of before",
                Duration::from_secs(1),
            ));
        }
        let found = store.callback(id).await?.map(Arc::new);
        let mut remembered = self.lock();
        match &found {
            Some(callback) => {
                if is_stranger && remembered.len() == REMEMBERED_MAX {
                    remembered.clear();
                }
                let callback = Arc::clone(callback);
                remembered.insert(id, Remembered { callback, revision });
            }
            None => drop(remembered.remove(&id)),
        }
        Ok(found)
    }

    /// What is remembered of it, if nothing changed since.
    fn current(&self, id: CallbackId, revision: Revision) -> Option<Arc<Callback>> {
        let remembered = self.lock();
        let known = remembered.get(&id).filter(|known| known.revision == revision)?;
        Some(Arc::clone(&known.callback))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallbackId, Remembered>> {
        self.remembered.lock().expect("nobody panics holding it")
    }
}
