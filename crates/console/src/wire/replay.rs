//! What is delivered again, or not at all, as it is asked for and shown.

use std::num::NonZeroU32;

use ringback_api::FieldError;
use ringback_core::{Account, CallbackId, EventName, Timestamp, Variables};
use ringback_store::{Replay, ReplayFilter, StatusFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::delivery::AttemptAnswer;

/// Deliveries put on the queue in a second unless something else is said.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
/// The most that can be asked for.
const PER_SECOND_MAX: u32 = 10_000;
/// The most callbacks that can be named at once.
const CALLBACKS_MAX: usize = 1_000;

/// To whom an event is delivered again.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventReplay {
    /// The ids of 1 to 1,000 callbacks that are enabled; they need not match the event. Absent or null: all that match
    /// now.
    #[serde(default)]
    pub(crate) callbacks: Option<Vec<String>>,
}

impl EventReplay {
    /// The callbacks that are named, in the order of the body; none: all that match.
    ///
    /// # Errors
    /// What is wrong where.
    pub(crate) fn callbacks(&self) -> Result<Option<Vec<CallbackId>>, Vec<FieldError>> {
        let Some(named) = &self.callbacks else { return Ok(None) };
        if !(1..=CALLBACKS_MAX).contains(&named.len()) {
            let detail = format!("1 to {CALLBACKS_MAX} ids; leave it out for all that match");
            return Err(vec![FieldError::new("/callbacks", detail)]);
        }
        let (mut ids, mut errors) = (Vec::with_capacity(named.len()), Vec::new());
        for (index, text) in named.iter().enumerate() {
            match text.parse() {
                Ok(id) => ids.push(id),
                Err(error) => errors.push(FieldError::new(place(index), format!("{error}"))),
            }
        }
        if errors.is_empty() { Ok(Some(ids)) } else { Err(errors) }
    }
}

/// The place of a named callback.
pub(crate) fn place(index: usize) -> String {
    format!("/callbacks/{index}")
}

/// An event that is on its way again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventReplayAnswer {
    /// The event's id.
    #[schema(format = "uuid")]
    pub(crate) event: String,
    /// The number of this replay.
    pub(crate) generation: u32,
    /// The new deliveries' ids. Each shows once something came of it.
    pub(crate) deliveries: Vec<String>,
    /// `accepted`.
    pub(crate) status: &'static str,
}

/// What became of the pending deliveries of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventCancelAnswer {
    /// The event's id.
    #[schema(format = "uuid")]
    pub(crate) event: String,
    /// How many deliveries were cancelled.
    pub(crate) cancelled: usize,
}

/// A bulk replay as it is asked for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// What is delivered again.
    #[serde(default)]
    pub(crate) filter: FilterSettings,
    /// How many deliveries are put on the queue in a second.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000, default = 100)]
    pub(crate) per_second: Option<u32>,
}

/// Which deliveries: those that all of it is true of, and that stood so when it was asked for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FilterSettings {
    /// Those to this callback only.
    #[schema(format = "uuid")]
    pub(crate) callback: Option<String>,
    /// Those of this account only; with an account key always its own.
    pub(crate) account: Option<String>,
    /// Those of events of this name only.
    pub(crate) event_name: Option<String>,
    /// `exhausted`, `cancelled` or `delivered`.
    #[schema(default = "exhausted", pattern = "^(exhausted|cancelled|delivered)$")]
    pub(crate) status: Option<String>,
    /// Of events accepted at this moment or later.
    #[schema(format = DateTime)]
    pub(crate) since: Option<String>,
    /// Of events accepted before this moment.
    #[schema(format = DateTime)]
    pub(crate) until: Option<String>,
}

impl ReplayRequest {
    /// What is asked for.
    ///
    /// # Errors
    /// What is wrong where.
    pub(crate) fn read(
        &self,
        now: Timestamp,
    ) -> Result<(ReplayFilter, NonZeroU32), Vec<FieldError>> {
        let mut errors = Vec::new();
        let FilterSettings { callback, account, event_name, status, since, until } = &self.filter;
        let filter = ReplayFilter {
            callback: parsed(callback.as_deref(), "/filter/callback", &mut errors),
            account: parsed::<Account>(account.as_deref(), "/filter/account", &mut errors),
            event_name: parsed::<EventName>(
                event_name.as_deref(),
                "/filter/event_name",
                &mut errors,
            ),
            status: settled(status.as_deref(), &mut errors),
            since: parsed(since.as_deref(), "/filter/since", &mut errors),
            until: parsed(until.as_deref(), "/filter/until", &mut errors),
        };
        if let Some(since) = filter.since
            && since > now
        {
            let detail = format!("{since} is yet to come: it is {now} (UTC)");
            errors.push(FieldError::new("/filter/since", detail));
        } else if let (Some(since), Some(until)) = (filter.since, filter.until)
            && until <= since
        {
            errors.push(FieldError::new("/filter/until", "a moment after `since`"));
        }
        let per_second = match self.per_second {
            None => Some(PER_SECOND),
            Some(number) => NonZeroU32::new(number).filter(|it| it.get() <= PER_SECOND_MAX),
        };
        let Some(per_second) = per_second else {
            let detail = format!("a whole number from 1 to {PER_SECOND_MAX}");
            errors.push(FieldError::new("/per_second", detail));
            return Err(errors);
        };
        if errors.is_empty() { Ok((filter, per_second)) } else { Err(errors) }
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: Option<&str>,
    pointer: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let read = text.map(str::parse).transpose();
    read.unwrap_or_else(|error| {
        errors.push(FieldError::new(pointer, format!("{error}")));
        None
    })
}

/// What is pending is on its way already.
fn settled(word: Option<&str>, errors: &mut Vec<FieldError>) -> StatusFilter {
    let Some(word) = word else { return StatusFilter::Exhausted };
    let status = StatusFilter::of_word(word).filter(|status| *status != StatusFilter::Pending);
    status.unwrap_or_else(|| {
        errors.push(FieldError::new("/filter/status", "exhausted, cancelled or delivered"));
        StatusFilter::Exhausted
    })
}

/// A bulk replay.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ReplayAnswer {
    #[schema(format = "uuid")]
    id: String,
    /// The account of the key that asked for it; null: an instance key.
    #[schema(required)]
    account: Option<String>,
    filter: FilterAnswer,
    per_second: u32,
    /// `running`, `finished`, `cancelled` or `failed`.
    status: &'static str,
    /// How many deliveries it looks at; null: it has not begun, or there are too many to count.
    #[schema(required)]
    total: Option<u64>,
    /// Those put on the queue.
    replayed: u64,
    /// Those that can't be delivered again: their callback was deleted or disabled or is not one of this key's, their
    /// event is no longer in the history, or they were a test.
    skipped: u64,
    /// From 0 to 1; null as long as `total` is.
    #[schema(required)]
    progress: Option<f64>,
    /// Why it failed.
    #[schema(required)]
    error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// What a bulk replay delivers again; null: whatever it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FilterAnswer {
    #[schema(required, format = "uuid")]
    callback: Option<String>,
    #[schema(required)]
    account: Option<String>,
    #[schema(required)]
    event_name: Option<String>,
    status: &'static str,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl ReplayAnswer {
    pub(crate) fn of(replay: &Replay) -> Self {
        let ReplayFilter { callback, account, event_name, status, since, until } = &replay.filter;
        Self {
            id: replay.id.to_string(),
            account: replay.account.as_ref().map(ToString::to_string),
            filter: FilterAnswer {
                callback: callback.map(|id| id.to_string()),
                account: account.as_ref().map(ToString::to_string),
                event_name: event_name.as_ref().map(ToString::to_string),
                status: status.as_str(),
                since: *since,
                until: *until,
            },
            per_second: replay.per_second.get(),
            status: replay.status.as_str(),
            total: replay.total,
            replayed: replay.replayed,
            skipped: replay.skipped,
            progress: progress(replay),
            error: replay.error.clone(),
            created_at: replay.created_at,
            updated_at: replay.updated_at,
            finished_at: replay.finished_at,
        }
    }
}

/// In hundredths of a percent: counts are far from where a float is not exact.
fn progress(replay: &Replay) -> Option<f64> {
    let total = replay.total?;
    let done = replay.replayed.saturating_add(replay.skipped).min(total);
    let part = done.saturating_mul(10_000).checked_div(total).unwrap_or(10_000);
    Some(f64::from(u32::try_from(part).unwrap_or(10_000)) / 10_000.0)
}

/// The event that a callback is tried out with.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TestEvent {
    /// Its name; `ringback.test` unless said.
    event: Option<String>,
    /// Its variables; unless said, the examples of its type, or a short text.
    #[schema(value_type = Option<Object>)]
    pub(crate) variables: Option<Variables>,
}

impl TestEvent {
    /// An example of this type.
    pub(crate) fn of_type(name: Option<String>) -> Self {
        Self { event: name, variables: None }
    }

    /// Its name, if one is given.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn name(&self) -> Result<Option<EventName>, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = parsed(self.event.as_deref(), "/event", &mut errors);
        if errors.is_empty() { Ok(name) } else { Err(errors) }
    }
}

/// What came of a test event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestAnswer {
    /// The event's id.
    #[schema(format = "uuid")]
    pub(crate) event: String,
    /// The id of its delivery, to look at later.
    #[schema(format = "uuid")]
    pub(crate) delivery: String,
    /// Where the delivery stands: `delivered`, `exhausted`, `pending` or `cancelled`.
    pub(crate) status: &'static str,
    /// While pending: why it waits; null: it does not, or nothing is known of it yet.
    #[schema(required)]
    pub(crate) waits_for: Option<&'static str>,
    /// The one attempt; null: it was not made in time.
    #[schema(required)]
    pub(crate) attempt: Option<AttemptAnswer>,
}
