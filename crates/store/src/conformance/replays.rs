//! Cancelled on request, and delivered again.

use std::num::NonZeroU32;
use std::time::Duration;

use ringback_core::delivery::{CancelReason, Delivery, DeliveryState};
use ringback_core::retry::AttemptNumber;
use ringback_core::{DeliveryId, ReplayId};

use super::samples::{
    account, at, attempt, callback, delivery, delivery_record, event, event_record, pending,
    response,
};
use super::{Harness, attempts_of};
use crate::{Cursor, DeliveryKey, Replay, ReplayFilter, ReplayStatus, StatusFilter, Store};

const REQUESTED: DeliveryState = DeliveryState::Cancelled(CancelReason::Requested);

fn key(delivery: &Delivery) -> DeliveryKey {
    DeliveryKey { id: delivery.id, created_at: delivery.created_at }
}

async fn standing(store: &dyn Store, delivery: &Delivery) -> Delivery {
    store.delivery(delivery.id).await.expect("read").expect("it is there")
}

/// The one that is named, once, and none that is settled or not known.
pub async fn pending_delivery_is_cancelled_and_a_settled_one_is_not(harness: &mut impl Harness) {
    let store = harness.store();
    let reason = CancelReason::Requested;
    let states = [pending(), DeliveryState::Delivered, DeliveryState::Exhausted, pending()];
    for (state, number) in states.into_iter().zip(1..) {
        let delivery = delivery(&event(number, "acme", "A"), &callback(1), state, 1);
        let cancel =
            async || store.cancel_delivery(key(&delivery), reason, at(999)).await.expect("written");
        assert!(!cancel().await, "it is not known");
        store.record(vec![delivery_record(&delivery, None)]).await.expect("recorded");
        assert_eq!(cancel().await, !state.is_settled());
        let expected = if state.is_settled() {
            delivery.clone()
        } else {
            Delivery { state: REQUESTED, updated_at: at(999), ..delivery.clone() }
        };
        assert_eq!(standing(&*store, &delivery).await, expected);
        assert!(!cancel().await, "it is settled");
    }
}

/// What was on its way ends as it ends: a failure counts as an attempt and brings nothing back, a success is one. A retry
/// by hand that was asked for since goes on, one that was asked for before does not.
pub async fn attempt_under_way_does_not_bring_back_what_was_cancelled_on_request(
    harness: &mut impl Harness,
) {
    let store = harness.store();
    let number = |n| AttemptNumber::new(n).expect("attempts begin at 1");
    // After one attempt it was cancelled. What is recorded then: state, attempts, where the series began; and whether the
    // delivery stays cancelled.
    let cases = [
        (pending(), 1, 1, true),
        (pending(), 2, 1, true),
        (pending(), 2, 2, true),
        (pending(), 3, 3, false),
        (DeliveryState::Delivered, 2, 1, false),
        (DeliveryState::Exhausted, 2, 1, false),
    ];
    for ((state, attempts, series_start, stays), event_number) in cases.into_iter().zip(1..) {
        let event = event(event_number, "acme", "A");
        let before = delivery(&event, &callback(1), pending(), 1);
        store.record(vec![delivery_record(&before, None)]).await.expect("recorded");
        let reason = CancelReason::Requested;
        assert!(store.cancel_delivery(key(&before), reason, at(999)).await.expect("written"));
        let series_start = number(series_start);
        let after = Delivery { state, attempts, series_start, updated_at: at(1_000), ..before };
        let made = attempt(&after, attempts, super::samples::success(), Some(response(500, b"")));
        let again = delivery_record(&after, Some(made));
        for _ in 0..2 {
            store.record(vec![again.clone()]).await.expect("recorded");
            let read = standing(&*store, &after).await;
            let state = if stays { REQUESTED } else { state };
            assert_eq!((read.state, read.attempts), (state, attempts), "{after:?}");
        }
        assert_eq!(attempts_of(&*store, after.id).await.len(), 1, "it is there all the same");
    }
}

/// Of one account's event, to whomever it goes; not those of another account's event of the same id.
pub async fn pending_deliveries_of_one_event_are_cancelled_and_no_others(
    harness: &mut impl Harness,
) {
    let store = harness.store();
    let one = event(1, "acme", "A");
    let mut namesake = one.clone();
    namesake.account = account("other");
    let other = event(2, "acme", "A");
    let mine = [1, 2, 3].map(|to| delivery(&one, &callback(to), pending(), 1));
    let delivered = delivery(&one, &callback(4), DeliveryState::Delivered, 1);
    let others = [&namesake, &other].map(|event| delivery(event, &callback(1), pending(), 1));
    let all = mine.iter().chain([&delivered]).chain(&others);
    let records = all.map(|delivery| delivery_record(delivery, None)).collect();
    store.record(records).await.expect("recorded");
    let cancel = async || {
        let reason = CancelReason::Requested;
        store.cancel_event(&one, reason, at(999), 2).await.expect("written")
    };
    let cancelled = [cancel().await, cancel().await, cancel().await];
    assert_eq!(cancelled.each_ref().map(Vec::len), [2, 1, 0]);
    let mut whose = cancelled.concat();
    whose.sort();
    assert_eq!(whose, mine.each_ref().map(|delivery| delivery.callback));
    for delivery in &mine {
        assert_eq!(standing(&*store, delivery).await.state, REQUESTED);
    }
    for delivery in others.iter().chain([&delivered]) {
        assert_eq!(&standing(&*store, delivery).await, delivery);
    }
}

/// Each event for itself, and no number twice.
pub async fn replays_of_an_event_are_counted_one_by_one(harness: &mut impl Harness) {
    let store = harness.store();
    let (one, other) = (event(1, "acme", "A"), event(2, "acme", "A"));
    assert_eq!(store.count_replay(&one).await.expect("written"), None, "it is not there");
    store.record(vec![event_record(&one), event_record(&other)]).await.expect("recorded");
    let counted = futures_util::future::join_all((0..8).map(|_| store.count_replay(&one))).await;
    let mut numbers: Vec<_> =
        counted.into_iter().map(|number| number.expect("written").expect("it is there")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    // An event that is recorded again is the same one.
    store.record(vec![event_record(&one)]).await.expect("recorded");
    assert_eq!(store.count_replay(&one).await.expect("written"), Some(9));
    assert_eq!(store.count_replay(&other).await.expect("written"), Some(1));
}

/// The bulk replay numbered `number`, asked for so many milliseconds after the beginning of time here.
fn replay(number: u16) -> Replay {
    let created_at = at(number.into());
    Replay {
        id: ReplayId::from_parts(created_at, [7; 10]),
        account: None,
        filter: ReplayFilter {
            callback: None,
            account: None,
            event_name: None,
            status: StatusFilter::Exhausted,
            since: None,
            until: None,
        },
        per_second: NonZeroU32::MIN,
        status: ReplayStatus::Running,
        cursor: None,
        total: None,
        replayed: 0,
        skipped: 0,
        error: None,
        created_at,
        updated_at: created_at,
        finished_at: None,
    }
}

/// A bulk replay, for an adapter's own tests.
#[must_use]
pub fn sample_replay() -> Replay {
    replay(1)
}

/// With all there is, and with as little as there can be; also what is written as it goes on.
pub async fn bulk_replay_comes_back_with_every_field(harness: &mut impl Harness) {
    let store = harness.store();
    let least = replay(1);
    let mut most = Replay {
        account: Some(account("acme")),
        filter: ReplayFilter {
            callback: Some(callback(1).id),
            account: Some(account("acme")),
            event_name: Some("COMMENT_CREATED".parse().expect("a name")),
            status: StatusFilter::Cancelled,
            since: Some(at(1)),
            until: Some(at(2)),
        },
        per_second: NonZeroU32::new(10_000).expect("not zero"),
        ..replay(2)
    };
    for replay in [&least, &most] {
        store.create_replay(replay).await.expect("written");
        assert_eq!(store.replay(replay.id).await.expect("read").as_ref(), Some(replay));
    }
    assert_eq!(store.replay(replay(3).id).await.expect("read"), None);

    for _ in 0..2 {
        assert!(store.take_replay("me", at(10), at(20)).await.expect("written").is_some());
    }
    most.cursor = Some(Cursor { at: at(1), id: "x".to_owned() });
    (most.total, most.replayed, most.skipped) = (Some(9), 5, 4);
    (most.status, most.error) = (ReplayStatus::Failed, Some("no more".to_owned()));
    (most.updated_at, most.finished_at) = (at(15), Some(at(15)));
    assert!(store.keep_replay(&most, "me", at(30)).await.expect("written"));
    assert_eq!(store.replay(most.id).await.expect("read"), Some(most));
    assert_eq!(store.replay(least.id).await.expect("read"), Some(least));
}

/// An account sees what its own keys asked for.
pub async fn bulk_replays_are_listed_newest_first_and_by_account(harness: &mut impl Harness) {
    let store = harness.store();
    let of = |number| (number % 2 == 0).then(|| account("acme"));
    for number in [2, 4, 1, 3] {
        let replay = Replay { account: of(number), ..replay(number) };
        store.create_replay(&replay).await.expect("written");
    }
    let all = [4, 3, 2, 1].map(|number| replay(number).id);
    let acme = account("acme");
    for (account, expected) in [(None, &all[..]), (Some(&acme), &[all[0], all[2]][..])] {
        let first = store.replays(account, 2, None).await.expect("read");
        let mut found: Vec<_> = first.items.iter().map(|replay| replay.id).collect();
        if let Some(next) = &first.next {
            let rest = store.replays(account, 10, Some(next)).await.expect("read");
            found.extend(rest.items.iter().map(|replay| replay.id));
            assert_eq!(rest.next, None);
        }
        assert_eq!(found, expected);
    }
}

/// Others get it once the time is over or it is handed back, and the one before can write no more then.
pub async fn bulk_replay_is_one_owners_until_its_time_is_over(harness: &mut impl Harness) {
    let store = harness.store();
    let take = async |owner: &str, now, until| {
        store.take_replay(owner, at(now), at(until)).await.expect("written")
    };
    assert_eq!(take("one", 10, 20).await, None);
    let job = replay(1);
    store.create_replay(&job).await.expect("written");
    assert_eq!(take("one", 10, 20).await, Some(job.clone()));
    assert_eq!(take("two", 20, 30).await, None, "it is one's");
    let moved = Replay { replayed: 5, updated_at: at(15), ..job.clone() };
    assert!(store.keep_replay(&moved, "one", at(40)).await.expect("written"));
    assert_eq!(take("two", 40, 50).await, None, "it is one's for longer");
    assert_eq!(take("two", 41, 50).await, Some(moved.clone()), "it goes on where it was");
    assert!(!store.keep_replay(&job, "one", at(90)).await.expect("written"), "it is two's");
    assert_eq!(store.replay(job.id).await.expect("read"), Some(moved.clone()));

    store.release_replays("one").await.expect("written");
    assert_eq!(take("one", 45, 60).await, None);
    store.release_replays("two").await.expect("written");
    assert_eq!(take("one", 45, 60).await, Some(moved));
    let many = futures_util::future::join_all(
        ["three", "four", "five"].map(|owner| store.take_replay(owner, at(61), at(70))),
    );
    let taken = many.await.into_iter().filter(|it| it.as_ref().expect("written").is_some());
    assert_eq!(taken.count(), 1);
}

/// Whatever its end was: nobody takes it, writes it or ends it any more.
pub async fn bulk_replay_that_ended_is_nobodys(harness: &mut impl Harness) {
    let store = harness.store();
    let job = replay(1);
    store.create_replay(&job).await.expect("written");
    assert!(store.take_replay("one", at(10), at(20)).await.expect("written").is_some());
    assert!(store.cancel_replay(job.id, at(12)).await.expect("written"));
    assert!(!store.cancel_replay(job.id, at(13)).await.expect("written"));
    assert!(!store.keep_replay(&job, "one", at(90)).await.expect("written"));
    let (status, updated_at) = (ReplayStatus::Cancelled, at(12));
    let ended = Replay { status, updated_at, finished_at: Some(at(12)), ..job.clone() };
    assert_eq!(store.replay(job.id).await.expect("read"), Some(ended));

    let other = replay(2);
    store.create_replay(&other).await.expect("written");
    assert!(store.take_replay("one", at(10), at(20)).await.expect("written").is_some());
    let finished = Some(at(15));
    let ended = Replay { status: ReplayStatus::Finished, finished_at: finished, ..other.clone() };
    assert!(store.keep_replay(&ended, "one", at(20)).await.expect("written"));
    assert!(!store.cancel_replay(other.id, at(16)).await.expect("written"));
    assert_eq!(store.take_replay("two", at(99), at(100)).await.expect("written"), None);
    assert!(!store.cancel_replay(replay(3).id, at(16)).await.expect("written"), "not known");
}

/// They go with the history of their time; those that are not over stay however old they are.
pub async fn retention_deletes_bulk_replays_that_ended(harness: &mut impl Harness) {
    let store = harness.store();
    let [old, new, open] = [1, 2, 3].map(replay);
    for (job, ended_at) in [(&old, Some(12)), (&new, Some(20)), (&open, None)] {
        store.create_replay(job).await.expect("written");
        if let Some(ended_at) = ended_at {
            assert!(store.cancel_replay(job.id, at(ended_at)).await.expect("written"));
        }
    }
    while store.delete_history(at(20), 100).await.expect("deleted") > 0 {}
    let left = store.replays(None, 10, None).await.expect("read").items;
    let left: Vec<_> = left.into_iter().map(|replay| replay.id).collect();
    assert_eq!(left, [open.id, new.id]);
}

/// By each field of the filter, in pages after the cursor, each with its event.
pub async fn replayable_deliveries_are_those_of_the_filter_oldest_first(
    harness: &mut impl Harness,
) {
    let store = harness.store();
    let states = [DeliveryState::Exhausted, DeliveryState::Delivered, REQUESTED, pending()];
    let mut deliveries = Vec::new();
    for number in (0..64_u32).rev() {
        let name = ["COMMENT_CREATED", "COMMENT_DELETED"][number as usize / 4 % 2];
        let mut event = event(number, ["acme", "other"][number as usize / 8 % 2], name);
        // Four in each millisecond.
        event.accepted_at = at(i64::from(number / 4));
        let to = callback(if number / 16 % 2 == 0 { 1 } else { 2 });
        let delivery = delivery(&event, &to, states[number as usize % 4], 0);
        let records = vec![event_record(&event), delivery_record(&delivery, None)];
        store.record(records).await.expect("recorded");
        deliveries.push((delivery, event));
    }
    deliveries.sort_by_key(|(delivery, _)| (delivery.created_at, delivery.id.to_string()));
    for chosen in 0..32_u32 {
        for status in [StatusFilter::Exhausted, StatusFilter::Delivered, StatusFilter::Cancelled] {
            let is = |bit: u32| chosen & (1 << bit) != 0;
            let filter = ReplayFilter {
                callback: is(0).then(|| callback(1).id),
                account: is(1).then(|| account("acme")),
                event_name: is(2).then(|| "COMMENT_CREATED".parse().expect("a name")),
                status,
                since: is(3).then(|| at(3)),
                until: is(4).then(|| at(12)),
            };
            let matches = |(delivery, event): &&(Delivery, ringback_core::Event)| {
                filter.callback.is_none_or(|callback| callback == delivery.callback)
                    && filter.account.as_ref().is_none_or(|account| *account == event.account)
                    && filter.event_name.as_ref().is_none_or(|name| *name == event.name)
                    && delivery.state.status() == status.as_str()
                    && filter.since.is_none_or(|since| delivery.created_at >= since)
                    && filter.until.is_none_or(|until| delivery.created_at < until)
            };
            let expected: Vec<_> = deliveries.iter().filter(matches).collect();
            let mut job = Replay { filter: filter.clone(), ..replay(1_000) };
            let total = store.count_replayable(&job, 1_000).await.expect("read");
            assert_eq!(total, expected.len() as u64, "{filter:?}");
            let mut found = Vec::new();
            loop {
                let page = store.replayable(&job, 3).await.expect("read");
                let Some(last) = page.last() else { break };
                let (at, id) = (last.delivery.created_at, last.delivery.id.to_string());
                job.cursor = Some(Cursor { at, id });
                found.extend(page);
            }
            assert_eq!(found.len(), expected.len(), "{filter:?}");
            for (found, (delivery, event)) in found.iter().zip(&expected) {
                assert_eq!(&found.delivery, delivery);
                assert_eq!(format!("{:?}", found.event.as_deref()), format!("{:?}", Some(event)));
            }
        }
    }
    let job = replay(1_000);
    assert_eq!(store.count_replayable(&job, 5).await.expect("read"), 5, "counting has an end");
}

/// So it comes to an end, and what it has put on the queue itself does not come back to it.
pub async fn what_changed_since_a_bulk_replay_began_is_none_of_its_own(harness: &mut impl Harness) {
    let store = harness.store();
    let job = replay(100);
    for (number, updated_at, is_its_own) in
        [(1, at(50), true), (2, at(100), true), (3, at(101), false), (100, at(100), false)]
    {
        let event = event(number, "acme", "A");
        let delivery =
            Delivery { updated_at, ..delivery(&event, &callback(1), DeliveryState::Exhausted, 1) };
        let before = store.count_replayable(&job, 100).await.expect("read");
        store.record(vec![delivery_record(&delivery, None)]).await.expect("recorded");
        let after = store.count_replayable(&job, 100).await.expect("read");
        assert_eq!(after - before, u64::from(is_its_own), "{number}");
    }
    assert_eq!(store.replayable(&job, 100).await.expect("read").len(), 2);
}

/// It is there to be counted as skipped. Another account's event of the same id is not its event.
pub async fn replayable_delivery_without_its_event_says_so(harness: &mut impl Harness) {
    let store = harness.store();
    let gone = event(1, "acme", "A");
    let mut namesake = gone.clone();
    namesake.account = account("other");
    let delivery = delivery(&gone, &callback(1), DeliveryState::Exhausted, 1);
    let records = vec![event_record(&namesake), delivery_record(&delivery, None)];
    store.record(records).await.expect("recorded");
    let job = replay(1_000);
    let found = store.replayable(&job, 10).await.expect("read");
    let found: Vec<(DeliveryId, bool)> =
        found.iter().map(|it| (it.delivery.id, it.event.is_some())).collect();
    assert_eq!(found, [(delivery.id, false)]);
    assert!(job.created_at > delivery.created_at + Duration::from_millis(1));
}
