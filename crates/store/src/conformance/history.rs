//! History: what is recorded, and how it comes back.

use std::time::Duration;

use ringback_core::Outcome;
use ringback_core::delivery::{CancelReason, Delivery, DeliveryState, WaitReason};

use super::samples::{
    account, at, attempt, callback, delivery, delivery_record, event, event_record, pending,
    response, success,
};
use super::{Harness, attempts_of};
use crate::{DeliveryKey, HistoryRecord, Recorded, RecordedState};

/// What is recorded comes back, to the last digit of a variable.
pub async fn events_come_back_with_every_field(harness: &mut impl Harness) {
    let store = harness.store();
    let mut event = event(1, "acme", "COMMENT_CREATED");
    let variables =
        r#"{"z":1.10,"a":12345678901234567890,"n":null,"s":"it's \"\u0000\" ü","o":{"x" : [1]}}"#;
    event.variables = serde_json::from_str(variables).expect("an object");
    store.record(vec![event_record(&event)]).await.expect("recorded");
    let read = store.event(event.id, None).await.expect("read").expect("it is there");
    assert_eq!(format!("{read:?}"), format!("{event:?}"));
    assert_eq!(read.variables.to_json(), variables);
}

/// Two accounts may choose the same id: each has its own event, and who asks for any gets the newest.
pub async fn event_is_found_within_its_account(harness: &mut impl Harness) {
    let store = harness.store();
    let old = event(1, "acme", "OLD");
    let mut new = event(2, "other", "NEW");
    new.id = old.id;
    store.record(vec![event_record(&new), event_record(&old)]).await.expect("recorded");
    let find = async |of: Option<&str>| {
        let of = of.map(account);
        let found = store.event(old.id, of.as_ref()).await.expect("read");
        found.map(|event| event.name.to_string())
    };
    assert_eq!(find(Some("acme")).await.as_deref(), Some("OLD"));
    assert_eq!(find(Some("other")).await.as_deref(), Some("NEW"));
    assert_eq!(find(None).await.as_deref(), Some("NEW"));
    assert_eq!(find(Some("nobody")).await, None);
}

/// Every state comes back with what belongs to it.
pub async fn deliveries_come_back_in_every_state(harness: &mut impl Harness) {
    let store = harness.store();
    let next_attempt_at = at(5_000);
    let waits = WaitReason::ALL.map(Some).into_iter().chain([None]);
    let pending = waits.map(|waits| DeliveryState::Pending { next_attempt_at, waits });
    let settled = [
        DeliveryState::Delivered,
        DeliveryState::Exhausted,
        DeliveryState::Cancelled(CancelReason::CallbackDisabled),
        DeliveryState::Cancelled(CancelReason::CallbackDeleted),
    ];
    for (state, number) in pending.chain(settled).zip(0..) {
        let event = event(number, "acme", "COMMENT_CREATED");
        let mut delivery = delivery(&event, &callback(1), state, number);
        delivery.generation = number;
        delivery.series_start = delivery.series_start.saturating_add(number);
        store.record(vec![delivery_record(&delivery, None)]).await.expect("recorded");
        let read = store.delivery(delivery.id).await.expect("read");
        assert_eq!(read, Some(delivery));
    }
    let unknown = delivery(&event(99, "acme", "A"), &callback(1), settled[0], 0);
    assert_eq!(store.delivery(unknown.id).await.expect("read"), None);
}

/// Every outcome comes back, with a response of any bytes.
pub async fn attempts_come_back_with_every_outcome(harness: &mut impl Harness) {
    let store = harness.store();
    let http_error = |status, retry_after| Outcome::HttpError { status, retry_after };
    let reason = || "it's \"broken\", ü".to_owned();
    let mut truncated = response(500, "größer".as_bytes());
    truncated.body_truncated = true;
    let met = [
        (success(), Some(response(200, b""))),
        (http_error(500, None), Some(truncated)),
        (http_error(429, Some(Duration::from_millis(1_500))), Some(response(429, b"\xff\xfe\0"))),
        (http_error(503, Some(Duration::ZERO)), Some(response(503, b"a text with a \0 in it"))),
        (Outcome::Timeout { reason: reason() }, None),
        (Outcome::Timeout { reason: reason() }, Some(response(200, b"half of"))),
        (Outcome::Connection { reason: reason() }, None),
        (Outcome::Blocked { reason: reason() }, None),
    ];
    let event = event(1, "acme", "COMMENT_CREATED");
    let delivery = delivery(&event, &callback(1), pending(), 8);
    let mut attempts: Vec<_> = met
        .into_iter()
        .zip(1..)
        .map(|((outcome, response), number)| attempt(&delivery, number, outcome, response))
        .collect();
    attempts[0].request.method = ringback_core::callback::Method::Get;
    attempts[0].request.format = None;
    // The order in which they are recorded is not the one in which they are shown.
    for attempt in attempts.iter().rev() {
        let record = delivery_record(&delivery, Some(attempt.clone()));
        store.record(vec![record]).await.expect("recorded");
    }
    assert_eq!(attempts_of(&*store, delivery.id).await, attempts);
    let none = super::samples::delivery(&event, &callback(2), pending(), 0);
    assert_eq!(store.delivery_with_attempts(none.id).await.expect("read"), None);
}

/// Who reads while attempts are recorded never sees one without what became of the delivery by it, nor the other way round.
pub async fn delivery_and_its_attempts_are_of_one_moment(harness: &mut impl Harness) {
    const ATTEMPTS: u32 = 300;
    let store = harness.store();
    let waits = delivery(&event(1, "acme", "COMMENT_CREATED"), &callback(1), pending(), 0);
    store.record(vec![delivery_record(&waits, None)]).await.expect("recorded");
    assert_eq!(attempts_of(&*store, waits.id).await, []);
    let recording = async {
        for attempts in 1..=ATTEMPTS {
            let tried = Delivery { attempts, ..waits.clone() };
            let outcome = Outcome::Timeout { reason: "slow".to_owned() };
            let record = delivery_record(&tried, Some(attempt(&tried, attempts, outcome, None)));
            store.record(vec![record]).await.expect("recorded");
        }
    };
    let reading = async {
        loop {
            let read = store.delivery_with_attempts(waits.id).await.expect("read");
            let (delivery, attempts) = read.expect("it is there");
            assert_eq!(attempts.len(), delivery.attempts as usize);
            if delivery.attempts == ATTEMPTS {
                break;
            }
        }
    };
    tokio::join!(recording, reading);
}

/// A worker that died after recording records the same again: nothing changes, whatever it says of the same.
pub async fn recording_again_changes_nothing(harness: &mut impl Harness) {
    let store = harness.store();
    let event = event(1, "acme", "COMMENT_CREATED");
    let delivery = delivery(&event, &callback(1), DeliveryState::Delivered, 1);
    let attempt = attempt(&delivery, 1, success(), Some(response(200, b"ok")));
    let records = vec![event_record(&event), delivery_record(&delivery, Some(attempt.clone()))];
    store.record(records.clone()).await.expect("recorded");
    let mut other_event = event.clone();
    other_event.variables = serde_json::from_str("{}").expect("an object");
    let other_attempt = super::samples::attempt(&delivery, 1, success(), None);
    let others = vec![event_record(&other_event), delivery_record(&delivery, Some(other_attempt))];
    // Twice in one batch, and in one of its own.
    store.record(records.iter().cloned().chain(records.clone()).collect()).await.expect("recorded");
    store.record(others).await.expect("recorded");
    let read = store.event(event.id, None).await.expect("read").expect("it is there");
    assert_eq!(format!("{read:?}"), format!("{event:?}"));
    assert_eq!(store.delivery(delivery.id).await.expect("read"), Some(delivery.clone()));
    assert_eq!(attempts_of(&*store, delivery.id).await, [attempt]);
}

/// Every state with 0, 1 and 2 attempts: all in which a delivery can be met.
fn states() -> Vec<Delivery> {
    let event = event(1, "acme", "COMMENT_CREATED");
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDeleted);
    let states = [pending(), DeliveryState::Delivered, DeliveryState::Exhausted, cancelled];
    let with = |attempts| {
        states.map(|state| {
            let delivery = delivery(&event, &callback(1), state, attempts);
            Delivery { series_start: delivery.next_position().attempt, ..delivery }
        })
    };
    [with(0), with(1), with(2)].concat()
}

/// Which of two states is to be seen, if the second is recorded after the first: the port's sentence.
fn expected<'a>(first: &'a Delivery, second: &'a Delivery) -> &'a Delivery {
    let fewer = second.attempts < first.attempts;
    let unsettled =
        second.attempts == first.attempts && first.state.is_settled() && !second.state.is_settled();
    if fewer || unsettled { first } else { second }
}

/// Workers' records may arrive in any order: a delivery never goes back to fewer attempts, nor from settled to pending.
pub async fn delivery_never_goes_back(harness: &mut impl Harness) {
    let store = harness.store();
    for (pair, number) in pairs().into_iter().zip(100..) {
        let [first, second] = numbered(pair, number);
        store.record(vec![delivery_record(&first, None)]).await.expect("recorded");
        store.record(vec![delivery_record(&second, None)]).await.expect("recorded");
        let read = store.delivery(first.id).await.expect("read").expect("it is there");
        assert_eq!(&read, expected(&first, &second));
    }
}

/// The same holds between the states of one batch.
pub async fn last_state_of_one_batch_wins(harness: &mut impl Harness) {
    let store = harness.store();
    let pairs: Vec<_> = pairs().into_iter().zip(100..).map(|(pair, n)| numbered(pair, n)).collect();
    let records = pairs.iter().flatten().map(|delivery| delivery_record(delivery, None)).collect();
    store.record(records).await.expect("recorded");
    for [first, second] in &pairs {
        let read = store.delivery(first.id).await.expect("read").expect("it is there");
        assert_eq!(&read, expected(first, second));
    }
}

fn pairs() -> Vec<[Delivery; 2]> {
    let states = states();
    let with = |first: &Delivery| {
        states.iter().map(|second| [first.clone(), second.clone()]).collect::<Vec<_>>()
    };
    states.iter().flat_map(with).collect()
}

/// The same pair of states, of a delivery of its own.
fn numbered(pair: [Delivery; 2], number: u32) -> [Delivery; 2] {
    let id = delivery(&event(number, "acme", "A"), &callback(1), pending(), 0).id;
    pair.map(|delivery| Delivery { id, ..delivery })
}

/// Asked for many deliveries, it answers for those it knows.
pub async fn recorded_leaves_out_what_is_not_known(harness: &mut impl Harness) {
    let store = harness.store();
    let states = [
        (pending(), RecordedState::Pending),
        (DeliveryState::Delivered, RecordedState::Delivered),
        (DeliveryState::Exhausted, RecordedState::Exhausted),
        (
            DeliveryState::Cancelled(CancelReason::Requested),
            RecordedState::Cancelled(CancelReason::Requested),
        ),
    ];
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for number in 0..1_100_u32 {
        let (state, recorded) = states[number as usize % states.len()];
        let delivery = delivery(&event(number, "acme", "A"), &callback(1), state, number);
        asked.push(DeliveryKey { id: delivery.id, created_at: delivery.created_at });
        if number % 100 == 0 {
            store.record(vec![delivery_record(&delivery, None)]).await.expect("recorded");
            expected.push(Recorded { id: delivery.id, attempts: number, state: recorded });
        }
    }
    let mut recorded = store.recorded(&asked).await.expect("read");
    recorded.sort_by_key(|recorded| recorded.attempts);
    assert_eq!(recorded, expected);
    assert_eq!(store.recorded(&[]).await.expect("read"), []);
}

/// Callers share batches, and each is answered once its own records can be read.
pub async fn many_callers_record_at_once(harness: &mut impl Harness) {
    let store = harness.store();
    let callers = ringback_runtime::TaskGroup::new();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for caller in 0..20 {
        let (store, told) = (std::sync::Arc::clone(&store), told.clone());
        callers.start(async move {
            for number in 0..20 {
                let event = event(caller * 100 + number, "acme", "A");
                let delivery = delivery(&event, &callback(1), DeliveryState::Delivered, 1);
                let attempt = attempt(&delivery, 1, success(), Some(response(200, b"ok")));
                let records = vec![event_record(&event), delivery_record(&delivery, Some(attempt))];
                store.record(records).await.expect("recorded");
                let readable = store.event(event.id, None).await.expect("read").is_some()
                    && attempts_of(&*store, delivery.id).await.len() == 1;
                told.send(readable).expect("the test listens");
            }
        });
    }
    drop(told);
    let mut answers = 0;
    while let Some(readable) = heard.recv().await {
        assert!(readable, "recorded, and yet not there");
        answers += 1;
    }
    assert_eq!(answers, 400);
}

/// Who listens hears of attempts from then on, and only of what is recorded.
pub async fn live_attempts_are_those_recorded_from_now_on(harness: &mut impl Harness) {
    let store = harness.store();
    let record = |number| {
        let delivery =
            delivery(&event(number, "acme", "A"), &callback(1), DeliveryState::Delivered, 1);
        let attempt = attempt(&delivery, 1, success(), Some(response(200, b"ok")));
        (delivery_record(&delivery, Some(attempt.clone())), delivery, attempt)
    };
    let (unheard, ..) = record(1);
    store.record(vec![unheard]).await.expect("recorded");
    let mut live = store.live_attempts();
    let (heard, delivery, attempt) = record(2);
    store.record(vec![heard]).await.expect("recorded");
    let told = tokio::time::timeout(Duration::from_secs(10), live.recv());
    let told = told.await.expect("told within ten seconds").expect("not fallen behind");
    assert_eq!((&*told.delivery, &*told.attempt), (&delivery, &attempt));
    assert!(live.try_recv().is_err(), "one attempt is told once");
}

/// What was answered is there after a restart.
pub async fn history_outlives_the_process(harness: &mut impl Harness) {
    let store = harness.store();
    let event = event(1, "acme", "A");
    let delivery = delivery(&event, &callback(1), pending(), 1);
    let attempt = attempt(&delivery, 1, Outcome::Timeout { reason: "slow".to_owned() }, None);
    let records: Vec<HistoryRecord> =
        vec![event_record(&event), delivery_record(&delivery, Some(attempt.clone()))];
    store.record(records).await.expect("recorded");
    drop(store);

    harness.reopen().await;
    let store = harness.store();
    let read = store.event(event.id, None).await.expect("read").expect("it is there");
    assert_eq!(format!("{read:?}"), format!("{event:?}"));
    assert_eq!(store.delivery(delivery.id).await.expect("read"), Some(delivery.clone()));
    assert_eq!(attempts_of(&*store, delivery.id).await, [attempt]);
}
