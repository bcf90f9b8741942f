//! What is not settled: how much it is, since when, and whether it is late.
//!
//! That of the whole instance is asked for every few seconds anyway, for the metrics, and pages show what was answered. To
//! ask means to look into each day of the history, which takes PostgreSQL a tenth of a second until it has planned it.

use std::sync::Arc;

use ringback_api::Problem;
use ringback_core::{Account, Timestamp};
use ringback_store::{Backlog, DeliveryQuery, Error, StatusFilter};

use super::parts::COUNTED_MAX;
use crate::Console;

/// Deliveries that are pending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Up to [`COUNTED_MAX`].
    pub(super) count: u64,
    /// When the event of the oldest was accepted.
    pub(super) oldest: Option<Timestamp>,
}

/// What waits in the whole instance.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) pending: Pending,
    pub(super) backlog: Backlog,
}

impl Console {
    /// What is due and was not tried, as it is now. Pages that are asked for within the next seconds show it.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn ask_for_backlog(&self) -> Result<Backlog, Error> {
        let now = self.clock.now();
        let waiting = self.waiting.renew(now, Waiting::read(self, now)).await?;
        Ok(waiting.backlog.clone())
    }
}

impl Waiting {
    /// It may be 10 s old.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) async fn lately(console: &Console) -> Result<Arc<Self>, Problem> {
        let now = console.clock.now();
        Ok(console.waiting.get(now, Self::read(console, now)).await?)
    }

    async fn read(console: &Console, now: Timestamp) -> Result<Arc<Self>, Error> {
        let backlog = console.store.backlog(now).await?;
        Ok(Arc::new(Self { pending: Pending::read(console, None).await?, backlog }))
    }
}

impl Pending {
    /// Of one account, or if none is given of the whole instance.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) async fn of(console: &Console, account: Option<&Account>) -> Result<Self, Problem> {
        match account {
            None => Ok(Waiting::lately(console).await?.pending),
            account => Ok(Self::read(console, account).await?),
        }
    }

    async fn read(console: &Console, account: Option<&Account>) -> Result<Self, Error> {
        let query = DeliveryQuery {
            account: account.cloned(),
            status: Some(StatusFilter::Pending),
            ..DeliveryQuery::default()
        };
        Ok(Self {
            count: console.store.count_deliveries(&query, COUNTED_MAX).await?,
            oldest: console.store.oldest_pending(account).await?,
        })
    }
}
