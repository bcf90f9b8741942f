//! What stands on the queue is read by processes of other versions: of the one before while an upgrade is under way, and
//! of the next one for as long as the longest delay, a year.
//!
//! A release adds the file of what it writes to `golden`, and keeps those before it.

use std::num::NonZeroU32;
use std::sync::Arc;

use ringback_core::dispatch::{self, Novelty};
use ringback_core::retry::Position;
use ringback_core::{CallbackId, Dispatch, Event, Target, Targets, Timestamp, TraceContext};
use serde::Deserialize;

/// What version 0.1.0 wrote.
const WRITTEN_BY_0_1_0: &str = include_str!("golden/queue_0_1_0.ndjson");

fn target(
    callback: &str,
    [attempt, series_start]: [u32; 2],
    generation: u32,
    deferrals: u32,
) -> Target {
    let number = |n| NonZeroU32::new(n).expect("attempts begin at 1");
    let callback: CallbackId = callback.parse().expect("a UUID");
    let position = Position { attempt: number(attempt), series_start: number(series_start) };
    Target { callback, generation, position, deferrals }
}

#[test]
fn what_0_1_0_wrote_is_read_with_every_member() {
    let read = dispatch::decode(WRITTEN_BY_0_1_0).expect("it is read");
    let [fresh, scheduled, targeted] = read.as_slice() else { panic!("{read:?}") };
    let event = &*fresh.event;
    assert_eq!(event.id.to_string(), "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21");
    assert_eq!((event.name.as_str(), event.account.as_str()), ("COMMENT_CREATED", "acme"));
    assert_eq!(event.time, Timestamp::from_ms(1_767_323_045_678));
    assert_eq!(event.accepted_at, Timestamp::from_ms(1_767_323_045_900));
    assert_eq!(event.variables.to_json(), r#"{"n":1.10,"text":"Zürich"}"#);
    assert_eq!(event.deliver_at, None);
    assert_eq!((&fresh.targets, fresh.novelty), (&Targets::Matching, Novelty::New));
    assert_eq!(scheduled.event.deliver_at, Some(Timestamp::from_ms(1_767_400_000_000)));
    assert_eq!(scheduled.novelty, Novelty::PerhapsRepeated);
    let targets = vec![
        target("0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b22", [1, 1], 0, 0),
        target("0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b23", [5, 4], 7, 2),
    ];
    assert_eq!(targeted.targets, Targets::These(targets));
}

/// How 0.1.0 reads a dispatch: these members, and whatever else stands there is ignored.
#[derive(Deserialize)]
struct ReadBy010 {
    v: u8,
    id: String,
    name: String,
    account: String,
    time_ms: i64,
    accepted_ms: i64,
    #[serde(default)]
    deliver_ms: Option<i64>,
    variables: serde_json::Value,
    #[serde(default)]
    targets: Option<Vec<TargetReadBy010>>,
    #[serde(default)]
    perhaps_repeated: bool,
}

#[derive(Deserialize, Debug, PartialEq)]
struct TargetReadBy010 {
    callback: String,
    attempt: NonZeroU32,
    series_start: NonZeroU32,
    #[serde(default)]
    generation: u32,
    #[serde(default)]
    deferrals: u32,
}

#[test]
fn what_is_written_today_is_read_by_0_1_0() {
    let old = dispatch::decode(WRITTEN_BY_0_1_0).expect("it is read");
    let event = Event {
        deliver_at: Some(Timestamp::from_ms(3)),
        trace: TraceContext::parse(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Some("a=1"),
        ),
        ..Event::clone(&old[0].event)
    };
    let targets = vec![target("0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b23", [5, 4], 7, 2)];
    let everything = Dispatch {
        event: Arc::new(event),
        targets: Targets::These(targets),
        novelty: Novelty::PerhapsRepeated,
    };
    assert!(everything.event.trace.is_some());
    let read: ReadBy010 =
        serde_json::from_str(&dispatch::encode(&everything)).expect("0.1.0 reads it");
    assert_eq!(read.v, 1);
    assert_eq!(read.id, "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21");
    assert_eq!((read.name.as_str(), read.account.as_str()), ("COMMENT_CREATED", "acme"));
    assert_eq!((read.time_ms, read.accepted_ms), (1_767_323_045_678, 1_767_323_045_900));
    assert_eq!((read.deliver_ms, read.perhaps_repeated), (Some(3), true));
    assert_eq!(read.variables["text"], "Zürich");
    let targets = read.targets.expect("they are named");
    let number = |n| NonZeroU32::new(n).expect("attempts begin at 1");
    let expected = TargetReadBy010 {
        callback: "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b23".to_owned(),
        attempt: number(5),
        series_start: number(4),
        generation: 7,
        deferrals: 2,
    };
    assert_eq!(targets, [expected]);

    // And what needs none of it stands there to the letter as 0.1.0 wrote it.
    let first = WRITTEN_BY_0_1_0.lines().next().expect("there are three");
    assert_eq!(dispatch::encode(&old[0]), first);
}
