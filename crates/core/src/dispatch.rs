//! The one kind of work: an event, and who still has to get it. What travels on the queue.
//!
//! A new event, a retry, a parked delivery, a replay and a part of a large fan-out are all dispatches, so there is one
//! way through the worker. Several that go together are a bundle: one message of the queue.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::delivery::Delivery;
use crate::retry::{AttemptNumber, Position};
use crate::{
    Account, CallbackId, DeliveryId, Event, EventId, EventName, Timestamp, TraceContext, Variables,
};

/// An event, and who still has to get it.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The event, whole: no worker has to look it up.
    pub event: Arc<Event>,
    /// Who still has to get it.
    pub targets: Targets,
    /// Whether an equal dispatch may be on its way already.
    pub novelty: Novelty,
}

/// Who still has to get an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Not known yet: all callbacks that match when a worker looks.
    Matching,
    /// These.
    These(Vec<Target>),
}

impl Targets {
    /// How many deliveries it is, as far as that is known: one at the least.
    #[must_use]
    pub fn deliveries_known(&self) -> usize {
        match self {
            Self::Matching => 1,
            Self::These(targets) => targets.len().max(1),
        }
    }
}

/// One callback that an event goes to, and how far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which callback.
    pub callback: CallbackId,
    /// 0, or the number of the replay.
    pub generation: u32,
    /// The attempt that is to be made, and where its series began.
    pub position: Position,
    /// How often it was put off since the last attempt: the wait grows with it.
    pub deferrals: u32,
}

/// Whether an equal dispatch may be on its way already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It is the only one.
    New,
    /// Its producer sent it again after a crash kept the first answer from it: the history has to be asked.
    PerhapsRepeated,
}

impl Dispatch {
    /// A new event, on its way to all that match.
    #[must_use]
    pub fn of_event(event: Arc<Event>) -> Self {
        Self { event, targets: Targets::Matching, novelty: Novelty::New }
    }

    /// The same event on its way to this target alone.
    #[must_use]
    pub fn to_target(event: Arc<Event>, target: Target) -> Self {
        Self { event, targets: Targets::These(vec![target]), novelty: Novelty::New }
    }

    /// The same event on its way to all of these targets, in parts of at most [`TARGETS_MAX`].
    pub fn to_targets(event: &Arc<Event>, targets: &[Target]) -> impl Iterator<Item = Self> {
        targets.chunks(TARGETS_MAX).map(|part| Self {
            event: event.clone(),
            targets: Targets::These(part.to_vec()),
            novelty: Novelty::New,
        })
    }

    /// The same, to be looked up in the history first: for whoever may put it on the queue twice, or while an equal one
    /// is on its way or done.
    #[must_use]
    pub fn in_doubt(self) -> Self {
        Self { novelty: Novelty::PerhapsRepeated, ..self }
    }
}

impl Target {
    /// The generation of what is sent to try a callback out: one attempt, and no retry whatever comes of it. Not a member
    /// of its own, so that it stands in the history, too, and outlives a pause of the callback.
    pub const TRIAL: u32 = u32::MAX;
    /// Replays of single events count from 1 up to this; what a bulk replay makes has a higher number.
    pub const COUNTED_MAX: u32 = u32::MAX / 2;

    /// Whether it tries the callback out: see [`TRIAL`](Self::TRIAL).
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.generation == Self::TRIAL
    }

    /// The first attempt at this callback.
    #[must_use]
    pub fn first(callback: CallbackId) -> Self {
        let position = Position { attempt: AttemptNumber::MIN, series_start: AttemptNumber::MIN };
        Self { callback, generation: 0, position, deferrals: 0 }
    }

    /// This attempt of a delivery that is known already.
    #[must_use]
    pub fn of(delivery: &Delivery, position: Position) -> Self {
        let Delivery { callback, generation, .. } = *delivery;
        Self { callback, generation, position, deferrals: 0 }
    }

    /// The attempt after this one.
    #[must_use]
    pub fn next_attempt(self) -> Self {
        let attempt = self.position.attempt.saturating_add(1);
        Self { position: Position { attempt, ..self.position }, deferrals: 0, ..self }
    }

    /// The same attempt, put off once more.
    #[must_use]
    pub fn deferred(self) -> Self {
        Self { deferrals: self.deferrals.saturating_add(1), ..self }
    }

    /// Whether somebody asked for this attempt: it begins a series, and not the delivery's first.
    #[must_use]
    pub fn is_by_hand(self) -> bool {
        let Position { attempt, series_start } = self.position;
        attempt == series_start && attempt > AttemptNumber::MIN
    }

    /// The delivery it belongs to.
    #[must_use]
    pub fn delivery(&self, event: &Event) -> DeliveryId {
        DeliveryId::of(&event.account, event.id, self.callback, self.generation)
    }
}

/// The most targets that a worker takes at once: a dispatch to more is split, so that no message takes long and several
/// workers share it.
pub const TARGETS_MAX: usize = 16;
/// The most dispatches one bundle holds. On RabbitMQ it takes no further dispatch once it has as many deliveries: those of
/// a large fan-out are for several workers.
pub const BUNDLE_LEN_MAX: usize = 64;
/// A bundle takes no further dispatch once it is this large.
pub const BUNDLE_BYTES_MAX: usize = 128 * 1024;

/// Why a message of the queue can't be read.
#[derive(Debug, thiserror::Error)]
#[error("dispatch {index} of a bundle can't be read")]
pub struct InvalidBundle {
    /// Which one, from 0.
    pub index: usize,
    #[source]
    source: serde_json::Error,
}

/// The text of one dispatch: a line of JSON, without its line break.
#[must_use]
pub fn encode(dispatch: &Dispatch) -> String {
    let text = serde_json::to_string(&wire::Dispatch::from(dispatch))
        .expect("strings, numbers and raw values always serialize");
    // Variables stand there to the letter, and a list or an object among them may have been written over several
    // lines. A line break in JSON is never part of a string: a space in its place means the same.
    if text.contains('\n') { text.replace('\n', " ") } else { text }
}

/// Puts the texts of dispatches together to a bundle: one a line.
#[must_use]
pub fn bundle<'a>(dispatches: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for dispatch in dispatches {
        text.push_str(dispatch);
        text.push('\n');
    }
    text
}

/// Reads a bundle.
///
/// # Errors
/// [`InvalidBundle`] names the first line that is no dispatch of a version known here.
pub fn decode(bundle: &str) -> Result<Vec<Dispatch>, InvalidBundle> {
    bundle
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let wire: wire::Dispatch<'_> =
                serde_json::from_str(line).map_err(|source| InvalidBundle { index, source })?;
            Ok(wire.into())
        })
        .collect()
}

/// What stands on the queue. Another process, of another version, may read it: members may be added with a default,
/// never renamed or given another meaning; else the version goes up, and both are read for one release.
mod wire {
    use std::borrow::Cow;

    use super::*;

    /// Borrowed when it is written, owned when it is read.
    #[derive(Serialize, Deserialize)]
    pub(super) struct Dispatch<'a> {
        v: Version,
        id: EventId,
        name: Cow<'a, EventName>,
        account: Cow<'a, Account>,
        time_ms: i64,
        accepted_ms: i64,
        /// None: at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deliver_ms: Option<i64>,
        variables: Cow<'a, Variables>,
        /// The trace it belongs to, as a header `traceparent`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<Cow<'a, str>>,
        /// The same, as a header `tracestate`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace_state: Option<Cow<'a, str>>,
        /// None: all that match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        targets: Option<Vec<Target>>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        perhaps_repeated: bool,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(try_from = "u8", into = "u8")]
    #[derive(Clone, Copy)]
    pub(super) struct Version;

    #[derive(Serialize, Deserialize)]
    pub(super) struct Target {
        callback: CallbackId,
        attempt: AttemptNumber,
        series_start: AttemptNumber,
        #[serde(default, skip_serializing_if = "is_zero")]
        generation: u32,
        #[serde(default, skip_serializing_if = "is_zero")]
        deferrals: u32,
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_zero(number: &u32) -> bool {
        *number == 0
    }

    impl TryFrom<u8> for Version {
        type Error = String;

        fn try_from(number: u8) -> Result<Self, String> {
            match number {
                1 => Ok(Self),
                other => Err(format!("a dispatch of version {other} is not known here")),
            }
        }
    }

    impl From<Version> for u8 {
        fn from(_: Version) -> Self {
            1
        }
    }

    impl<'a> From<&'a super::Dispatch> for Dispatch<'a> {
        fn from(dispatch: &'a super::Dispatch) -> Self {
            let event = &dispatch.event;
            Self {
                v: Version,
                id: event.id,
                name: Cow::Borrowed(&event.name),
                account: Cow::Borrowed(&event.account),
                time_ms: event.time.ms(),
                accepted_ms: event.accepted_at.ms(),
                deliver_ms: event.deliver_at.map(Timestamp::ms),
                variables: Cow::Borrowed(&event.variables),
                trace: event.trace.as_ref().map(|trace| trace.traceparent().into()),
                trace_state: event.trace.as_ref().and_then(|it| it.tracestate()).map(Cow::Borrowed),
                targets: match &dispatch.targets {
                    Targets::Matching => None,
                    Targets::These(these) => Some(these.iter().map(Target::from).collect()),
                },
                perhaps_repeated: dispatch.novelty == Novelty::PerhapsRepeated,
            }
        }
    }

    impl From<Dispatch<'_>> for super::Dispatch {
        fn from(wire: Dispatch<'_>) -> Self {
            let event = Event {
                id: wire.id,
                name: wire.name.into_owned(),
                account: wire.account.into_owned(),
                time: Timestamp::from_ms(wire.time_ms),
                accepted_at: Timestamp::from_ms(wire.accepted_ms),
                deliver_at: wire.deliver_ms.map(Timestamp::from_ms),
                variables: wire.variables.into_owned(),
                // One that can't be read costs the trace, and not the event.
                trace: wire
                    .trace
                    .and_then(|trace| TraceContext::parse(&trace, wire.trace_state.as_deref())),
            };
            let targets = match wire.targets {
                None => Targets::Matching,
                Some(these) => Targets::These(these.into_iter().map(Into::into).collect()),
            };
            let novelty =
                if wire.perhaps_repeated { Novelty::PerhapsRepeated } else { Novelty::New };
            Self { event: Arc::new(event), targets, novelty }
        }
    }

    impl From<&super::Target> for Target {
        fn from(target: &super::Target) -> Self {
            Self {
                callback: target.callback,
                attempt: target.position.attempt,
                series_start: target.position.series_start,
                generation: target.generation,
                deferrals: target.deferrals,
            }
        }
    }

    impl From<Target> for super::Target {
        fn from(wire: Target) -> Self {
            Self {
                callback: wire.callback,
                generation: wire.generation,
                // A series that begins after its own attempt is a contradiction; read as one that begins with it.
                position: Position {
                    attempt: wire.attempt,
                    series_start: wire.series_start.min(wire.attempt),
                },
                deferrals: wire.deferrals,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatch(variables: &str) -> Dispatch {
        let event = Event {
            id: "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21".parse().expect("a UUID"),
            name: "COMMENT_CREATED".parse().expect("a name"),
            account: "acme".parse().expect("an account"),
            time: Timestamp::from_ms(1),
            accepted_at: Timestamp::from_ms(2),
            deliver_at: None,
            variables: serde_json::from_str(variables).expect("an object"),
            trace: None,
        };
        Dispatch::of_event(Arc::new(event))
    }

    fn target() -> Target {
        Target::first("0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b22".parse().expect("a UUID"))
    }

    #[test]
    fn new_event_is_written_without_what_goes_without_saying() {
        assert_eq!(
            encode(&dispatch(r#"{"n":1.10}"#)),
            r#"{"v":1,"id":"0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21","name":"COMMENT_CREATED","account":"acme","#
                .to_owned()
                + r#""time_ms":1,"accepted_ms":2,"variables":{"n":1.10}}"#
        );
    }

    #[test]
    fn variables_over_several_lines_stay_one_line_of_the_bundle() {
        let text = encode(&dispatch("{\"list\":[1,\n  2\r\n],\"text\":\"a\\nb\"}"));
        assert!(!text.contains('\n'), "{text}");
        let read = decode(&bundle([text.as_str(), text.as_str()])).expect("two dispatches");
        assert_eq!(read.len(), 2);
        let variables = &read[1].event.variables;
        assert_eq!(variables.get("text").map(|v| v.get()), Some(r#""a\nb""#));
        let list = variables.get("list").expect("it was sent");
        assert_eq!(serde_json::from_str::<[u8; 2]>(list.get()).expect("a list"), [1, 2]);
    }

    #[test]
    fn dispatch_of_a_later_version_is_refused_with_its_number() {
        let text = encode(&dispatch("{}"));
        let later = text.replace(r#""v":1"#, r#""v":2"#);
        let error = decode(&bundle([text.as_str(), later.as_str()])).expect_err("version 2");
        assert_eq!(error.index, 1);
        let source = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(source.contains("version 2"), "{source}");
    }

    #[test]
    fn members_that_a_later_release_adds_are_ignored() {
        let text = encode(&Dispatch::to_target(dispatch("{}").event, target()))
            .replace(r#""v":1"#, r#""v":1,"new":{"x":[1]}"#)
            .replace(r#""attempt":1"#, r#""attempt":1,"new":null"#);
        assert_eq!(text.matches("new").count(), 2, "{text}");
        let read = decode(&text).expect("readable");
        assert_eq!(read[0].targets, Targets::These(vec![target()]));
    }

    #[test]
    fn trace_travels_and_one_that_cannot_be_read_is_none() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::parse(parent, Some("a=1"));
        let event = Event { trace: trace.clone(), ..(*dispatch("{}").event).clone() };
        let text = encode(&Dispatch::of_event(Arc::new(event)));
        let read = decode(&text).expect("readable");
        assert_eq!(read[0].event.trace, trace);
        let broken = decode(&text.replace("-01\"", "-0\"")).expect("readable");
        assert_eq!(broken[0].event.trace, None);
    }

    #[test]
    fn series_that_begins_after_its_own_attempt_begins_with_it() {
        let text = encode(&Dispatch::to_target(dispatch("{}").event, target()))
            .replace(r#""series_start":1"#, r#""series_start":9"#);
        let read = decode(&text).expect("readable");
        assert_eq!(read[0].targets, Targets::These(vec![target()]));
    }

    #[test]
    fn attempts_count_up_and_deferrals_begin_again() {
        let next = target().deferred().deferred().next_attempt();
        assert_eq!((next.position.attempt.get(), next.deferrals), (2, 0));
        assert_eq!(next.position.series_start.get(), 1);
        assert_eq!(target().deferred().deferrals, 1);
    }

    #[test]
    fn attempt_by_hand_is_one_that_begins_a_series_but_not_the_first() {
        let number = |n| AttemptNumber::new(n).expect("attempts begin at 1");
        for (attempt, series_start, by_hand) in
            [(1, 1, false), (2, 1, false), (5, 5, true), (6, 5, false)]
        {
            let position =
                Position { attempt: number(attempt), series_start: number(series_start) };
            assert_eq!(
                Target { position, ..target() }.is_by_hand(),
                by_hand,
                "{attempt}, {series_start}"
            );
        }
    }
}
