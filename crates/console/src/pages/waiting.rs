//! What is not settled: how much it is, since when, and whether it is late.
//!
//! To ask means to look into each day of the history, which takes PostgreSQL up to a tenth of a second until it has planned
//! it. What is late is asked for every few seconds anyway, for the metrics, and pages show what was answered.

use std::sync::Arc;

use ringback_api::Problem;
use ringback_core::{Account, Timestamp};
use ringback_store::{Backlog, DeliveryQuery, Error, StatusFilter};

use super::parts::COUNTED_MAX;
use crate::Console;

/// Deliveries that are pending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// When it was so.
    pub(super) at: Timestamp,
    /// Up to [`COUNTED_MAX`].
    pub(super) count: u64,
    /// When the event of the oldest was accepted.
    pub(super) oldest: Option<Timestamp>,
}

/// What is due and was not tried, in the whole instance, and when it was so.
pub(crate) type Late = (Timestamp, Arc<Backlog>);

impl Console {
    /// Tells what was due and not tried at this moment. Pages that are asked for within the next seconds show it, and need
    /// not ask for it.
    pub fn backlog_was(&self, at: Timestamp, backlog: Backlog) {
        self.late.keep(at, (at, Arc::new(backlog)));
    }
}

/// What is due and was not tried. It may be 10 s old, and a minute if the store takes its time.
///
/// # Errors
/// If it can't be read.
pub(super) async fn late(console: &Console) -> Result<Late, Problem> {
    let now = console.clock.now();
    let read = async {
        let backlog = console.store.backlog(now).await?;
        Ok::<_, Error>((now, Arc::new(backlog)))
    };
    Ok(console.late.get(now, read).await?)
}

impl Pending {
    /// Of one account, or if none is given of the whole instance: that may be as old as what is late.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) async fn of(console: &Console, account: Option<&Account>) -> Result<Self, Problem> {
        let now = console.clock.now();
        let read = Self::read(console, account, now);
        Ok(match account {
            None => console.pending.get(now, read).await?,
            Some(_) => read.await?,
        })
    }

    /// Reads that of the whole instance.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) async fn keep(console: &Console) -> Result<(), Error> {
        let now = console.clock.now();
        console.pending.renew(now, Self::read(console, None, now)).await.map(|_| ())
    }

    async fn read(
        console: &Console,
        account: Option<&Account>,
        at: Timestamp,
    ) -> Result<Self, Error> {
        let query = DeliveryQuery {
            account: account.cloned(),
            status: Some(StatusFilter::Pending),
            ..DeliveryQuery::default()
        };
        let count = console.store.count_deliveries(&query, COUNTED_MAX).await?;
        Ok(Self { at, count, oldest: console.store.oldest_pending(account).await? })
    }
}
