//! The day before: events and deliveries as the store keeps them, some minutes apart.
//!
//! No chance is in it: each instance has the same day, up to its hour.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::{Format, Method};
use ringback_core::delivery::{
    Attempt, Delivery, DeliveryState, Response, SentRequest, WaitReason,
};
use ringback_core::retry::AttemptNumber;
use ringback_core::{CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp};
use ringback_runtime::{Clock, Shutdown, SystemClock};
use ringback_sqlite::Database;
use ringback_store::sqlite::SqliteStore;
use ringback_store::{HistoryRecord, MasterKey, Store as _};
use ringback_testkit::Receiver;
use ringback_testkit::builders::{account, variables};
use serde_json::{Value, json};

use super::Callbacks;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// How many events there were in each hour, the last one first: a working day, and the night before it.
const EVENTS_AN_HOUR: [u32; 24] =
    [44, 52, 61, 58, 40, 55, 63, 48, 31, 18, 12, 7, 5, 4, 4, 3, 5, 6, 9, 14, 22, 35, 41, 47];
/// How often which of [`EVENTS`] happens.
const KINDS: [usize; 12] = [0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 5];
/// Written together.
const RECORDS_AT_ONCE: usize = 500;

/// A kind of event.
pub(crate) struct Kind {
    account: &'static str,
    name: &'static str,
    variables: fn(u64) -> Value,
}

/// What happens at the three accounts.
pub(crate) const EVENTS: [Kind; 6] = [
    Kind {
        account: "acme",
        name: "COMMENT_CREATED",
        variables: |number| {
            let comments = ["Needs more cowbell", "Logo a bit bigger?", "Approved", "Wrong blue"];
            let people = [("Ada Okafor", "ada"), ("Jonas Weber", "jonas"), ("Mei Lin", "mei")];
            let (name, user) = people[index(number, people.len())];
            json!({
                "COMMENT_ID": 4_100 + number, "ASSET_ID": 310 + number % 17, "PROJECT_ID": 6 + number % 3,
                "COMMENTOR_ID": 3 + number % 3, "COMMENTOR_NAME": name,
                "COMMENTOR_USERNAME": format!("{user}@acme.example"),
                "COMMENT": comments[index(number, comments.len())], "DRAFT": false,
            })
        },
    },
    Kind {
        account: "acme",
        name: "ASSET_UPLOADED",
        variables: |number| json!({"ASSET_ID": 310 + number, "PROJECT_ID": 6 + number % 3, "FILE": format!("poster-{number}.tif")}),
    },
    Kind {
        account: "northwind",
        name: "PACKAGE_COMPLETE",
        variables: |number| json!({"sessionUser": signer(number), "packageId": package(number)}),
    },
    Kind {
        account: "northwind",
        name: "DOCUMENT_SIGNED",
        variables: |number| json!({"sessionUser": signer(number), "packageId": package(number), "documentId": format!("{number:048x}")}),
    },
    Kind {
        account: "northwind",
        name: "PACKAGE_DECLINE",
        variables: |number| {
            let reasons =
                ["The price is not what we agreed", "Wrong addressee", "Please ask our lawyers"];
            let reason = reasons[index(number, reasons.len())];
            json!({"sessionUser": signer(number), "packageId": package(number), "message": reason})
        },
    },
    Kind {
        account: "globex",
        name: "TEMPLATE_CREATE",
        variables: |number| json!({"sessionUser": signer(number), "packageId": package(number)}),
    },
];

impl Kind {
    /// One of this kind as its producer sends it.
    pub(crate) fn sent(&self, number: u64) -> Value {
        // Others than those of the day before.
        let variables = (self.variables)(10_000 + number);
        json!({"name": self.name, "account": self.account, "variables": variables})
    }

    fn happened(&self, number: u64, at: Timestamp) -> Event {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&mix(number).to_be_bytes());
        Event {
            id: EventId::from_parts(at, random),
            name: self.name.parse().expect("a name"),
            account: account(self.account),
            time: at,
            accepted_at: at,
            deliver_at: None,
            variables: variables(&(self.variables)(number).to_string()),
            trace: None,
        }
    }
}

/// Whom an event went to, and what happened there.
struct Endpoint {
    callback: CallbackId,
    method: Method,
    format: Option<Format>,
    url: String,
    /// How long an answer takes at least.
    answer: Duration,
    /// How long ago it began to fail, and how long ago it was well again.
    down: Option<(Duration, Duration)>,
    retry_delay: Duration,
}

/// Writes the last 24 hours into the store of a data directory that no process has open.
pub(crate) async fn write(data: &Path, callbacks: &Callbacks, receiver: &Receiver) {
    let key = std::fs::read_to_string(data.join("master-key")).expect("it was made at the start");
    let key: MasterKey = key.trim().parse().expect("a key");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now = clock.now();
    let database = Database::open(data).await.expect("no process has it open");
    let store = SqliteStore::open(Arc::clone(&database), key, clock).await.expect("it opens");
    let stop = Shutdown::new();
    let written = async {
        for records in day(callbacks, receiver, now).chunks(RECORDS_AT_ONCE) {
            store.record(records.to_vec()).await.expect("there is room");
        }
        stop.request();
    };
    let (writer, ()) = tokio::join!(database.run_writer(stop.clone()), written);
    writer.expect("it writes to the end");
}

/// The records of a day, first one first.
fn day(callbacks: &Callbacks, receiver: &Receiver, now: Timestamp) -> Vec<HistoryRecord> {
    let mut records = Vec::new();
    let mut number = 0;
    for (hours_ago, events) in (0..24).zip(EVENTS_AN_HOUR).rev() {
        for nth in (0..events).rev() {
            number += 1;
            // What is under way belongs to the present.
            let ago = HOUR * hours_ago + (HOUR - 6 * MINUTE) / events * nth + 6 * MINUTE;
            let kind = KINDS[index(mix(number), KINDS.len())];
            let event = Arc::new(EVENTS[kind].happened(number, now - ago));
            records.push(HistoryRecord::Event(Arc::clone(&event)));
            for endpoint in endpoints(kind, number, callbacks, receiver) {
                endpoint.deliver(&event, ago, mix(number + 7), &mut records);
            }
        }
    }
    records
}

fn endpoints(
    kind: usize,
    number: u64,
    callbacks: &Callbacks,
    receiver: &Receiver,
) -> Vec<Endpoint> {
    let endpoint = |callback: &str, format, url: String, answer_ms| Endpoint {
        callback: callback.parse().expect("an id"),
        method: Method::Post,
        format: Some(format),
        url,
        answer: Duration::from_millis(answer_ms),
        down: None,
        retry_delay: MINUTE,
    };
    let named = match kind {
        0 => {
            let url = receiver.url(&format!("/chat/review?project={}", 6 + number % 3));
            endpoint(&callbacks.chat, Format::Json, url, 60)
        }
        1 => Endpoint {
            method: Method::Get,
            format: None,
            down: Some((HOUR * 10 + 20 * MINUTE, HOUR * 7)),
            ..endpoint(
                &callbacks.pipeline,
                Format::Form,
                receiver.url(&format!("/pipeline/{}", 310 + number)),
                140,
            )
        },
        2 | 3 => {
            let url = "https://archive.northwind.example/inbox".to_owned();
            endpoint(&callbacks.archive, Format::CongaSign, url, 310)
        }
        4 => Endpoint {
            down: Some((HOUR * 3, Duration::ZERO)),
            ..endpoint(&callbacks.failing, Format::Json, receiver.url("/crm/callbacks"), 90)
        },
        _ => endpoint(&callbacks.paused, Format::CloudEvents, receiver.url("/push/templates"), 45),
    };
    let log = "http://127.0.0.1:8080/system.ashx?f=lp".to_owned();
    vec![named, endpoint(&callbacks.log, Format::Form, log, 3)]
}

impl Endpoint {
    /// Adds what came of an event that was accepted so long ago.
    fn deliver(&self, event: &Event, ago: Duration, chance: u64, to: &mut Vec<HistoryRecord>) {
        let is_down = self.down.is_some_and(|(from, until)| (until..from).contains(&ago));
        // Once in a while a request gets lost; not lately, so that who is well now looks well.
        let is_lost = chance.is_multiple_of(37) && ago > HOUR * 3;
        let failures = if is_down { 4 } else { u32::from(is_lost) };
        let mut started_at = event.accepted_at + Duration::from_millis(4);
        for number in 1..=(failures + 1).min(4) {
            let took = self.answer + Duration::from_millis(chance % 97 * u64::from(number));
            let outcome = match number <= failures {
                true if is_down => Outcome::HttpError { status: 503, retry_after: None },
                true => Outcome::Timeout { reason: "waiting for the answer".to_owned() },
                false => Outcome::Success { status: 200 },
            };
            let ended_at = started_at + took;
            let next_attempt_at = ended_at + self.retry_delay;
            let state = match number <= failures {
                true if number == 4 => DeliveryState::Exhausted,
                true => DeliveryState::Pending { next_attempt_at, waits: Some(WaitReason::Retry) },
                false => DeliveryState::Delivered,
            };
            let delivery = self.delivery(event, number, state, ended_at);
            let attempt = self.attempt(event, &delivery, started_at, outcome);
            to.push(HistoryRecord::Delivery {
                delivery: Arc::new(delivery),
                attempt: Some(Arc::new(attempt)),
                first: number == 1,
            });
            started_at = next_attempt_at;
        }
    }

    fn delivery(
        &self,
        event: &Event,
        attempts: u32,
        state: DeliveryState,
        updated_at: Timestamp,
    ) -> Delivery {
        Delivery {
            id: DeliveryId::of(&event.account, event.id, self.callback, 0),
            event: event.id,
            event_name: event.name.clone(),
            account: event.account.clone(),
            callback: self.callback,
            generation: 0,
            state,
            attempts,
            series_start: AttemptNumber::MIN,
            created_at: event.accepted_at,
            updated_at,
        }
    }

    fn attempt(
        &self,
        event: &Event,
        delivery: &Delivery,
        started_at: Timestamp,
        outcome: Outcome,
    ) -> Attempt {
        let header = |name: &'static str, value: String| (Cow::from(name), Cow::from(value));
        let answered = |status: u16, body: &str| Response {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
            body_truncated: false,
        };
        let response = match &outcome {
            Outcome::Success { status } => Some(answered(*status, r#"{"taken":true}"#)),
            Outcome::HttpError { status, .. } => {
                let body = r#"{"error":"the database of customers is down for maintenance"}"#;
                Some(answered(*status, body))
            }
            _ => None,
        };
        Attempt {
            delivery: delivery.id,
            number: AttemptNumber::new(delivery.attempts).expect("not zero"),
            started_at,
            duration: delivery.updated_at.since(started_at),
            request: SentRequest {
                method: self.method,
                url: self.url.clone(),
                headers: vec![
                    header("user-agent", "Ringback/0.1.0".to_owned()),
                    header("webhook-id", event.id.to_string()),
                    header("webhook-timestamp", started_at.seconds().to_string()),
                    header("ringback-attempt", delivery.attempts.to_string()),
                ],
                format: self.format,
            },
            outcome,
            response,
        }
    }
}

fn index(number: u64, len: usize) -> usize {
    usize::try_from(number % u64::try_from(len).expect("it is small")).expect("it is smaller")
}

/// Numbers in no order that is seen (splitmix64).
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

fn signer(number: u64) -> String {
    format!("44aafb7c-97b9-40e1-bb59-{:012x}", mix(number % 23) >> 16)
}

fn package(number: u64) -> String {
    format!("{:016x}{:08x}=", mix(number / 3), number)
}
