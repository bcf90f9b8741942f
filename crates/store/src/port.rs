//! The port: what Ringback asks of a store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringback_core::delivery::{Attempt, CancelReason, Delivery, WaitReason};
use ringback_core::{
    Account, ApiKeyId, Callback, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp,
};
use tokio::sync::{broadcast, watch};

use crate::catalog::CatalogStore;
use crate::replay::Replays;
use crate::sessions::Sessions;
use crate::traffic::TrafficStore;
use crate::{
    ApiKey, CallbackQuery, Cursor, DeliveryQuery, Error, EventQuery, EventSearch, EventsFound,
    LoggedRequest, LoggedRequestQuery, Page,
};

/// How many requests to the log callback are kept of each account.
pub const LOGGED_REQUESTS_KEPT: u32 = 1_000;

/// Configuration and history. What belongs to delivering again has a trait of its own: [`Replays`]; so have the catalog:
/// [`CatalogStore`], who is signed in to the console: [`Sessions`], and what charts are made of: [`TrafficStore`].
#[async_trait]
pub trait Store: CatalogStore + Replays + Sessions + TrafficStore + Send + Sync + 'static {
    // Configuration: rare writes, each durable when it returns.

    /// Adds a callback.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn create_callback(&self, callback: &Callback) -> Result<(), Error>;

    /// Replaces a callback, if it is still as it was when it was read (`updated_at` is `read_at`). False if it is not,
    /// or is gone. Its `updated_at` is kept as given, or a millisecond past `read_at` where it is not later: it grows
    /// with every change.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn update_callback(&self, callback: &Callback, read_at: Timestamp)
    -> Result<bool, Error>;

    /// Removes a callback. Its history stays. False if there was none.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn delete_callback(&self, id: CallbackId, now: Timestamp) -> Result<bool, Error>;

    /// One callback.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn callback(&self, id: CallbackId) -> Result<Option<Callback>, Error>;

    /// Callbacks, newest first.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn callbacks(
        &self,
        query: &CallbackQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Callback>, Error>;

    /// Disables a callback because its endpoint is gone (410), if it is still as the worker knew it (`updated_at` is
    /// `known_at`): an owner who changed it meanwhile knows better.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn disable_gone_callback(
        &self,
        id: CallbackId,
        known_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error>;

    /// Everything that changed in the callbacks after `revision` ([`Revision::ZERO`]: all there is), and the revision
    /// reached.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn callback_changes(
        &self,
        revision: Revision,
    ) -> Result<(Vec<CallbackChange>, Revision), Error>;

    /// The revision of the configuration. A write of this process is seen here before it returns; another process's
    /// within a second.
    fn revision(&self) -> watch::Receiver<Revision>;

    /// Adds an API key.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn create_api_key(&self, key: &ApiKey) -> Result<(), Error>;

    /// Removes an API key. False if there was none, or if it stays.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn delete_api_key(&self, id: ApiKeyId, last: LastKey) -> Result<bool, Error>;

    /// All API keys, newest first.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn api_keys(&self) -> Result<Vec<ApiKey>, Error>;

    /// Keeps what the log callback was sent, and of those of its kind (an account's, instance callbacks', nobody's) the
    /// newest [`LOGGED_REQUESTS_KEPT`].
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn log_request(&self, request: &LoggedRequest) -> Result<(), Error>;

    /// What the log callback was sent, newest first.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn logged_requests(
        &self,
        query: &LoggedRequestQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<LoggedRequest>, Error>;

    // History.

    /// Writes history, in batches shared with all other callers. Returns once it is durable, all of it or nothing.
    /// Writing the same again changes nothing.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn record(&self, records: Vec<HistoryRecord>) -> Result<(), Error>;

    /// Marks the pending deliveries to a callback as cancelled: at most `limit`, in one short transaction. Returns how
    /// many. What the queue still holds of them finds them settled when its time comes.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn cancel_pending(
        &self,
        callback: CallbackId,
        reason: CancelReason,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, Error>;

    /// Marks one pending delivery as cancelled. False if it is not pending, or not known.
    ///
    /// With [`CancelReason::Requested`] an attempt that is under way does not bring it back when it fails: it is recorded,
    /// and the delivery stays cancelled. Only a retry by hand that was asked for afterwards goes on.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn cancel_delivery(
        &self,
        delivery: DeliveryKey,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<bool, Error>;

    /// The same for the pending deliveries of an event: at most `limit`, in one short transaction. Returns the callback of
    /// each.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn cancel_event(
        &self,
        event: &Event,
        reason: CancelReason,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<CallbackId>, Error>;

    /// Deliveries that wait because their callback is paused, first accepted first, with their events: at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn parked(&self, callback: CallbackId, limit: usize) -> Result<Vec<Parked>, Error>;

    /// Callbacks that were resumed at this moment or later, are not paused or disabled now, and still have deliveries
    /// that are [`parked`](Self::parked).
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn resumed_with_parked(&self, since: Timestamp) -> Result<Vec<Callback>, Error>;

    /// Says of deliveries that were [`parked`](Self::parked) that they wait no more: a dispatch of each is on the queue.
    /// They are given as they were read. One that was written since (kept once more, tried, cancelled) stays as it is:
    /// to call a delivery under way that was kept once more would lose it.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn let_go(&self, as_read: &[Delivery], now: Timestamp) -> Result<(), Error>;

    /// What is pending though it is due. It is asked every few seconds: it costs the same however much is pending.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn backlog(&self, now: Timestamp) -> Result<Backlog, Error>;

    /// What is recorded of deliveries; those not known are left out.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn recorded(&self, deliveries: &[DeliveryKey]) -> Result<Vec<Recorded>, Error>;

    /// One event: of this account, or if none is given of any (ids are unique within an account; the newest, if several
    /// accounts chose the same).
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn event(&self, id: EventId, account: Option<&Account>) -> Result<Option<Event>, Error>;

    /// Events, last accepted first.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn events(
        &self,
        query: &EventQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Event>, Error>;

    /// Events of a name or with a variable, last accepted first. Nothing finds them but looking, so it looks at no more than
    /// [`LOOKED_MAX`](crate::LOOKED_MAX) events, and says where to go on.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn search_events(
        &self,
        search: &EventSearch,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<EventsFound, Error>;

    /// One delivery.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Error>;

    /// One delivery and its attempts, first one first, as they are at one moment: an attempt and what became of the delivery
    /// by it are recorded together, and are seen together.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn delivery_with_attempts(
        &self,
        id: DeliveryId,
    ) -> Result<Option<(Delivery, Vec<Attempt>)>, Error>;

    /// Deliveries, of last accepted events first.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn deliveries(
        &self,
        query: &DeliveryQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Delivery>, Error>;

    /// How many deliveries there are, counted up to `max`.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn count_deliveries(&self, query: &DeliveryQuery, max: u32) -> Result<u64, Error>;

    /// When the event of the oldest pending delivery was accepted: of this account, or if none is given of all. None:
    /// nothing is pending.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn oldest_pending(&self, account: Option<&Account>) -> Result<Option<Timestamp>, Error>;

    /// A callback's pending deliveries, next attempt first: at most `limit`. Those that are kept while it is paused are among
    /// them.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn ahead(&self, callback: CallbackId, limit: usize) -> Result<Vec<Delivery>, Error>;

    /// Those of these callbacks whose circuit is open: of the next [`LOOKED_AHEAD`] deliveries to each one waits for that. In
    /// no order.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn open_circuits(&self, of: &[CallbackId]) -> Result<Vec<CallbackId>, Error>;

    /// What the last attempt at each of these deliveries met, in their order. One that was not tried yet has none.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn last_outcomes(&self, of: &[Delivery]) -> Result<Vec<Option<Outcome>>, Error>;

    /// Attempts as they are recorded, from now on. Who is too slow misses some, and is told how many.
    fn live_attempts(&self) -> broadcast::Receiver<Arc<LiveAttempt>>;

    /// Deletes events accepted before a moment, with their deliveries and attempts, except events with a pending
    /// delivery: at most about `limit` events, in one short transaction. Returns how many, as far as that is known
    /// without counting; 0: nothing is left to delete. A store that keeps history by the day keeps it to the day's end.
    /// What else is of that time goes when no event is left to: requests to the log callback, bulk replays that ended,
    /// and steps of traffic.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn delete_history(
        &self,
        accepted_before: Timestamp,
        limit: usize,
    ) -> Result<usize, Error>;

    /// Whether the store could be read and written now.
    ///
    /// # Errors
    /// [`Error`] says what is missing.
    async fn ready(&self) -> Result<(), Error>;
}

/// A state of the configuration. Grows with every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub i64);

impl Revision {
    /// Before the first change.
    pub const ZERO: Self = Self(0);
}

/// A change in the callbacks.
#[derive(Clone, Debug)]
pub enum CallbackChange {
    /// Added, or changed.
    Put(Arc<Callback>),
    /// Deleted.
    Deleted(CallbackId),
}

/// Finds a delivery in the history without a search: by its id within the day that its event was accepted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryKey {
    /// Which one.
    pub id: DeliveryId,
    /// When its event was accepted.
    pub created_at: Timestamp,
}

/// How many of the next deliveries to a callback tell whether its circuit is open: more than one, as a probe or a retry of
/// before may be due first.
pub const LOOKED_AHEAD: u32 = 5;

/// What becomes of an API key that is the last one for the whole instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastKey {
    /// It goes as any other.
    Goes,
    /// It stays: nobody could manage the instance without it. Of two that are removed at the same moment one stays.
    Stays,
}

/// What is pending though it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Since when the oldest is due. What was put off before its first attempt is due since its event was accepted, or was
    /// to be delivered; anything else since its next attempt should have been made.
    pub oldest_due: Option<Timestamp>,
    /// Deliveries whose next attempt should have been made [`OVERDUE_AFTER`] ago, by what they wait for: all reasons,
    /// and of each up to [`OVERDUE_MAX`]. What is kept for a callback that is paused is none of them.
    pub overdue: Vec<(WaitReason, u64)>,
}

/// What is this late is overdue.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(60);

/// How many overdue deliveries are counted of each reason.
pub const OVERDUE_MAX: u32 = 10_000;

/// A delivery that is kept while its callback is paused.
#[derive(Clone, Debug)]
pub struct Parked {
    /// How it stands.
    pub delivery: Delivery,
    /// What is to be delivered.
    pub event: Arc<Event>,
}

/// One line of history.
#[derive(Clone, Debug)]
pub enum HistoryRecord {
    /// An event was accepted. Written again, it changes nothing.
    Event(Arc<Event>),
    /// A delivery stands so now, and this attempt (if any) led there. A state with fewer attempts than the recorded
    /// one changes nothing, and neither does a pending state with as many attempts as a settled one. A delivery that was
    /// cancelled on request stays so against a pending state of more attempts, which are counted, unless the series of
    /// that state was begun by hand since.
    Delivery {
        /// The delivery as it stands now.
        delivery: Arc<Delivery>,
        /// The attempt that led there.
        attempt: Option<Arc<Attempt>>,
        /// Whether nothing of the delivery was recorded before, as far as is known. It may be wrong: it only spares the
        /// store a look.
        first: bool,
    },
}

/// What is recorded of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which one.
    pub id: DeliveryId,
    /// Attempts recorded.
    pub attempts: u32,
    /// Where it stands.
    pub state: RecordedState,
}

/// Where a recorded delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedState {
    /// An attempt is due or under way.
    Pending,
    /// A 2xx came.
    Delivered,
    /// The policy was spent: only a retry by hand goes on.
    Exhausted,
    /// Given up on.
    Cancelled(CancelReason),
}

/// An attempt, with the delivery as it stood after it.
#[derive(Clone, Debug)]
pub struct LiveAttempt {
    /// The delivery.
    pub delivery: Arc<Delivery>,
    /// The attempt.
    pub attempt: Arc<Attempt>,
}
