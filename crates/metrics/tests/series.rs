//! What a scrape reads after this and that was counted.

use std::num::NonZeroUsize;
use std::time::Duration;

use ringback_core::callback::Method;
use ringback_core::delivery::{Attempt, CancelReason, DeliveryState, SentRequest, WaitReason};
use ringback_core::retry::AttemptNumber;
use ringback_core::{CallbackId, DeliveryId, Outcome, Timestamp};
use ringback_metrics::{
    About, Dependency, Metrics, Queue, Rejection, Source, WorkerWatch, definitions,
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

fn metrics(callbacks_max: usize) -> Metrics {
    let callbacks_max = NonZeroUsize::new(callbacks_max).expect("not zero");
    let metrics = Metrics::new(About { version: "0.1.0", role: "worker", callbacks_max });
    metrics.watch_worker(WorkerWatch {
        circuits: Box::new(|| (0..4).map(|number| (id(number), 2)).collect()),
        held: Box::new(|| 7),
        held_max: 2_000,
        now: Box::new(|| NOW),
    });
    metrics
}

fn id(number: u128) -> CallbackId {
    CallbackId::from_uuid(Uuid::from_u128(number))
}

fn attempt(outcome: Outcome) -> Attempt {
    Attempt {
        delivery: DeliveryId::from_uuid(Uuid::nil()),
        number: AttemptNumber::MIN,
        started_at: NOW,
        duration: Duration::from_millis(40),
        request: SentRequest {
            method: Method::Post,
            url: String::new(),
            headers: Vec::new(),
            format: None,
        },
        outcome,
        response: None,
    }
}

fn outcomes() -> [Outcome; 5] {
    let reason = String::new;
    [
        Outcome::Success { status: 200 },
        Outcome::HttpError { status: 500, retry_after: None },
        Outcome::Timeout { reason: reason() },
        Outcome::Connection { reason: reason() },
        Outcome::Blocked { reason: reason() },
    ]
}

/// The value of a series, as it stands in the text.
fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

fn of_callback(name: &str, callback: CallbackId, rest: &str) -> String {
    format!("{name}{{callback=\"{callback}\"{rest}}}")
}

#[test]
fn callback_has_no_series_before_something_is_counted_and_then_all_of_them() {
    let metrics = metrics(10);
    let callback = metrics.callback(id(1));
    assert!(!metrics.to_text().contains("ringback_attempts_total"));
    callback.attempted(&attempt(Outcome::Success { status: 200 }));
    let text = metrics.to_text();
    for outcome in outcomes() {
        let expected = if outcome.kind() == "success" { "1" } else { "0" };
        let rest = format!(",outcome=\"{}\"", outcome.kind());
        let series = of_callback("ringback_attempts_total", id(1), &rest);
        assert_eq!(value(&text, &series), Some(expected), "{series}");
    }
    for status in ["delivered", "exhausted", "cancelled"] {
        let rest = format!(",status=\"{status}\"");
        let series = of_callback("ringback_deliveries_total", id(1), &rest);
        assert_eq!(value(&text, &series), Some("0"), "{series}");
    }
    let circuit = of_callback("ringback_circuit_state", id(1), "");
    assert_eq!(value(&text, &circuit), Some("2"));
}

#[test]
fn each_outcome_status_and_reason_counts_under_its_own_word() {
    let metrics = metrics(10);
    let callback = metrics.callback(id(1));
    for (outcome, times) in outcomes().into_iter().zip(1..) {
        (0..times).for_each(|_| callback.attempted(&attempt(outcome.clone())));
    }
    for (reason, times) in WaitReason::ALL.into_iter().zip(1..) {
        let state = DeliveryState::Pending { next_attempt_at: NOW, waits: Some(reason) };
        (0..times).for_each(|_| callback.stands(state));
    }
    let cancelled = DeliveryState::Cancelled(CancelReason::Requested);
    for (state, times) in
        [DeliveryState::Delivered, DeliveryState::Exhausted, cancelled].into_iter().zip(1..)
    {
        (0..times).for_each(|_| callback.stands(state));
    }
    let text = metrics.to_text();
    let counted = |name, label: &str, word: &str| {
        let series = of_callback(name, id(1), &format!(",{label}=\"{word}\""));
        value(&text, &series).map(str::to_owned)
    };
    for (outcome, times) in outcomes().into_iter().zip(1..) {
        let counted = counted("ringback_attempts_total", "outcome", outcome.kind());
        assert_eq!(counted, Some(times.to_string()), "{outcome:?}");
    }
    for (reason, times) in WaitReason::ALL.into_iter().zip(1..) {
        let word = if reason == WaitReason::Retry { "failure" } else { reason.as_str() };
        let expected = (reason != WaitReason::Scheduled).then(|| times.to_string());
        let counted = counted("ringback_retries_scheduled_total", "reason", word);
        assert_eq!(counted, expected, "{reason:?}");
    }
    for (status, times) in ["delivered", "exhausted", "cancelled"].into_iter().zip(1..) {
        let counted = counted("ringback_deliveries_total", "status", status);
        assert_eq!(counted, Some(times.to_string()), "{status}");
    }
    // Those that were blocked took no time.
    let count = of_callback("ringback_attempt_duration_seconds_count", id(1), "");
    assert_eq!(value(&text, &count), Some("10"));
}

#[test]
fn callbacks_beyond_the_limit_count_together_until_a_place_is_free() {
    let metrics = metrics(2);
    let success = || attempt(Outcome::Success { status: 200 });
    let mut callbacks: Vec<_> = (0..4).map(|number| metrics.callback(id(number))).collect();
    callbacks.iter().for_each(|callback| callback.attempted(&success()));
    let series = |callback| {
        format!("ringback_attempts_total{{callback=\"{callback}\",outcome=\"success\"}}")
    };
    let text = metrics.to_text();
    assert_eq!(value(&text, &series(id(0).to_string())), Some("1"));
    assert_eq!(value(&text, &series(id(3).to_string())), None);
    assert_eq!(value(&text, &series("other".to_owned())), Some("2"));
    assert_eq!(value(&text, "ringback_circuit_state{callback=\"other\"}"), Some("2"));

    drop(callbacks.remove(0));
    assert_eq!(value(&metrics.to_text(), &series(id(0).to_string())), None, "its series go");
    metrics.callback(id(9)).attempted(&success());
    let held = metrics.callback(id(8));
    held.attempted(&success());
    let text = metrics.to_text();
    assert_eq!(value(&text, &series(id(9).to_string())), None, "nobody holds it");
    assert_eq!(value(&text, &series(id(8).to_string())), Some("1"), "the place is used again");
}

#[test]
fn callback_that_is_made_again_while_the_old_one_is_held_keeps_its_series() {
    let metrics = metrics(10);
    let old = metrics.callback(id(1));
    let under_way = old.attempt_begins();
    let new = metrics.callback(id(1));
    new.attempted(&attempt(Outcome::Success { status: 200 }));
    let in_flight = of_callback("ringback_deliveries_in_flight", id(1), "");
    assert_eq!(value(&metrics.to_text(), &in_flight), Some("1"));
    drop((under_way, old));
    assert_eq!(value(&metrics.to_text(), &in_flight), Some("0"));
    drop(new);
    assert_eq!(value(&metrics.to_text(), &in_flight), None);
}

#[test]
fn what_a_console_cancels_is_there_until_the_callback_is_deleted() {
    let metrics = Metrics::default();
    metrics.deliveries_cancelled(Some(id(1)), 3);
    metrics.deliveries_cancelled(None, 2);
    let series = |callback: String| {
        format!("ringback_deliveries_total{{callback=\"{callback}\",status=\"cancelled\"}}")
    };
    let text = metrics.to_text();
    assert_eq!(value(&text, &series(id(1).to_string())), Some("3"));
    assert_eq!(value(&text, &series("other".to_owned())), Some("2"));
    assert!(!text.contains("ringback_attempts_total"), "it has no worker");
    metrics.callback_deleted(id(1));
    assert_eq!(value(&metrics.to_text(), &series(id(1).to_string())), None);
}

#[test]
fn what_could_not_be_asked_says_nothing() {
    let metrics = Metrics::default();
    metrics.queue(Queue::Fresh, Some(5));
    metrics.oldest_on_the_queue(Some(Duration::from_secs(3)));
    metrics.history(Some(Duration::from_secs(9)), Some(vec![(WaitReason::Retry, 4)]));
    let text = metrics.to_text();
    assert_eq!(value(&text, "ringback_queue_messages{queue=\"fresh\"}"), Some("5"));
    assert_eq!(value(&text, "ringback_oldest_pending_seconds"), Some("9"), "the longest of both");
    assert_eq!(value(&text, "ringback_deliveries_overdue{reason=\"retry\"}"), Some("4"));
    metrics.queue(Queue::Fresh, None);
    metrics.history(None, None);
    let text = metrics.to_text();
    assert!(!text.contains("ringback_queue_messages"));
    assert!(!text.contains("ringback_deliveries_overdue"));
    assert_eq!(value(&text, "ringback_oldest_pending_seconds"), Some("3"));
    metrics.oldest_on_the_queue(None);
    assert!(!metrics.to_text().contains("ringback_oldest_pending_seconds"));
}

#[test]
fn all_that_is_defined_is_told_and_nothing_else() {
    let metrics = metrics(10);
    metrics.intake().events_rejected(Source::Amqp, Rejection::TooLarge, 1);
    drop(metrics.callback(id(1)).attempt_begins());
    let callback = metrics.callback(id(1));
    callback.delivered_after(Duration::from_secs(1));
    metrics.dependency(Dependency::Store, false);
    metrics.queue(Queue::Poison, Some(1));
    metrics.history(None, Some(vec![(WaitReason::Retry, 0)]));
    let text = metrics.to_text();
    assert_eq!(value(&text, "ringback_dispatches_held"), Some("7"));
    assert_eq!(value(&text, "ringback_dependency_up{dependency=\"store\"}"), Some("0"));
    let rejected = "ringback_events_rejected_total{source=\"amqp\",reason=\"too_large\"}";
    assert_eq!(value(&text, rejected), Some("1"));
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ringback_"));
    let mut told: Vec<_> = told.map(|rest| format!("ringback_{rest}")).collect();
    let defined = definitions::ALL.iter();
    let mut defined: Vec<_> = defined
        .map(|definition| format!("{} {}", definition.name, definition.kind.as_str()))
        .collect();
    told.sort();
    defined.sort();
    assert_eq!(told, defined);
    assert!(text.contains("process_resident_memory_bytes"));
}
