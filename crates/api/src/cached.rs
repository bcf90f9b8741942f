//! Something that the store knows, kept in memory until the configuration changes.

use std::sync::{Arc, RwLock};

use ringback_store::Revision;
use tokio::sync::{Mutex, watch};

/// What was last read, and of which revision it is.
pub struct Cached<T> {
    revision: watch::Receiver<Revision>,
    known: RwLock<Known<T>>,
    /// Held while the store is asked, so that a change makes one query and not one for each caller.
    loading: Mutex<()>,
}

struct Known<T> {
    /// None: nothing was read yet.
    revision: Option<Revision>,
    value: Arc<T>,
}

impl<T> Cached<T> {
    /// This, until it is read for the first time.
    #[must_use]
    pub fn new(revision: watch::Receiver<Revision>, before: T) -> Self {
        let known = RwLock::new(Known { revision: None, value: Arc::new(before) });
        Self { revision, known, loading: Mutex::new(()) }
    }

    /// As it is now. `read` asks the store; it is only begun if something changed since that was last done.
    ///
    /// # Errors
    /// What `read` says. The next caller tries again.
    pub async fn now<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let _loading = self.loading.lock().await;
        if let Some(value) = self.current() {
            return Ok(value);
        }
        // Before the query: a change that comes during it is then seen by the next caller, never missed.
        let revision = Some(*self.revision.borrow());
        let value = Arc::new(read.await?);
        let known = Known { revision, value: Arc::clone(&value) };
        *self.known.write().expect("nobody panics holding it") = known;
        Ok(value)
    }

    /// As it was when it was last read.
    pub fn known(&self) -> Arc<T> {
        Arc::clone(&self.known.read().expect("nobody panics holding it").value)
    }

    /// What is in memory, if nothing changed since.
    fn current(&self) -> Option<Arc<T>> {
        let known = self.known.read().expect("nobody panics holding it");
        (known.revision == Some(*self.revision.borrow())).then(|| Arc::clone(&known.value))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn is_read_once_for_all_who_wait_and_again_after_a_change_or_a_failure() {
        let (change, revision) = watch::channel(Revision::ZERO);
        let cached = Cached::new(revision, 0);
        let reads = AtomicU32::new(0);
        let read = || async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(reads.fetch_add(1, Ordering::Relaxed) + 1)
        };
        assert_eq!(*cached.known(), 0);
        let (one, two) = tokio::join!(cached.now(read()), cached.now(read()));
        assert_eq!((one, two), (Ok(Arc::new(1)), Ok(Arc::new(1))));

        change.send_replace(Revision(1));
        assert_eq!(cached.now(async { Err("away") }).await, Err("away"));
        assert_eq!(*cached.known(), 1, "what was known stays");
        // It changes once more while it is read.
        let changed = async {
            change.send_replace(Revision(2));
            read().await
        };
        assert_eq!(cached.now(changed).await, Ok(Arc::new(2)));
        assert_eq!(cached.now(read()).await, Ok(Arc::new(3)));
        assert_eq!(cached.now(read()).await, Ok(Arc::new(3)));
    }
}
