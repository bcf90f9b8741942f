//! Lists of the history: filters and pages, checked against the same done by hand.

use std::collections::HashSet;

use ringback_core::delivery::{CancelReason, Delivery, DeliveryState};
use ringback_core::{DeliveryId, Event, EventId};

use super::Harness;
use super::samples::{
    account, at, callback, delivery, delivery_record, event, event_record, pending,
};
use crate::{Cursor, DeliveryQuery, EventQuery, Page, StatusFilter};

const EVENTS: u32 = 60;

/// Events of three accounts and two names, four of them in each millisecond.
fn some_events() -> Vec<Event> {
    (0..EVENTS)
        .map(|number| {
            let of = ["acme", "other", "third"][number as usize % 3];
            let name = ["COMMENT_CREATED", "COMMENT_DELETED"][number as usize % 2];
            let mut event = event(number, of, name);
            event.accepted_at = at(i64::from(number / 4));
            event
        })
        .collect()
}

/// A delivery of each event to each of two callbacks, in all states.
fn some_deliveries(events: &[Event]) -> Vec<Delivery> {
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    let states = [pending(), DeliveryState::Delivered, DeliveryState::Exhausted, cancelled];
    let to_both = |(index, event): (usize, &Event)| {
        [1, 2].map(|to| delivery(event, &callback(to), states[(index + usize::from(to)) % 4], 1))
    };
    events.iter().enumerate().flat_map(to_both).collect()
}

/// Each filter alone, every pair of them, and all: what comes is what matches, newest first, whatever the page's size.
pub async fn events_are_filtered_by_each_field_and_all_together(harness: &mut impl Harness) {
    let store = harness.store();
    let mut events = some_events();
    store.record(events.iter().map(event_record).collect()).await.expect("recorded");
    events.sort_by_key(|event| std::cmp::Reverse((event.accepted_at, event.id.to_string())));
    for chosen in 0..16_u32 {
        let is = |bit: u32| chosen & (1 << bit) != 0;
        let query = EventQuery {
            account: is(0).then(|| account("acme")),
            name: is(1).then(|| "COMMENT_CREATED".parse().expect("a name")),
            since: is(2).then(|| at(3)),
            until: is(3).then(|| at(12)),
        };
        let matches = |event: &&Event| {
            query.account.as_ref().is_none_or(|account| *account == event.account)
                && query.name.as_ref().is_none_or(|name| *name == event.name)
                && query.since.is_none_or(|since| event.accepted_at >= since)
                && query.until.is_none_or(|until| event.accepted_at < until)
        };
        let expected: Vec<EventId> = events.iter().filter(matches).map(|event| event.id).collect();
        assert!(!expected.is_empty());
        for limit in [1, 7, expected.len(), 1_000] {
            let ids = every_page(async |after| {
                let page = store.events(&query, limit, after.as_ref()).await.expect("read");
                (page.items.iter().map(|event| event.id).collect(), page.next)
            });
            assert_eq!(ids.await, expected, "{query:?}, {limit} a page");
        }
    }
}

/// Each filter alone, every combination of them, and all.
pub async fn deliveries_are_filtered_by_each_field_and_all_together(harness: &mut impl Harness) {
    let store = harness.store();
    let events = some_events();
    let mut deliveries = some_deliveries(&events);
    let records = deliveries.iter().map(|delivery| delivery_record(delivery, None));
    store.record(records.collect()).await.expect("recorded");
    deliveries
        .sort_by_key(|delivery| std::cmp::Reverse((delivery.created_at, delivery.id.to_string())));
    let statuses = [
        None,
        Some(StatusFilter::Pending),
        Some(StatusFilter::Delivered),
        Some(StatusFilter::Exhausted),
        Some(StatusFilter::Cancelled),
    ];
    for chosen in 0..32_u32 {
        let is = |bit: u32| chosen & (1 << bit) != 0;
        for status in statuses {
            let query = DeliveryQuery {
                account: is(0).then(|| account("acme")),
                callback: is(1).then(|| callback(2).id),
                event: is(2).then(|| events[24].id),
                status,
                since: is(3).then(|| at(3)),
                until: is(4).then(|| at(12)),
            };
            let matching = deliveries.iter().filter(|delivery| matches(&query, delivery));
            let expected: Vec<DeliveryId> = matching.map(|delivery| delivery.id).collect();
            let ids = every_page(async |after| {
                let page = store.deliveries(&query, 5, after.as_ref()).await.expect("read");
                (page.items.iter().map(|delivery| delivery.id).collect(), page.next)
            });
            assert_eq!(ids.await, expected, "{query:?}");
        }
    }
}

fn matches(query: &DeliveryQuery, delivery: &Delivery) -> bool {
    query.account.as_ref().is_none_or(|account| *account == delivery.account)
        && query.callback.is_none_or(|callback| callback == delivery.callback)
        && query.event.is_none_or(|event| event == delivery.event)
        && query.status.is_none_or(|status| status.as_str() == delivery.state.status())
        && query.since.is_none_or(|since| delivery.created_at >= since)
        && query.until.is_none_or(|until| delivery.created_at < until)
}

async fn every_page<Id>(
    read: impl AsyncFn(Option<Cursor>) -> (Vec<Id>, Option<Cursor>),
) -> Vec<Id> {
    let (mut ids, mut next) = read(None).await;
    while next.is_some() {
        // A cursor is text between two requests.
        let cursor = next.map(|cursor| cursor.to_string().parse().expect("a cursor given out"));
        let (more, after) = read(cursor).await;
        assert!(!more.is_empty(), "a page that was announced is not empty");
        ids.extend(more);
        next = after;
    }
    ids
}

/// What is added while somebody pages is newer than where he is: he sees each item once, and misses none.
pub async fn pages_stay_right_while_items_are_added(harness: &mut impl Harness) {
    let store = harness.store();
    let query = DeliveryQuery::default();
    let mut deliveries = some_deliveries(&some_events());
    let added = deliveries.split_off(60);
    let records =
        |of: &[Delivery]| of.iter().map(|delivery| delivery_record(delivery, None)).collect();
    store.record(records(&deliveries)).await.expect("recorded");
    let mut seen = HashSet::new();
    let mut page: Page<Delivery> = store.deliveries(&query, 7, None).await.expect("read");
    for more in added.chunks(7) {
        seen.extend(page.items.iter().map(|delivery| delivery.id));
        store.record(records(more)).await.expect("recorded");
        let Some(cursor) = &page.next else { break };
        let next = store.deliveries(&query, 7, Some(cursor)).await.expect("read");
        let twice = next.items.iter().any(|delivery| seen.contains(&delivery.id));
        assert!(!twice, "an item came twice");
        page = next;
    }
    seen.extend(page.items.iter().map(|delivery| delivery.id));
    assert!(deliveries.iter().all(|delivery| seen.contains(&delivery.id)), "an item was missed");
}
