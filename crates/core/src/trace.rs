//! Where in a trace something happens: W3C Trace Context, as it travels with an event.
//!
//! # Source
//! W3C Trace Context, <https://www.w3.org/TR/trace-context/>.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use crate::EventId;

/// Names one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// Names one span within its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

/// A span, its trace, and whether the trace is recorded: what whoever comes next has to know of whoever came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span that what comes next is a child of.
    pub span: SpanId,
    flags: u8,
    /// What tracing systems pass to each other, to the letter; most traces have none.
    state: Option<Box<str>>,
}

/// Whether the spans of a trace are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// They are.
    Recorded,
    /// They are not; the ids are passed on all the same.
    PassedOn,
}

/// Somebody records the trace.
const SAMPLED: u8 = 1;
/// The last seven bytes of the trace's id are random.
const RANDOM: u8 = 2;

/// A longer `tracestate` is left out: each receiver's server has to take it with all other headers.
const STATE_LEN_MAX: usize = 512;
/// A `tracestate` with more members is none.
const STATE_MEMBERS_MAX: usize = 32;

impl TraceId {
    /// The trace of an event that came without one: whoever knows the event finds the trace.
    #[must_use]
    pub fn of(event: EventId) -> Self {
        // All zeros is no trace. Only a producer can choose such an id.
        Self(NonZeroU128::new(event.uuid().as_u128()).unwrap_or(NonZeroU128::MAX))
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// The 56 bits that chance has the most part in: the last ones, of a UUID's as of any other's.
    ///
    /// # Source
    /// W3C Trace Context, level 2, section 3.3.1: "random trace id flag".
    #[must_use]
    pub fn randomness(self) -> u64 {
        let [.., a, b, c, d, e, f, g] = self.bytes();
        u64::from_be_bytes([0, a, b, c, d, e, f, g])
    }
}

impl SpanId {
    /// The id of this number, drawn by the caller. Zero is no id, and becomes one.
    #[must_use]
    pub fn from_random(number: u64) -> Self {
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl TraceContext {
    /// The first span of a trace.
    #[must_use]
    pub fn root(trace: TraceId, span: SpanId, sampling: Sampling) -> Self {
        let flags = match sampling {
            Sampling::Recorded => SAMPLED,
            Sampling::PassedOn => 0,
        };
        Self { trace, span, flags, state: None }
    }

    /// Another span of the same trace, recorded if this one is.
    #[must_use]
    pub fn child(&self, span: SpanId) -> Self {
        Self { span, ..self.clone() }
    }

    /// Whether its spans are recorded.
    #[must_use]
    pub const fn sampling(&self) -> Sampling {
        if self.flags & SAMPLED == 0 { Sampling::PassedOn } else { Sampling::Recorded }
    }

    /// Reads what a producer sent. What is not well-formed is none: the event is delivered as if it had not been there, as
    /// the specification asks of a receiver.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (version, rest) = traceparent.split_once('-')?;
        let version = hex(version, 2)?;
        let (trace, rest) = rest.split_once('-')?;
        let (span, rest) = rest.split_once('-')?;
        let (flags, more) = match rest.split_once('-') {
            Some((flags, _)) => (flags, true),
            None => (rest, false),
        };
        // A later version may add to it, and is read as far as it is known; one of 255 is not valid.
        if version == 0xff || (version == 0 && more) {
            return None;
        }
        let span = u64::try_from(hex(span, 16)?).ok()?;
        Some(Self {
            trace: TraceId(NonZeroU128::new(hex(trace, 32)?)?),
            span: SpanId(NonZeroU64::new(span)?),
            // Those that nobody knows yet are not passed on.
            flags: u8::try_from(hex(flags, 2)?).ok()? & (SAMPLED | RANDOM),
            state: tracestate.and_then(state),
        })
    }

    /// As a header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }

    /// As a header `tracestate`, if there is one.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The number of so many hexadecimal digits, in lower case.
fn hex(digits: &str, len: usize) -> Option<u128> {
    let well = digits.len() == len
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    well.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

/// A `tracestate` that can stand in a header again.
fn state(text: &str) -> Option<Box<str>> {
    let text = text.trim_matches([' ', '\t']);
    let is_well = (1..=STATE_LEN_MAX).contains(&text.len())
        && text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
        && text.split(',').count() <= STATE_MEMBERS_MAX
        && text.split(',').all(|member| member.trim().is_empty() || member.contains('='));
    is_well.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn context_is_passed_on_as_it_came_but_for_the_span() {
        let parent = TraceContext::parse(PARENT, Some(" a=1, b@c=x:y ")).expect("well-formed");
        assert_eq!(parent.traceparent(), PARENT);
        let child = parent.child(SpanId::from_random(0xab));
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01";
        assert_eq!(child.traceparent(), expected);
        assert_eq!(child.tracestate(), Some("a=1, b@c=x:y"));
        assert_eq!(child.sampling(), Sampling::Recorded);
    }

    #[test]
    fn what_is_not_well_formed_is_none() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn later_version_is_read_as_far_as_it_is_known() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-what-the-future";
        let read = TraceContext::parse(later, None).expect("well-formed");
        let known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
        assert_eq!(read.traceparent(), known);
    }

    #[test]
    fn state_that_no_header_takes_is_left_out_and_the_parent_is_kept() {
        let many = vec!["a=1"; STATE_MEMBERS_MAX + 1].join(",");
        let long = format!("a={}", "x".repeat(STATE_LEN_MAX));
        for bad in ["", "a", "a=1\r\nx: y", "a=é", &many, &long] {
            let read = TraceContext::parse(PARENT, Some(bad)).expect("the parent is well");
            assert_eq!(read.tracestate(), None, "{bad}");
        }
    }

    #[test]
    fn event_is_a_trace_of_its_own_and_the_nil_id_too() {
        let event: EventId = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21".parse().expect("a UUID");
        let trace = TraceId::of(event);
        assert_eq!(trace.to_string(), "0190b8a47f3c7c1e9d523f6a1e0c8b21");
        assert_eq!(trace.randomness(), 0x52_3f6a_1e0c_8b21);
        let nil: EventId = "00000000-0000-0000-0000-000000000000".parse().expect("a UUID");
        let root = TraceContext::root(TraceId::of(nil), SpanId::from_random(0), Sampling::PassedOn);
        assert!(TraceContext::parse(&root.traceparent(), None).is_some(), "{root:?}");
    }
}
