//! What the console looks for: events by their variables, numbers of deliveries, what comes next.

use std::time::Duration;

use ringback_core::delivery::{CancelReason, DeliveryState, WaitReason};
use ringback_core::{Event, EventId, Outcome};

use super::Harness;
use super::samples::{
    account, at, attempt, callback, delivery, delivery_record, event, event_record, pending,
};
use crate::{
    Cursor, DeliveryQuery, EventSearch, LOOKED_AHEAD, LOOKED_MAX, StatusFilter, Store, VariableIs,
};

fn with(number: u32, variables: &str) -> Event {
    let event = event(number, "acme", "COMMENT_CREATED");
    Event { variables: serde_json::from_str(variables).expect("an object"), ..event }
}

fn is(name: &str, value: &str) -> EventSearch {
    let variable = VariableIs { name: name.to_owned(), value: value.to_owned() };
    EventSearch { variable: Some(variable), ..EventSearch::default() }
}

async fn found(store: &dyn Store, search: &EventSearch) -> Vec<EventId> {
    let found = store.search_events(search, 100, None).await.expect("read");
    assert!(found.next.is_none() && found.looked_back_to.is_none(), "{found:?}");
    found.events.iter().map(|event| event.id).collect()
}

/// A value is compared with the JSON text, or with the text that a string holds, however it is written there; never with a
/// part of it, nor with another variable.
pub async fn event_is_found_by_what_a_variable_holds(harness: &mut impl Harness) {
    let events = [
        with(1, r#"{"ID":178,"TEXT":"caf\u00e9","LAST":"178"}"#),
        with(2, r#"{"ID":1784,"TEXT":"café","N":1.10}"#),
        with(3, r#"{"OTHER":178,"TEXT":"say \"hi\" 100%_\\","PÄGE \"1\"":"x'; --"}"#),
        with(4, r#"{"ID":"178","TEXT":null,"O":{"a" : [1]},"T":true}"#),
        with(5, r#"{"LAST":178}"#),
        with(6, r#"{"IN":{"ID":178},"TEXT":"a\/b\nc"}"#),
    ];
    let store = harness.store();
    store.record(events.iter().map(event_record).collect()).await.expect("recorded");
    let searches: [(&str, &str, &[usize]); 16] = [
        ("ID", "178", &[4, 1]),
        ("ID", "\"178\"", &[4]),
        ("ID", "17", &[]),
        ("ID", "178,\"TEXT\":\"x\"", &[]),
        ("LAST", "178", &[5, 1]),
        ("TEXT", "café", &[2, 1]),
        ("TEXT", "say \"hi\" 100%_\\", &[3]),
        ("TEXT", "SAY \"HI\" 100%_\\", &[]),
        ("TEXT", "a/b\nc", &[6]),
        ("TEXT", "null", &[4]),
        ("TEXT", "a\0b", &[]),
        ("PÄGE \"1\"", "x'; --", &[3]),
        ("N", "1.10", &[2]),
        ("N", "1.1", &[]),
        ("O", r#"{"a" : [1]}"#, &[4]),
        ("T", "true", &[4]),
    ];
    for (name, value, expected) in searches {
        let expected: Vec<_> = expected.iter().map(|number| events[number - 1].id).collect();
        assert_eq!(found(&*store, &is(name, value)).await, expected, "{name} is {value}");
    }
    let other = EventSearch { account: Some(account("other")), ..is("ID", "178") };
    assert_eq!(found(&*store, &other).await, []);
    let named = |name: &str| Some(name.parse().expect("a name"));
    let by_both = EventSearch { name: named("COMMENT_CREATED"), ..is("ID", "178") };
    assert_eq!(found(&*store, &by_both).await.len(), 2);
    for (beginning, expected) in
        [("COMMENT_", 2), ("COMMENT_CREATED", 2), ("comment_", 0), ("OMMENT", 0)]
    {
        let by_beginning = EventSearch { name_begins: named(beginning), ..is("ID", "178") };
        assert_eq!(found(&*store, &by_beginning).await.len(), expected, "{beginning}");
    }
    let by_another = EventSearch { name: named("COMMENT_DELETED"), ..is("ID", "178") };
    assert_eq!(found(&*store, &by_another).await, []);
    let span = EventSearch { since: Some(at(2)), until: Some(at(5)), ..is("ID", "178") };
    assert_eq!(found(&*store, &span).await, [events[3].id]);
}

/// Page by page nothing comes twice and nothing is left out, wherever what does not match stands in between.
pub async fn search_goes_on_page_by_page(harness: &mut impl Harness) {
    let events: Vec<_> = (0..1_300_u32)
        .map(|number| {
            // Every hundredth is one; a quarter may be one until it is looked at.
            let value = match number % 100 {
                7 => "\"yes\"",
                other if other % 4 == 0 => r#""no \\ \"yes\"""#,
                _ => "\"no\"",
            };
            let mut event = with(number, &format!(r#"{{"IS":{value}}}"#));
            event.accepted_at = at(i64::from(number / 3));
            event
        })
        .collect();
    let store = harness.store();
    store.record(events.iter().map(event_record).collect()).await.expect("recorded");
    let mut expected: Vec<_> = events
        .iter()
        .filter(|event| event.variables.to_json().contains(":\"yes\""))
        .map(|event| event.id)
        .collect();
    assert_eq!(expected.len(), 13);
    expected.sort_unstable();
    for limit in [1, 4, 13, 50] {
        let (mut ids, mut after) = (Vec::new(), None::<Cursor>);
        loop {
            let found = store.search_events(&is("IS", "yes"), limit, after.as_ref()).await;
            let found = found.expect("read");
            assert!(found.events.len() <= limit);
            ids.extend(found.events.iter().map(|event| event.id));
            after = found.next.map(|next| next.to_string().parse().expect("a cursor given out"));
            if after.is_none() {
                break;
            }
        }
        ids.sort_unstable();
        assert_eq!(ids, expected, "{limit} a page");
    }
}

/// It looks at so many events and no more, says how far it came, and goes on from there.
pub async fn search_looks_at_so_many_events_at_once(harness: &mut impl Harness) {
    let store = harness.store();
    let looked_max = i64::from(LOOKED_MAX);
    let old = with(1, r#"{"ID":178}"#);
    store.record(vec![event_record(&old)]).await.expect("recorded");
    let numbers: Vec<u32> = (2..LOOKED_MAX + 102).collect();
    for numbers in numbers.chunks(2_000) {
        let records = numbers.iter().map(|number| event_record(&with(*number, r#"{"ID":1}"#)));
        store.record(records.collect()).await.expect("recorded");
    }
    let first = store.search_events(&is("ID", "178"), 10, None).await.expect("read");
    assert!(first.events.is_empty());
    assert_eq!(first.looked_back_to, Some(at(102)), "{looked_max} events from the newest");
    let next = first.next.expect("there are more");
    let second = store.search_events(&is("ID", "178"), 10, Some(&next)).await.expect("read");
    assert_eq!(second.events.iter().map(|event| event.id).collect::<Vec<_>>(), [old.id]);
    assert!(second.next.is_none() && second.looked_back_to.is_none());
    // A full page comes at once, and what needs no search is a list like any other.
    let named = EventSearch { name: Some(old.name.clone()), ..EventSearch::default() };
    let page = store.search_events(&named, 10, None).await.expect("read");
    assert_eq!((page.events.len(), page.looked_back_to), (10, None));
    let next = Cursor { at: at(101), id: "x".to_owned() };
    let page = store.search_events(&EventSearch::default(), 200, Some(&next)).await.expect("read");
    assert_eq!((page.events.len(), page.next), (100, None));
}

/// All that match, up to a number.
pub async fn deliveries_are_counted_up_to_a_limit(harness: &mut impl Harness) {
    let store = harness.store();
    let states = [pending(), DeliveryState::Exhausted, DeliveryState::Delivered];
    let records = (0..30_u32).map(|number| {
        let event = event(number, ["acme", "other"][number as usize % 2], "COMMENT_CREATED");
        delivery_record(&delivery(&event, &callback(1), states[number as usize % 3], 0), None)
    });
    store.record(records.collect()).await.expect("recorded");
    let all = DeliveryQuery::default();
    assert_eq!(store.count_deliveries(&all, 100).await.expect("counted"), 30);
    assert_eq!(store.count_deliveries(&all, 7).await.expect("counted"), 7);
    let query = DeliveryQuery {
        account: Some(account("acme")),
        callback: Some(callback(1).id),
        status: Some(StatusFilter::Exhausted),
        since: Some(at(5)),
        until: Some(at(28)),
        ..DeliveryQuery::default()
    };
    // 10, 16, 22.
    assert_eq!(store.count_deliveries(&query, 100).await.expect("counted"), 3);
    let none = DeliveryQuery { callback: Some(callback(2).id), ..all };
    assert_eq!(store.count_deliveries(&none, 100).await.expect("counted"), 0);
}

/// The oldest that is pending, of all or of one account; none: nothing is.
pub async fn oldest_pending_delivery_says_since_when(harness: &mut impl Harness) {
    let store = harness.store();
    let of = |number, name: &str, state| {
        delivery_record(
            &delivery(&event(number, name, "COMMENT_CREATED"), &callback(1), state, 0),
            None,
        )
    };
    let cancelled = DeliveryState::Cancelled(CancelReason::Requested);
    let settled = [of(1, "acme", DeliveryState::Exhausted), of(2, "acme", cancelled)];
    store.record(settled.into()).await.expect("recorded");
    assert_eq!(store.oldest_pending(None).await.expect("read"), None);
    let pending = [of(5, "acme", pending()), of(4, "other", pending()), of(6, "acme", pending())];
    store.record(pending.into()).await.expect("recorded");
    assert_eq!(store.oldest_pending(None).await.expect("read"), Some(at(4)));
    assert_eq!(store.oldest_pending(Some(&account("acme"))).await.expect("read"), Some(at(5)));
    assert_eq!(store.oldest_pending(Some(&account("third"))).await.expect("read"), None);
}

/// One callback's, next attempt first.
pub async fn what_is_ahead_comes_by_its_next_attempt(harness: &mut impl Harness) {
    let store = harness.store();
    let due = [(1, 50), (2, 10), (3, 30), (4, 20)];
    let mut records: Vec<_> = due
        .iter()
        .map(|(number, at_ms)| {
            let state = DeliveryState::Pending { next_attempt_at: at(*at_ms), waits: None };
            let event = event(*number, "acme", "COMMENT_CREATED");
            delivery_record(&delivery(&event, &callback(1), state, 0), None)
        })
        .collect();
    let others = event(5, "acme", "COMMENT_CREATED");
    records.push(delivery_record(&delivery(&others, &callback(2), pending(), 0), None));
    let over = DeliveryState::Delivered;
    records.push(delivery_record(&delivery(&others, &callback(1), over, 1), None));
    store.record(records).await.expect("recorded");
    let ahead = |limit| store.ahead(callback(1).id, limit);
    let numbers = |ahead: Vec<ringback_core::delivery::Delivery>| {
        ahead.iter().map(|delivery| delivery.created_at).collect::<Vec<_>>()
    };
    assert_eq!(numbers(ahead(10).await.expect("read")), [at(2), at(4), at(3), at(1)]);
    assert_eq!(numbers(ahead(2).await.expect("read")), [at(2), at(4)]);
}

/// One for each that was tried, and of all that were made the last.
pub async fn last_outcomes_are_those_of_the_last_attempts(harness: &mut impl Harness) {
    let store = harness.store();
    // Each on a day of its own.
    let of = |number: u32, attempts| {
        let event = event(number * 100_000_000, "acme", "COMMENT_CREATED");
        delivery(&event, &callback(1), pending(), attempts)
    };
    let [tried, once, not_yet] = [of(1, 2), of(2, 1), of(3, 0)];
    let refused = Outcome::HttpError { status: 503, retry_after: Some(Duration::from_secs(7)) };
    let lost = Outcome::Connection { reason: "refused".to_owned() };
    let records = [
        delivery_record(&tried, Some(attempt(&tried, 1, lost.clone(), None))),
        delivery_record(&tried, Some(attempt(&tried, 2, refused.clone(), None))),
        delivery_record(&once, Some(attempt(&once, 1, lost.clone(), None))),
        delivery_record(&not_yet, None),
    ];
    for record in records {
        store.record(vec![record]).await.expect("recorded");
    }
    let all = [once, not_yet, tried];
    let found = store.last_outcomes(&all).await.expect("read");
    assert_eq!(found, [Some(lost), None, Some(refused)]);
    assert!(store.last_outcomes(&[]).await.expect("read").is_empty());
}

/// Those that have something among what is next that waits for it.
pub async fn circuits_are_open_where_what_is_next_waits_for_them(harness: &mut impl Harness) {
    let store = harness.store();
    let all = [1, 2, 3, 4].map(|number| callback(number).id);
    assert_eq!(store.open_circuits(&all).await.expect("read"), []);
    let waits = |number, to, at_ms, reason| {
        let state = DeliveryState::Pending { next_attempt_at: at(at_ms), waits: Some(reason) };
        let event = event(number, "acme", "COMMENT_CREATED");
        delivery_record(&delivery(&event, &callback(to), state, 0), None)
    };
    let mut records = vec![
        waits(1, 1, 10, WaitReason::Retry),
        waits(2, 1, 20, WaitReason::CircuitOpen),
        waits(3, 2, 10, WaitReason::Retry),
        waits(4, 4, 10, WaitReason::CircuitOpen),
    ];
    // Far ahead: it was open once.
    records.extend((5..5 + LOOKED_AHEAD).map(|number| waits(number, 3, 10, WaitReason::Retry)));
    records.push(waits(99, 3, 20, WaitReason::CircuitOpen));
    store.record(records).await.expect("recorded");
    let mut open = store.open_circuits(&all).await.expect("read");
    open.sort();
    assert_eq!(open, [callback(1).id, callback(4).id]);
    assert_eq!(store.open_circuits(&all[1..3]).await.expect("read"), []);
    assert_eq!(store.open_circuits(&[]).await.expect("read"), []);
}
