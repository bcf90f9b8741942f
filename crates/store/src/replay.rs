//! Delivering again: bulk replays, which are jobs, and the part of the port that keeps them.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use ringback_core::delivery::Delivery;
use ringback_core::{Account, CallbackId, Event, EventName, ReplayId, Timestamp};

use crate::{Cursor, Error, Page, StatusFilter};

/// A bulk replay: the deliveries that a filter finds, delivered again at a pace.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Its name.
    pub id: ReplayId,
    /// The account of the key that asked for it, whose callbacks alone it may send to; none: the whole instance.
    pub account: Option<Account>,
    /// What it delivers again.
    pub filter: ReplayFilter,
    /// Deliveries put on the queue in a second.
    pub per_second: NonZeroU32,
    /// Where it stands.
    pub status: ReplayStatus,
    /// The last delivery it has looked at; none: it has not begun.
    pub cursor: Option<Cursor>,
    /// How many it will look at; none: that is not counted.
    pub total: Option<u64>,
    /// Those put on the queue.
    pub replayed: u64,
    /// Those that could not be delivered again.
    pub skipped: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// When it was asked for. Only deliveries that stood as they do by then are its own, so that it comes to an end.
    pub created_at: Timestamp,
    /// When this was last written.
    pub updated_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
}

/// What a bulk replay delivers again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayFilter {
    /// Deliveries to this callback only.
    pub callback: Option<CallbackId>,
    /// Those of this account only.
    pub account: Option<Account>,
    /// Those of events of this name only.
    pub event_name: Option<EventName>,
    /// Those that stand so: never [`StatusFilter::Pending`].
    pub status: StatusFilter,
    /// Of events accepted at this moment or later.
    pub since: Option<Timestamp>,
    /// Of events accepted before this moment.
    pub until: Option<Timestamp>,
}

/// Where a bulk replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStatus {
    /// Somebody works on it, or will.
    Running,
    /// It has looked at all there was.
    Finished,
    /// Somebody asked it to end.
    Cancelled,
    /// It can't go on.
    Failed,
}

impl ReplayStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Cancelled, Self::Failed];

    /// The word that stands in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A delivery that a bulk replay has found.
#[derive(Clone, Debug)]
pub struct Replayable {
    /// How it stands.
    pub delivery: Delivery,
    /// What is to be delivered; none: it is no longer in the history.
    pub event: Option<Arc<Event>>,
}

/// What delivering again asks of a store.
#[async_trait]
pub trait Replays: Send + Sync + 'static {
    /// The number of a new replay of this event: 1 for the first, and no number twice, whoever asks at the same time.
    /// None if the event is no longer in the history.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn count_replay(&self, event: &Event) -> Result<Option<u32>, Error>;

    /// Adds a bulk replay.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn create_replay(&self, replay: &Replay) -> Result<(), Error>;

    /// One bulk replay.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, Error>;

    /// Bulk replays, newest first: those that keys of this account asked for, or if none is given all.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn replays(
        &self,
        account: Option<&Account>,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Replay>, Error>;

    /// Takes a running bulk replay that nobody has, or had until before `now` only: it is `owner`'s until `until`. Of
    /// several who ask at once one gets it. None: there is none to be had.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn take_replay(
        &self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Replay>, Error>;

    /// Writes how far a bulk replay is (all but what was asked for), and that it is `owner`'s until `until`. False, and
    /// nothing is written, if it is not running or another's by now.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn keep_replay(
        &self,
        replay: &Replay,
        owner: &str,
        until: Timestamp,
    ) -> Result<bool, Error>;

    /// Hands back what is `owner`'s, for others to take at once.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn release_replays(&self, owner: &str) -> Result<(), Error>;

    /// Ends a running bulk replay. False if it is not running, or not known.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn cancel_replay(&self, id: ReplayId, now: Timestamp) -> Result<bool, Error>;

    /// The next deliveries that a bulk replay has to look at, after its cursor: at most `limit`, of first accepted events
    /// first. One that changed after the replay was asked for is none of its own.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn replayable(&self, replay: &Replay, limit: usize) -> Result<Vec<Replayable>, Error>;

    /// How many deliveries a bulk replay has to look at, after its cursor; at most `max`, so that counting has an end.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn count_replayable(&self, replay: &Replay, max: usize) -> Result<u64, Error>;
}
