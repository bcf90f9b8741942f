use std::num::NonZeroU16;
use std::time::Duration;

use proptest::prelude::*;
use ringback_core::dispatch::TARGETS_MAX;
use tokio::sync::oneshot;

use super::*;
use crate::rabbitmq::publisher::ticket::Answer;

const NOW: Timestamp = Timestamp::from_ms(1_767_323_045_678);

fn names() -> Names {
    Names::new("p", NonZeroU16::MIN)
}

/// A part that somebody waits for.
fn part(text: &str) -> (Part, oneshot::Receiver<Answer>) {
    let (ticket, answered) = Ticket::new(1);
    (Part { text: text.to_owned(), deliveries: 1, ticket }, answered)
}

fn lines(message: &Outgoing) -> Vec<String> {
    let text = std::str::from_utf8(&message.body).expect("it was put together of texts");
    text.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn bundle_is_full_at_64_deliveries_or_128_kib() {
    let mut fresh = Fresh::new(&names(), Ids::new());
    let mut waiters = Vec::new();
    let mut push = |fresh: &mut Fresh, text: &str, count: usize| {
        for _ in 0..count {
            let (part, waiter) = part(text);
            fresh.push(vec![part], NOW);
            waiters.push(waiter);
        }
    };
    push(&mut fresh, "x", 70);
    let large = "y".repeat(100 * 1024);
    push(&mut fresh, &large, 3);
    let mut lens = Vec::new();
    while let Some((message, tickets)) = fresh.take(NOW) {
        assert_eq!(lines(&message).len(), tickets.len());
        assert_eq!(
            (message.exchange.as_str(), message.routing_key.as_str()),
            ("p.v1.dispatch", "0")
        );
        lens.push(tickets.len());
    }
    // Six small ones and two large ones; then it is larger than it may be, and takes no more.
    assert_eq!(lens, [64, 8, 1]);
    assert_eq!(fresh.waiting(), Waiting::Nothing);
}

#[test]
fn parts_of_a_large_fan_out_are_spread_over_messages() {
    let mut fresh = Fresh::new(&names(), Ids::new());
    let mut waiters = Vec::new();
    for _ in 0..2_000 / TARGETS_MAX {
        let (part, waiter) = part("a part");
        fresh.push(vec![Part { deliveries: TARGETS_MAX, ..part }], NOW);
        waiters.push(waiter);
    }
    let mut lens = Vec::new();
    while let Some((message, _)) = fresh.take(NOW) {
        lens.push(lines(&message).len());
    }
    assert_eq!(lens.iter().sum::<usize>(), 125);
    assert_eq!(lens.len(), 32, "64 deliveries in each, and the rest: {lens:?}");
}

#[test]
fn what_nobody_waits_for_is_left_out() {
    let mut fresh = Fresh::new(&names(), Ids::new());
    let (first, gone) = part("a");
    let (second, _waits) = part("b");
    drop(gone);
    fresh.push(vec![first, second], NOW);
    let (message, _) = fresh.take(NOW).expect("one is left");
    assert_eq!(lines(&message), ["b"]);

    let (third, gone) = part("c");
    drop(gone);
    fresh.push(vec![third], NOW);
    assert!(fresh.take(NOW).is_none());
}

#[tokio::test(start_paused = true)]
async fn delayed_ones_of_a_step_share_a_message() {
    let mut delayed = Delayed::new(&names(), Ids::new());
    assert_eq!(delayed.waiting(), Waiting::Nothing);
    let mut waiters = Vec::new();
    for (text, ms) in [("c", 2_100), ("a", 900), ("gone", 950), ("b", 1_000), ("now", 0)] {
        let (part, waiter) = part(text);
        delayed.push(vec![(NOW + Duration::from_millis(ms), part)], NOW);
        if text != "gone" {
            waiters.push(waiter);
        }
    }
    assert_eq!(delayed.waiting(), Waiting::Until(Instant::now()), "one of them is due");
    let mut taken = Vec::new();
    while let Some((message, _)) = delayed.take(NOW) {
        taken.push((message.exchange.to_string(), lines(&message)));
    }
    let message = |exchange: &str, texts: &[&str]| {
        (exchange.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        taken,
        [
            message("p.v1.delay.out", &["now"]),
            message("p.v1.delay.02", &["a", "b"]),
            message("p.v1.delay.03", &["c"]),
        ]
    );
    assert_eq!(delayed.waiting(), Waiting::Nothing);
}

#[tokio::test(start_paused = true)]
async fn first_whose_moment_is_over_takes_the_others_along() {
    let mut delayed = Delayed::new(&names(), Ids::new());
    let mut waiters = Vec::new();
    let began = Instant::now();
    let mut push = |delayed: &mut Delayed, ms| {
        let (part, waiter) = part("x");
        delayed.push(vec![(NOW + Duration::from_millis(ms), part)], NOW);
        waiters.push(waiter);
    };
    push(&mut delayed, 300_000);
    assert_eq!(delayed.waiting(), Waiting::Until(began + LINGER_MAX));
    tokio::time::advance(Duration::from_millis(10)).await;
    push(&mut delayed, 300_000);
    assert_eq!(delayed.waiting(), Waiting::Until(began + LINGER_MAX), "the first counts");
    push(&mut delayed, 80);
    let eighth = Duration::from_millis(10);
    assert_eq!(delayed.waiting(), Waiting::Until(Instant::now() + eighth));
    let taken = std::iter::from_fn(|| delayed.take(NOW));
    assert_eq!(taken.map(|(message, _)| lines(&message).len()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(delayed.waiting(), Waiting::Nothing);

    for _ in 1..GATHERED_MAX {
        push(&mut delayed, 300_000);
    }
    assert_eq!(delayed.waiting(), Waiting::Until(Instant::now() + LINGER_MAX));
    push(&mut delayed, 300_000);
    let mut lens = Vec::new();
    while delayed.waiting() == Waiting::Until(Instant::now()) {
        lens.push(lines(&delayed.take(NOW).expect("they wait").0).len());
    }
    assert_eq!(lens, [64; 8], "so many wait no longer, and leave together");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_second_goes_through_one_level_however_long_it_gathered() {
    for gathered in [Duration::ZERO, LINGER_MAX] {
        let mut delayed = Delayed::new(&names(), Ids::new());
        let (part, _waiter) = part("x");
        delayed.push(vec![(NOW + Duration::from_secs(1), part)], NOW);
        assert_eq!(delayed.waiting(), Waiting::Until(Instant::now() + LINGER_MAX));
        let (message, _) = delayed.take(NOW + gathered).expect("it waits");
        let key = message.routing_key.as_str();
        assert!(key.contains(".1.0.0.") && key.matches('1').count() == 1, "{key}");
    }
}

#[test]
fn far_ones_of_one_step_share_a_message_that_is_due_with_the_last_of_them() {
    let mut delayed = Delayed::new(&names(), Ids::new());
    let mut waiters = Vec::new();
    let year = NOW + Duration::from_secs(365 * 24 * 60 * 60);
    for (text, ms) in [("b", 249), ("a", 0), ("c", 250)] {
        let (part, waiter) = part(text);
        delayed.push(vec![(year + Duration::from_millis(ms), part)], NOW);
        waiters.push(waiter);
    }
    let mut taken = Vec::new();
    while let Some((message, _)) = delayed.take(NOW) {
        let headers = message.properties.headers().clone().expect("it carries its time");
        let due = headers.inner().get("x-ringback-due-ms").cloned();
        taken.push((lines(&message), due));
    }
    let due = |ms| Some((year + Duration::from_millis(ms)).ms().into());
    assert_eq!(
        taken,
        [(vec!["a".to_owned(), "b".to_owned()], due(249)), (vec!["c".to_owned()], due(250))]
    );
}

proptest! {
    /// All go out, soonest first, and each waits at least as long as it has to, by its routing key.
    #[test]
    fn delayed_ones_all_go_out_and_never_too_early(
        waits in proptest::collection::vec(0..40_000_u64, 1..200),
        passed in 0..2_000_u64,
    ) {
        let mut delayed = Delayed::new(&names(), Ids::new());
        let mut waiters = Vec::new();
        for wait in &waits {
            let (part, waiter) = part(&wait.to_string());
            let due = NOW + Duration::from_millis(*wait);
            // Handed in one by one, taken when some time has passed.
            delayed.lingers_until = None;
            delayed.waiting.insert((due, delayed.arrivals), part);
            delayed.arrivals += 1;
            waiters.push(waiter);
        }
        let mut out = Vec::new();
        while let Some((message, _)) = delayed.take(NOW + Duration::from_millis(passed)) {
            let bits = message.routing_key.as_str().split('.').filter(|word| *word != "returned");
            let units = bits.fold(0, |units, bit| units << 1 | u64::from(bit == "1"));
            for line in lines(&message) {
                let wait: u64 = line.parse().expect("it was a number");
                prop_assert!(passed + units * 250 >= wait);
                out.push(wait);
            }
        }
        let mut sorted = waits.clone();
        sorted.sort_unstable();
        prop_assert_eq!(out, sorted);
    }
}
