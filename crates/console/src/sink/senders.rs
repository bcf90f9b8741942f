//! The callbacks whose requests come to the log, in memory.
//!
//! **Problem.** Anybody may name a callback, and it has to be read before anybody can tell whether the request bears its
//! signature: a query for each such request would be anybody's to ask for.
//!
//! **Design.** A callback that was found is remembered, and read again only once the configuration has changed. Those that
//! are not remembered are looked for one after the other, and only so many within one second. So whoever names many that
//! do not exist keeps out those that were not heard of yet, whose workers come again, and nobody else. The store is waited
//! for a moment only: requests that wait hold the places of others.

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
/// How long one may wait for the store, and for those before it.
const PATIENCE: Duration = Duration::from_secs(2);

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
    /// 429 if too many are asked for that are not remembered, 503 if the store does not answer in time, and if it can't be
    /// read.
    pub(super) async fn find(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        id: CallbackId,
    ) -> Result<Option<Arc<Callback>>, Problem> {
        let revision = *store.revision().borrow();
        if let Some(callback) = self.current(id, revision) {
            return Ok(Some(callback));
        }
        let looked_for = tokio::time::timeout(PATIENCE, self.look_for(store, clock, id)).await;
        looked_for.unwrap_or_else(|_| {
            let detail = "the store does not say in time which callback it is";
            Err(Problem::unavailable(detail, Duration::from_secs(1)))
        })
    }

    async fn look_for(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        id: CallbackId,
    ) -> Result<Option<Arc<Callback>>, Problem> {
        let mut strangers = self.strangers.lock().await;
        // Before the query: a change that comes during it is then seen by the next request, never missed.
        let revision = *store.revision().borrow();
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

#[cfg(test)]
mod tests {
    use ringback_sqlite::Database;
    use ringback_store::MasterKey;
    use ringback_store::sqlite::SqliteStore;
    use ringback_testkit::{ManualClock, builders};

    use super::*;

    #[tokio::test]
    async fn who_waits_for_the_store_is_refused_after_a_moment_and_who_is_known_does_not_wait() {
        let directory = tempfile::tempdir().expect("a directory for tests");
        let database = Database::open(directory.path()).await.expect("opens");
        let clock = Arc::new(ManualClock::new(builders::MADE_AT));
        let master_key = MasterKey::from_random([7; 32]);
        let store = SqliteStore::open(database, master_key, clock.clone()).await.expect("opens");
        let senders = Senders::default();
        let known = Arc::new(builders::callback("https://a.example"));
        let revision = *store.revision().borrow();
        let remembered = Remembered { callback: known.clone(), revision };
        senders.lock().insert(known.id, remembered);

        let _somebody_asks_the_store = senders.strangers.lock().await;
        tokio::time::pause();
        let found = senders.find(&*store, &*clock, known.id).await.expect("found");
        assert_eq!(found.map(|callback| callback.id), Some(known.id));
        let stranger = CallbackId::from_parts(clock.now(), [1; 10]);
        let asked = tokio::time::Instant::now();
        let refused = senders.find(&*store, &*clock, stranger).await.expect_err("refused");
        assert_eq!((refused.status().as_u16(), asked.elapsed().as_secs()), (503, 2));
    }
}
