//! The embedded idempotency store.
//!
//! **Claims, marks and rates** live in memory only. They guard against two workers with the same dispatch, and all workers of
//! an embedded Ringback are in this process. If it dies they are gone, and need not be there: what the queue hands out
//! then is marked as perhaps handed out before, and the history tells what was settled.
//!
//! **Request keys** are rows, written by the group commit without anybody waiting for it. That is enough: the store has
//! a higher [`Rank`] than the queue, so the commit that makes a publish durable holds every key begun before it, or an
//! earlier one did. An answer need not be durable to be right either: without it a repeat is told
//! [`Begun::Unfinished`], and the history decides. One case is left open: a commit whose keys
//! can't be written and whose messages can, followed by a crash before the next one.

mod claims;
mod rates;
mod requests;
mod rows;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use ringback_core::CallbackId;
use ringback_core::rate::{Admission, Asking, RateLimit};
use ringback_runtime::Clock;
use ringback_sqlite::{Database, Participant, Rank, Script, Wake};

use self::claims::Claims;
use self::rates::Rates;
use self::requests::{Beginning, Change, Known, Requests, name};
use crate::{AttemptKey, Begun, Claim, Error, Fence, Idempotency, RequestKey};

/// So many expired keys are deleted in one transaction: the writer is held up for a few milliseconds at the most.
const EXPIRE_STEP: usize = 500;

/// The idempotency store of an embedded Ringback.
pub struct Embedded {
    database: Arc<Database>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    state: Mutex<State>,
    wake: Wake,
}

#[derive(Default)]
struct State {
    claims: Claims,
    rates: Rates,
    requests: Requests,
    writer: Writer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Writer {
    #[default]
    There,
    /// It has stopped, and nothing is written any more.
    Gone,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics holding it")
    }

    /// The requests, for a change that is to be written.
    fn requests(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        match state.writer {
            Writer::There => Ok(state),
            Writer::Gone => Err(Error(Box::new(ringback_sqlite::Error::Stopped))),
        }
    }
}

impl Embedded {
    /// Makes the table if need be and joins the group commit: before [`Database::run_writer`] starts.
    ///
    /// # Errors
    /// [`ringback_sqlite::Error`] if the table can't be made.
    pub async fn open(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, ringback_sqlite::Error> {
        rows::set_up(&mut *database.writer().await).await?;
        let shared = Arc::new(Shared { state: Mutex::default(), wake: database.wake().clone() });
        let keys = Keys { shared: Arc::clone(&shared), batch: Vec::new() };
        database.join(Rank::Idempotency, Box::new(keys));
        Ok(Arc::new(Self { database, shared, clock }))
    }

    /// Deletes expired request keys, and forgets requests that were given up on. How many keys it were. They are
    /// ignored anyhow, so once an hour is enough.
    ///
    /// # Errors
    /// [`Error`] if they can't be deleted; those that were are gone.
    pub async fn expire(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        self.shared.lock().requests.forget_lost(now);
        let mut expired = 0;
        loop {
            let step = {
                let mut connection = self.database.writer().await;
                rows::delete_expired(&mut connection, now, EXPIRE_STEP).await.map_err(failed)?
            };
            expired += step;
            if step < EXPIRE_STEP {
                return Ok(expired);
            }
        }
    }
}

fn failed(error: sqlx::Error) -> Error {
    Error(Box::new(ringback_sqlite::Error::from(error)))
}

#[async_trait]
impl Idempotency for Embedded {
    async fn claim(&self, attempts: &[AttemptKey], lease: Duration) -> Result<Vec<Claim>, Error> {
        let now = self.clock.now();
        let claims = &mut self.shared.lock().claims;
        Ok(attempts.iter().map(|attempt| claims.claim(*attempt, lease, now)).collect())
    }

    async fn settle(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Error> {
        let now = self.clock.now();
        let claims = &mut self.shared.lock().claims;
        for (attempt, fence) in attempts {
            claims.settle(*attempt, *fence, now);
        }
        Ok(())
    }

    async fn forget(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Error> {
        let claims = &mut self.shared.lock().claims;
        for (attempt, fence) in attempts {
            claims.forget(*attempt, *fence);
        }
        Ok(())
    }

    async fn begin(
        &self,
        key: &RequestKey,
        fingerprint: &str,
        keep: Duration,
        mark: &str,
    ) -> Result<Begun, Error> {
        let key = name(key);
        let now = self.clock.now();
        let beginning = Beginning { key: &key, fingerprint, mark, expires: now + keep, now };
        let known = self.shared.requests()?.requests.begin(beginning);
        let begun = match known {
            Known::Begun(begun) => begun,
            Known::AskDisk => {
                let _reserved = Reserved { shared: &self.shared, key: &key };
                let stored = rows::find(self.database.readers(), &key).await.map_err(failed)?;
                self.shared.requests()?.requests.looked_up(beginning, stored)
            }
        };
        if matches!(begun, Begun::New | Begun::Unfinished { .. }) {
            self.shared.wake.wake();
        }
        Ok(begun)
    }

    async fn complete(&self, key: &RequestKey, answer: &str) -> Result<(), Error> {
        self.shared.requests()?.requests.complete(&name(key), answer);
        self.shared.wake.wake();
        Ok(())
    }

    async fn abandon(&self, key: &RequestKey) -> Result<(), Error> {
        self.shared.requests()?.requests.abandon(&name(key));
        self.shared.wake.wake();
        Ok(())
    }

    async fn leave_open(&self, key: &RequestKey) -> Result<(), Error> {
        self.shared.requests()?.requests.leave_open(&name(key));
        self.shared.wake.wake();
        Ok(())
    }

    async fn admit(
        &self,
        callback: CallbackId,
        limit: RateLimit,
        asking: Asking,
    ) -> Result<Admission, Error> {
        let now = self.clock.now();
        Ok(self.shared.lock().rates.admit(callback, limit, asking, now))
    }

    async fn ready(&self) -> Result<(), Error> {
        self.shared.requests().map(drop)
    }
}

/// A key that is being looked up. If that comes to nothing, as when the caller's future is dropped, it is free again.
struct Reserved<'a> {
    shared: &'a Shared,
    key: &'a Arc<str>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.shared.lock().requests.not_looked_up(self.key);
    }
}

/// The store's share of each commit.
struct Keys {
    shared: Arc<Shared>,
    batch: Vec<Change>,
}

impl Participant for Keys {
    fn gather(&mut self) -> bool {
        self.batch = self.shared.lock().requests.take_changes();
        !self.batch.is_empty()
    }

    fn write(&mut self, script: &mut Script<'_>) -> Result<(), ringback_sqlite::Error> {
        rows::write(script, &self.batch)
    }

    fn settle(&mut self, committed: Result<(), &ringback_sqlite::Error>) {
        let batch = std::mem::take(&mut self.batch);
        match committed {
            Ok(()) => self.shared.lock().requests.committed(batch),
            Err(error) => {
                tracing::error!(%error, keys = batch.len(), "request keys could not be written; they are kept for the next commit");
                self.shared.lock().requests.not_committed(batch);
            }
        }
    }
}

impl Drop for Keys {
    /// The writer has stopped.
    fn drop(&mut self) {
        self.shared.lock().writer = Writer::Gone;
    }
}
