//! A history to look at: a thousand callbacks of a hundred accounts, one of which has a tenth of everything.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use ringback_core::callback::{Format, Method};
use ringback_core::delivery::{
    Attempt, CancelReason, Delivery, DeliveryState, Response, SentRequest, WaitReason,
};
use ringback_core::retry::AttemptNumber;
use ringback_core::{
    Account, Callback, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp,
};
use ringback_store::{HistoryRecord, Step, Store, TrafficOf};
use ringback_testkit::builders;

const ACCOUNTS: usize = 100;
const CALLBACKS: usize = 1_000;
/// Callbacks that each event goes to.
const FAN_OUT: usize = 4;
/// Events handed to the store at once.
const TOGETHER: usize = 500;
/// Events after which the sums for charts are waited for: at this pace more would come than are kept in memory.
const ADDED_UP_AFTER: usize = 20_000;
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The history is of so many days: as many as are kept if nobody says otherwise.
pub(super) const DAYS: u32 = 30;

/// What was written, to ask for.
pub(super) struct History {
    /// One that has a tenth of all deliveries.
    pub(super) large: Account,
    /// Its callback with the most.
    pub(super) busy: CallbackId,
    /// One with few deliveries.
    pub(super) small: Account,
    /// Near the oldest.
    pub(super) event: EventId,
    pub(super) delivery: DeliveryId,
    /// Where in the history it stands that is asked for deep in lists.
    pub(super) middle: Timestamp,
}

impl History {
    pub(super) async fn written(
        store: &Arc<dyn Store>,
        deliveries: usize,
        now: Timestamp,
    ) -> Result<Self> {
        let callbacks: Vec<Callback> = (0..CALLBACKS).map(|number| callback(number, now)).collect();
        for callback in &callbacks {
            store.create_callback(callback).await?;
        }
        let events = deliveries / FAN_OUT;
        let mut number = 0;
        while number < events {
            let last = events.min(number + TOGETHER);
            let records =
                (number..last).flat_map(|number| records(number, events, now, &callbacks));
            store.record(records.collect()).await?;
            number = last;
            if number.is_multiple_of(ADDED_UP_AFTER) || number == events {
                added_up(&**store, number * FAN_OUT).await?;
            }
        }
        let (oldest, callback) = (event(0, events, now), &callbacks[callback_of(0, 0)]);
        Ok(Self {
            large: account(0),
            busy: callbacks[0].id,
            small: account(ACCOUNTS - 1),
            event: oldest.id,
            delivery: DeliveryId::of(&oldest.account, oldest.id, callback.id, 0),
            middle: now - DAY * DAYS / 2,
        })
    }
}

/// Waits until the sums for charts are written of so many attempts, which the store does every five seconds.
async fn added_up(store: &dyn Store, attempts: usize) -> Result<()> {
    for _ in 0..60 {
        let hours = store.traffic(&TrafficOf::All, Step::Hour, Timestamp::EPOCH).await?;
        let written: u64 = hours.iter().map(|(_, traffic)| traffic.attempts()).sum();
        if usize::try_from(written)? == attempts {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("the sums of {attempts} attempts are not written within a minute")
}

/// A tenth of all is the first account's, the rest is spread.
fn account_of(number: usize) -> usize {
    if number.is_multiple_of(10) { 0 } else { number % ACCOUNTS }
}

/// Callbacks of an event's account: each account has ten.
fn callback_of(number: usize, target: usize) -> usize {
    let of_account = CALLBACKS / ACCOUNTS;
    account_of(number) * of_account + (number / ACCOUNTS + target) % of_account
}

fn account(number: usize) -> Account {
    format!("account-{number}").parse().expect("an account")
}

fn callback(number: usize, now: Timestamp) -> Callback {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&(number as u64).to_be_bytes());
    Callback {
        id: CallbackId::from_parts(now, random),
        description: format!("Callback {number}"),
        account: Some(account(number / (CALLBACKS / ACCOUNTS))),
        created_at: now - Duration::from_secs(number as u64),
        ..builders::callback(&format!("https://receiver-{number}.example/hooks/{{COMMENT_ID}}"))
    }
}

fn event(number: usize, events: usize, now: Timestamp) -> Event {
    let age = (DAY * DAYS).mul_f64((events - number) as f64 / events as f64);
    let at = now - age;
    let mut random = [0; 10];
    random[2..].copy_from_slice(&(number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    let rare = if number == 0 { "PACKAGE_COMPLETE" } else { "COMMENT_CREATED" };
    Event {
        id: EventId::from_parts(at, random),
        account: account(account_of(number)),
        time: at,
        accepted_at: at,
        variables: builders::variables(&format!(
            r#"{{"COMMENT_ID":{number},"COMMENT":"Needs more cowbell","PROJECT_ID":4711,"ASSET_ID":815,
            "ASSET_NAME":"Spring campaign, poster, second draft.pdf","USER_NAME":"Ada Lovelace","PAGE":3}}"#
        )),
        ..builders::event(rare)
    }
}

fn records(
    number: usize,
    events: usize,
    now: Timestamp,
    callbacks: &[Callback],
) -> Vec<HistoryRecord> {
    let event = event(number, events, now);
    let deliveries = (0..FAN_OUT).map(|target| {
        let callback = &callbacks[callback_of(number, target)];
        let (delivery, attempt) = delivery(number * FAN_OUT + target, &event, callback, now);
        HistoryRecord::Delivery {
            delivery: Arc::new(delivery),
            attempt: Some(Arc::new(attempt)),
            first: true,
        }
    });
    let deliveries: Vec<_> = deliveries.collect();
    [HistoryRecord::Event(Arc::new(event))].into_iter().chain(deliveries).collect()
}

/// Of a hundred, two are exhausted, one waits and one is cancelled.
fn delivery(
    number: usize,
    event: &Event,
    callback: &Callback,
    now: Timestamp,
) -> (Delivery, Attempt) {
    let state = match (number + number / 100) % 100 {
        13 | 57 => DeliveryState::Exhausted,
        42 => DeliveryState::Pending {
            next_attempt_at: now + Duration::from_secs(300),
            waits: Some(WaitReason::Retry),
        },
        77 => DeliveryState::Cancelled(CancelReason::Requested),
        _ => DeliveryState::Delivered,
    };
    let id = DeliveryId::of(&event.account, event.id, callback.id, 0);
    let delivery = Delivery {
        id,
        event: event.id,
        event_name: event.name.clone(),
        account: event.account.clone(),
        callback: callback.id,
        generation: 0,
        state,
        attempts: 1,
        series_start: AttemptNumber::MIN,
        created_at: event.accepted_at,
        updated_at: event.accepted_at,
    };
    (delivery, attempt(id, event, state == DeliveryState::Delivered))
}

fn attempt(delivery: DeliveryId, event: &Event, delivered: bool) -> Attempt {
    let status = if delivered { 200 } else { 503 };
    Attempt {
        delivery,
        number: AttemptNumber::MIN,
        started_at: event.accepted_at,
        duration: Duration::from_millis(42),
        request: SentRequest {
            method: Method::Post,
            url: "https://receiver.example/hooks/178".to_owned(),
            headers: vec![("content-type".into(), "application/json".into())],
            format: Some(Format::Json),
        },
        outcome: match delivered {
            true => Outcome::Success { status },
            false => Outcome::HttpError { status, retry_after: None },
        },
        response: Some(Response {
            status,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: b"ok".to_vec(),
            body_truncated: false,
        }),
    }
}
