//! Events, deliveries and attempts. Binding them is the hot path: each text is put on the heap once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringback_core::callback::{Format, Method};
use ringback_core::delivery::{
    Attempt, CancelReason, Delivery, DeliveryState, Response, SentRequest, WaitReason,
};
use ringback_core::retry::AttemptNumber;
use ringback_core::{CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp};

use super::headers::{Known, pack, unpack};
use super::{Bind, Columns, Row};
use crate::Error;
use crate::port::{Parked, Recorded, RecordedState};
use crate::replay::Replayable;

pub(crate) fn event<R: Columns>(row: &R) -> Result<Event, Error> {
    let row = Row::of("event", row);
    Ok(Event {
        id: row.id("id", EventId::from_uuid)?,
        account: row.parsed("account")?,
        name: row.parsed("name")?,
        time: row.time("time_ms")?,
        accepted_at: row.time("accepted_at_ms")?,
        deliver_at: row.optional_time("deliver_at_ms")?,
        variables: row.json("variables")?,
        trace: None,
    })
}

/// The values of an event's row, in the order of [`crate::sql::EVENT_COLUMNS`].
pub(crate) fn bind_event(values: &mut impl Bind, event: &Event) {
    values.id(event.id.uuid());
    values.text(Some(event.account.as_str()));
    values.text(Some(event.name.as_str()));
    values.number(Some(event.time.ms()));
    values.number(Some(event.accepted_at.ms()));
    values.text(Some(event.variables.to_json()));
    values.number(event.deliver_at.map(Timestamp::ms));
}

/// Whether a state of a delivery may take the place of a recorded one: never one with fewer attempts, nor a pending one
/// the place of a settled one with as many. The statement says the same to the database, see
/// [`crate::sql::INSERT_DELIVERY`].
pub(crate) fn replaces(new: &Delivery, recorded: &Delivery) -> bool {
    let rank = |delivery: &Delivery| (delivery.attempts, delivery.state.is_settled());
    rank(new) >= rank(recorded)
}

pub(crate) fn delivery<R: Columns>(row: &R) -> Result<Delivery, Error> {
    let row = Row::of("delivery", row);
    Ok(Delivery {
        id: row.id("id", DeliveryId::from_uuid)?,
        event: row.id("event_id", EventId::from_uuid)?,
        event_name: row.parsed("event_name")?,
        account: row.parsed("account")?,
        callback: row.id("callback_id", CallbackId::from_uuid)?,
        generation: row.number("generation")?,
        state: delivery_state(&row)?,
        attempts: row.number("attempts")?,
        series_start: attempt_number(&row, "series_start")?,
        created_at: row.time("created_at_ms")?,
        updated_at: row.time("updated_at_ms")?,
    })
}

fn delivery_state<R: Columns>(row: &Row<'_, R>) -> Result<DeliveryState, Error> {
    Ok(match recorded_state(row)? {
        RecordedState::Pending => DeliveryState::Pending {
            next_attempt_at: row.time("next_attempt_at_ms")?,
            waits: match row.optional_text("reason")? {
                None => None,
                Some(_) => Some(row.word("reason", wait_reason_of)?),
            },
        },
        RecordedState::Delivered => DeliveryState::Delivered,
        RecordedState::Exhausted => DeliveryState::Exhausted,
        RecordedState::Cancelled(reason) => DeliveryState::Cancelled(reason),
    })
}

/// The values of a delivery's row, in the order of [`crate::sql::DELIVERY_COLUMNS`].
pub(crate) fn bind_delivery(values: &mut impl Bind, delivery: &Delivery) {
    let (reason, next_attempt_at) = match delivery.state {
        DeliveryState::Pending { next_attempt_at, waits } => {
            (waits.map(WaitReason::as_str), Some(next_attempt_at.ms()))
        }
        DeliveryState::Delivered | DeliveryState::Exhausted => (None, None),
        DeliveryState::Cancelled(reason) => (Some(reason.as_str()), None),
    };
    values.id(delivery.id.uuid());
    values.id(delivery.event.uuid());
    values.text(Some(delivery.event_name.as_str()));
    values.text(Some(delivery.account.as_str()));
    values.id(delivery.callback.uuid());
    values.number(Some(delivery.generation.into()));
    values.text(Some(delivery.state.status()));
    values.text(reason);
    values.number(next_attempt_at);
    values.number(Some(delivery.attempts.into()));
    values.number(Some(delivery.series_start.get().into()));
    values.number(Some(delivery.created_at.ms()));
    values.number(Some(delivery.updated_at.ms()));
}

/// A row of [`crate::sql::PARKED`]: the delivery's, and what it does not say of the event.
pub(crate) fn parked<R: Columns>(columns: &R) -> Result<Parked, Error> {
    let delivery = delivery(columns)?;
    let event = event_of(&delivery, columns)?;
    Ok(Parked { delivery, event: Arc::new(event) })
}

/// A row of [`crate::sql::replayable`]: likewise, if the event is still there.
pub(crate) fn replayable<R: Columns>(columns: &R) -> Result<Replayable, Error> {
    let delivery = delivery(columns)?;
    let is_there = Row::of("event", columns).optional_time("accepted_at_ms")?.is_some();
    let event = is_there.then(|| event_of(&delivery, columns)).transpose()?;
    Ok(Replayable { delivery, event: event.map(Arc::new) })
}

/// A delivery's event, of whose row it says a part.
fn event_of<R: Columns>(delivery: &Delivery, columns: &R) -> Result<Event, Error> {
    let row = Row::of("event", columns);
    Ok(Event {
        id: delivery.event,
        account: delivery.account.clone(),
        name: delivery.event_name.clone(),
        time: row.time("time_ms")?,
        accepted_at: row.time("accepted_at_ms")?,
        deliver_at: row.optional_time("deliver_at_ms")?,
        variables: row.json("variables")?,
        trace: None,
    })
}

pub(crate) fn recorded<R: Columns>(row: &R) -> Result<Recorded, Error> {
    let row = Row::of("delivery", row);
    Ok(Recorded {
        id: row.id("id", DeliveryId::from_uuid)?,
        attempts: row.number("attempts")?,
        state: recorded_state(&row)?,
    })
}

/// Whom a delivery goes to.
pub(crate) fn callback_of_delivery<R: Columns>(row: &R) -> Result<CallbackId, Error> {
    Row::of("delivery", row).id("callback_id", CallbackId::from_uuid)
}

/// The rows of [`crate::sql::last_outcomes()`], for so many deliveries.
pub(crate) fn last_outcomes<R: Columns>(
    rows: &[R],
    asked: usize,
) -> Result<Vec<Option<Outcome>>, Error> {
    let mut outcomes = vec![None; asked];
    for row in rows {
        let row = Row::of("attempt", row);
        let place: usize = row.number("place")?;
        let place =
            outcomes.get_mut(place).ok_or_else(|| row.unreadable("place", "there is none"))?;
        *place = Some(outcome(&row)?);
    }
    Ok(outcomes)
}

pub(crate) fn attempt<R: Columns>(row: &R) -> Result<Attempt, Error> {
    let row = Row::of("attempt", row);
    let number = attempt_number(&row, "number")?;
    let started_at = row.time("started_at_ms")?;
    let headers = unpack(row.text("request_headers")?, Known { number, started_at });
    Ok(Attempt {
        delivery: row.id("delivery_id", DeliveryId::from_uuid)?,
        number,
        started_at,
        duration: Duration::from_millis(row.number("duration_ms")?),
        request: SentRequest {
            method: row.word("method", method_of)?,
            url: row.text("url")?.to_owned(),
            headers: headers.map_err(|why| row.unreadable("request_headers", why))?,
            format: match row.optional_text("format")? {
                None => None,
                Some(_) => Some(row.word("format", format_of)?),
            },
        },
        outcome: outcome(&row)?,
        response: response(&row)?,
    })
}

fn attempt_number<R: Columns>(row: &Row<'_, R>, column: &str) -> Result<AttemptNumber, Error> {
    AttemptNumber::new(row.number(column)?).ok_or_else(|| row.unreadable(column, "it is zero"))
}

fn outcome<R: Columns>(row: &Row<'_, R>) -> Result<Outcome, Error> {
    let reason = || row.text("error").map(str::to_owned);
    Ok(match row.text("outcome")? {
        "success" => Outcome::Success { status: row.number("status")? },
        "http_error" => Outcome::HttpError {
            status: row.number("status")?,
            retry_after: row.optional_number("retry_after_ms")?.map(Duration::from_millis),
        },
        "timeout" => Outcome::Timeout { reason: reason()? },
        "connection" => Outcome::Connection { reason: reason()? },
        "blocked" => Outcome::Blocked { reason: reason()? },
        other => {
            let why = format_args!("`{other}` is not known here");
            return Err(row.unreadable("outcome", why));
        }
    })
}

fn response<R: Columns>(row: &Row<'_, R>) -> Result<Option<Response>, Error> {
    if row.optional_text("response_headers")?.is_none() {
        return Ok(None);
    }
    let text = row.text("response_body")?;
    let body = match row.number::<i64>("response_body_is_base64")? {
        0 => text.as_bytes().to_vec(),
        _ => STANDARD.decode(text).map_err(|error| row.unreadable("response_body", error))?,
    };
    Ok(Some(Response {
        status: row.number("status")?,
        headers: row.json("response_headers")?,
        body,
        body_truncated: row.number::<i64>("response_body_is_truncated")? != 0,
    }))
}

/// The values of an attempt's row, in the order of [`crate::sql::ATTEMPT_COLUMNS`].
pub(crate) fn bind_attempt(values: &mut impl Bind, attempt: &Attempt) {
    let (outcome_status, retry_after) = match attempt.outcome {
        Outcome::Success { status } => (Some(status), None),
        Outcome::HttpError { status, retry_after } => (Some(status), retry_after),
        Outcome::Timeout { .. } | Outcome::Connection { .. } | Outcome::Blocked { .. } => {
            (None, None)
        }
    };
    let status = attempt.response.as_ref().map(|response| response.status).or(outcome_status);
    let request = &attempt.request;
    values.id(attempt.delivery.uuid());
    values.number(Some(attempt.number.get().into()));
    values.number(Some(attempt.started_at.ms()));
    values.number(Some(whole_ms(attempt.duration)));
    values.text(Some(request.method.as_str()));
    values.text(Some(request.url.as_str()));
    let Attempt { number, started_at, .. } = *attempt;
    values.text(Some(pack(&request.headers, Known { number, started_at })));
    values.text(request.format.map(Format::as_str));
    values.text(Some(attempt.outcome.kind()));
    values.number(status.map(Into::into));
    values.number(retry_after.map(whole_ms));
    values.text(attempt.outcome.error());
    bind_response(values, attempt.response.as_ref());
}

fn bind_response(values: &mut impl Bind, response: Option<&Response>) {
    let Some(response) = response else {
        values.text(None::<&str>);
        values.text(None::<&str>);
        values.number(None);
        values.number(None);
        return;
    };
    // PostgreSQL's TEXT takes every character but the one numbered 0.
    let plain = std::str::from_utf8(&response.body).ok().filter(|text| !text.contains('\0'));
    let body: Cow<'_, str> = match plain {
        Some(text) => text.into(),
        None => STANDARD.encode(&response.body).into(),
    };
    let headers = serde_json::to_string(&response.headers).expect("texts always serialize");
    values.text(Some(headers));
    values.text(Some(body));
    values.number(Some(plain.is_none().into()));
    values.number(Some(response.body_truncated.into()));
}

fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn method_of(word: &str) -> Option<Method> {
    [Method::Get, Method::Post].into_iter().find(|method| method.as_str() == word)
}

pub(super) fn format_of(word: &str) -> Option<Format> {
    Format::of_word(word)
}

fn recorded_state<R: Columns>(row: &Row<'_, R>) -> Result<RecordedState, Error> {
    Ok(match row.text("status")? {
        "pending" => RecordedState::Pending,
        "delivered" => RecordedState::Delivered,
        "exhausted" => RecordedState::Exhausted,
        "cancelled" => RecordedState::Cancelled(row.word("reason", cancel_reason_of)?),
        other => {
            let why = format_args!("`{other}` is not known here");
            return Err(row.unreadable("status", why));
        }
    })
}

fn wait_reason_of(word: &str) -> Option<WaitReason> {
    WaitReason::ALL.into_iter().find(|reason| reason.as_str() == word)
}

fn cancel_reason_of(word: &str) -> Option<CancelReason> {
    CancelReason::ALL.into_iter().find(|reason| reason.as_str() == word)
}
