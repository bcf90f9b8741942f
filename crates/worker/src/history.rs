//! The store, asked until it answers, and whether it is away.
//!
//! **Problem.** While history can't be written, an attempt that is made can't be recorded. Its message is held, and the
//! next one would be too: a worker that went on would fill up with requests that it made and nobody knows of, and make
//! each of them again if it died.
//!
//! **Design.** Whatever fails is tried again. When something fails, the store is asked whether it is ready. Until it has
//! answered nothing new is begun, for a server that is gone takes seconds to say nothing. If it is not ready, it is away:
//! one caller asks again and again, all others wait for it, no message is taken and no attempt begun. A store that is
//! ready and refuses one thing is not away: that one thing alone waits.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::delivery::CancelReason;
use ringback_core::{Account, Callback, Timestamp};
use ringback_runtime::Shutdown;
use ringback_store::{DeliveryKey, Error, HistoryRecord, Recorded, Store};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::insist::{Pauses, Stopped};

/// A store that is away is asked at least so often.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// After the store is back nothing new is begun for so long. Each worker finds out for itself, within a second, and
/// writes first what it owes. Claims may have run out meanwhile: a worker that began at once could take the copy of an
/// attempt that another made, look it up, and not find it.
const SETTLING: Duration = Duration::from_secs(2);

/// The store, with patience.
pub(crate) struct History {
    store: Arc<dyn Store>,
    standing: watch::Sender<Standing>,
    /// One at a time asks whether the store is ready.
    judging: Mutex<()>,
    /// One asks again and again while it is not.
    probing: Mutex<()>,
    give_up: Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    There {
        /// Nothing new is begun before.
        open_from: Option<Instant>,
    },
    /// Something failed, and it is not known yet whether the store is away.
    Doubted,
    Away,
}

impl History {
    pub(crate) fn new(store: Arc<dyn Store>, give_up: Shutdown) -> Self {
        let standing = watch::Sender::new(Standing::There { open_from: None });
        Self { store, standing, judging: Mutex::default(), probing: Mutex::default(), give_up }
    }

    /// Writes history.
    ///
    /// # Errors
    /// [`Stopped`]: it is not written.
    pub(crate) async fn record(&self, records: Vec<HistoryRecord>) -> Result<(), Stopped> {
        if records.is_empty() {
            return Ok(());
        }
        self.insist("write history", |store| {
            let (store, records) = (store.clone(), records.clone());
            async move { store.record(records).await }
        })
        .await
    }

    /// What is recorded of these deliveries.
    ///
    /// # Errors
    /// [`Stopped`]: there is no answer.
    pub(crate) async fn recorded(
        &self,
        deliveries: Vec<DeliveryKey>,
    ) -> Result<Vec<Recorded>, Stopped> {
        self.insist("read history", |store| {
            let (store, deliveries) = (store.clone(), deliveries.clone());
            async move { store.recorded(&deliveries).await }
        })
        .await
    }

    /// Writes one record if that succeeds at once: for what people like to see, and nothing depends on.
    pub(crate) async fn try_to_record(&self, record: HistoryRecord) {
        if let Err(error) = self.store.record(vec![record]).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "not shown in the history");
        }
    }

    /// Disables a callback whose endpoint said that it is gone, and cancels its other deliveries. Returns how many.
    ///
    /// # Errors
    /// [`Stopped`]: that is not done, or not all of it.
    pub(crate) async fn disable_gone(
        &self,
        callback: &Callback,
        now: Timestamp,
    ) -> Result<usize, Stopped> {
        /// Of one transaction: a few milliseconds of the writer's time.
        const STEP: usize = 500;
        let (id, known_at) = (callback.id, callback.updated_at);
        self.insist("disable a callback that is gone", |store| {
            let store = store.clone();
            async move { store.disable_gone_callback(id, known_at, now).await }
        })
        .await?;
        let cancel = || {
            self.insist("cancel what waits for a callback that is gone", |store| {
                let (store, reason) = (store.clone(), CancelReason::CallbackDisabled);
                async move { store.cancel_pending(id, reason, now, STEP).await }
            })
        };
        let mut cancelled = 0;
        loop {
            let step = cancel().await?;
            cancelled += step;
            if step < STEP {
                break;
            }
        }
        let account = callback.account.as_ref().map(Account::as_str);
        tracing::warn!(callback = %id, account, "disabled: its endpoint answered 410 Gone");
        Ok(cancelled)
    }

    /// Asks something of the store, again and again while it fails.
    ///
    /// # Errors
    /// [`Stopped`]: there is no answer.
    pub(crate) async fn insist<T, F>(
        &self,
        what: &str,
        mut call: impl FnMut(&Arc<dyn Store>) -> F,
    ) -> Result<T, Stopped>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut pauses = Pauses::up_to(Duration::from_secs(5));
        loop {
            match call(&self.store).await {
                Ok(done) => return Ok(done),
                Err(error) if self.is_away().await => self.wait_until_back(&error).await?,
                Err(error) => {
                    pauses.tell(what, &error);
                    pauses.pause(&self.give_up).await?;
                }
            }
        }
    }

    /// Returns once something new may be begun.
    ///
    /// # Errors
    /// [`Stopped`]: nothing may.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn is_there(&self) -> Result<(), Stopped> {
        loop {
            // Copied, so that nobody waits for this reader.
            let standing = *self.standing.borrow();
            let open_from = match standing {
                Standing::There { open_from: None } => return Ok(()),
                Standing::There { open_from: Some(moment) } if moment <= Instant::now() => {
                    return Ok(());
                }
                Standing::There { open_from } => open_from,
                Standing::Doubted | Standing::Away => None,
            };
            let mut news = self.standing.subscribe();
            let opens = async {
                match open_from {
                    Some(moment) => tokio::time::sleep_until(moment).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = opens => {}
                // It can't be closed: its sender is here.
                _ = news.wait_for(|now| *now != standing) => {}
                () = self.give_up.requested() => return Err(Stopped),
            }
        }
    }

    /// Whether the store is away, asked after something failed.
    async fn is_away(&self) -> bool {
        let _one_at_a_time = self.judging.lock().await;
        if *self.standing.borrow() == Standing::Away {
            return true;
        }
        let mut doubt = Doubt { standing: &self.standing, then: *self.standing.borrow() };
        self.standing.send_replace(Standing::Doubted);
        let away = self.store.ready().await.is_err();
        if away {
            doubt.then = Standing::Away;
        }
        away
    }

    /// Says once for all who wait that it is away.
    async fn wait_until_back(&self, error: &Error) -> Result<(), Stopped> {
        let Ok(_one_at_a_time) = self.probing.try_lock() else {
            let mut news = self.standing.subscribe();
            return tokio::select! {
                _ = news.wait_for(|standing| *standing != Standing::Away) => Ok(()),
                () = self.give_up.requested() => Err(Stopped),
            };
        };
        if *self.standing.borrow() != Standing::Away {
            return Ok(());
        }
        // If this is dropped, nobody asks any more: whoever fails next begins again.
        let _back = Back(&self.standing);
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "history is away: no message is taken and no attempt made until it is back"
        );
        let mut pauses = Pauses::up_to(PROBE_PAUSE_MAX);
        loop {
            pauses.pause(&self.give_up).await?;
            if self.store.ready().await.is_ok() {
                tracing::info!("history is back");
                return Ok(());
            }
        }
    }
}

/// Ends a doubt: as it stood before, unless something else was found out.
struct Doubt<'a> {
    standing: &'a watch::Sender<Standing>,
    then: Standing,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.standing.send_replace(self.then);
    }
}

/// Says that the store is there again.
struct Back<'a>(&'a watch::Sender<Standing>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.send_replace(Standing::There { open_from: Some(Instant::now() + SETTLING) });
    }
}
