//! The catalog, kept in memory: no event that comes in is a query.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringback_core::catalog::{self, Catalog};
use ringback_core::{Account, EventName, Variables};
use ringback_store::{Error, Store, UnknownTypes};
use tokio::time::Instant;

use crate::cached::Cached;

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
    cached: Cached<KnownTypes>,
    /// When the store was last asked, if that was in vain.
    failed_at: Mutex<Option<Instant>>,
}

/// What is known of a moment.
pub struct KnownTypes {
    catalog: Catalog,
    strict: HashSet<Account>,
}

/// The store can't be read now, and that was logged.
struct Away;

impl Types {
    /// The types of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        // Until they were read, they are those that are built in.
        let built_in = KnownTypes { catalog: Catalog::with([]), strict: HashSet::new() };
        let cached = Cached::new(store.revision(), built_in);
        Arc::new(Self { store, cached, failed_at: Mutex::default() })
    }

    /// The types as they are now: a change that its author was told of is in it. While the store is away, as they were
    /// when it was last there.
    pub async fn now(&self) -> Arc<KnownTypes> {
        self.cached.now(self.read_in_time()).await.unwrap_or_else(|Away| self.known())
    }

    /// The types as they were when [`now`](Self::now) was last asked.
    pub fn known(&self) -> Arc<KnownTypes> {
        self.cached.known()
    }

    async fn read_in_time(&self) -> Result<KnownTypes, Away> {
        let failed_at = *self.failed_at.lock().expect("nobody panics holding it");
        if failed_at.is_some_and(|failed_at| failed_at.elapsed() < PAUSE) {
            return Err(Away);
        }
        match tokio::time::timeout(PATIENCE, self.read()).await {
            Ok(Ok(read)) => return Ok(read),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the catalog can't be read now: the last one known counts");
            }
            Err(_) => {
                tracing::warn!("the catalog was not read in time: the last one known counts");
            }
        }
        *self.failed_at.lock().expect("nobody panics holding it") = Some(Instant::now());
        Err(Away)
    }

    async fn read(&self) -> Result<KnownTypes, Error> {
        let catalog = Catalog::with(self.store.event_types().await?);
        let settings = self.store.account_settings().await?;
        let strict = settings.into_iter().filter(|of| of.unknown_types == UnknownTypes::Refused);
        let strict = strict.map(|settings| settings.account).collect();
        Ok(KnownTypes { catalog, strict })
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
