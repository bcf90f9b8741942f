//! The catalog, kept in memory: no event that comes in is a query.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ringback_core::catalog::{self, Catalog};
use ringback_core::{Account, EventName, Variables};
use ringback_store::{Error, Revision, Store, UnknownTypes};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// How long the store may take to tell of a change, before what was known last counts.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it is left alone after it failed to.
const PAUSE: Duration = Duration::from_secs(1);

/// The types of events that are known, and which accounts want no others.
///
/// Unlike [`Keys`](crate::Keys), what was known last counts while the store is away: events are taken in without it, and
/// an old catalog lets nobody in.
pub struct Types {
    store: Arc<dyn Store>,
    revision: watch::Receiver<Revision>,
    known: RwLock<Arc<KnownTypes>>,
    /// Held while the store is asked, so that a change makes one query and not one for each event.
    loading: Mutex<Loading>,
}

/// What is known of a moment.
pub struct KnownTypes {
    /// None: nothing was read yet, so the types are those that are built in.
    revision: Option<Revision>,
    catalog: Catalog,
    strict: HashSet<Account>,
}

#[derive(Default)]
struct Loading {
    failed_at: Option<Instant>,
}

impl Types {
    /// The types of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let revision = store.revision();
        let nothing =
            KnownTypes { revision: None, catalog: Catalog::with([]), strict: HashSet::new() };
        let known = RwLock::new(Arc::new(nothing));
        Arc::new(Self { store, revision, known, loading: Mutex::default() })
    }

    /// The types as they are now: a change that its author was told of is in it. While the store is away, as they were
    /// when it was last there.
    pub async fn now(&self) -> Arc<KnownTypes> {
        match self.current() {
            Some(known) => known,
            None => self.reload().await,
        }
    }

    /// The types as they were when [`now`](Self::now) was last asked.
    pub fn known(&self) -> Arc<KnownTypes> {
        Arc::clone(&self.known.read().expect("nobody panics holding it"))
    }

    /// What is in memory, if nothing changed since.
    fn current(&self) -> Option<Arc<KnownTypes>> {
        let known = self.known();
        (known.revision == Some(*self.revision.borrow())).then_some(known)
    }

    async fn reload(&self) -> Arc<KnownTypes> {
        let mut loading = self.loading.lock().await;
        if let Some(known) = self.current() {
            return known;
        }
        if loading.failed_at.is_some_and(|failed_at| failed_at.elapsed() < PAUSE) {
            return self.known();
        }
        match tokio::time::timeout(PATIENCE, self.read()).await {
            Ok(Ok(read)) => {
                loading.failed_at = None;
                let known = Arc::new(read);
                *self.known.write().expect("nobody panics holding it") = Arc::clone(&known);
                return known;
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the catalog can't be read now: the last one known counts");
            }
            Err(_) => {
                tracing::warn!("the catalog was not read in time: the last one known counts");
            }
        }
        loading.failed_at = Some(Instant::now());
        self.known()
    }

    async fn read(&self) -> Result<KnownTypes, Error> {
        // Before the queries: a change that comes during them is then seen by the next caller, never missed.
        let revision = *self.revision.borrow();
        let catalog = Catalog::with(self.store.event_types().await?);
        let settings = self.store.account_settings().await?;
        let strict = settings.into_iter().filter(|of| of.unknown_types == UnknownTypes::Refused);
        let strict = strict.map(|settings| settings.account).collect();
        Ok(KnownTypes { revision: Some(revision), catalog, strict })
    }
}

impl KnownTypes {
    /// The types.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Checks an event against its type.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(
        &self,
        name: &EventName,
        account: &Account,
        variables: &Variables,
    ) -> Result<(), NotOfItsType> {
        match self.catalog.get(name) {
            Some((kind, _)) => match catalog::check(kind, variables) {
                violations if violations.is_empty() => Ok(()),
                violations => Err(NotOfItsType::Variables(violations)),
            },
            None if self.strict.contains(account) => Err(NotOfItsType::Unknown),
            None => Ok(()),
        }
    }
}

/// Why an event is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOfItsType {
    /// Its variables are not what its type says.
    Variables(Vec<catalog::Violation>),
    /// Nobody knows its type, and its account takes no others.
    Unknown,
}
