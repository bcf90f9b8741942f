//! Spans: what was done for an event, when, and where in its trace. How they leave the process is for others: here they
//! end in a queue that never keeps anybody waiting.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ringback_core::TraceContext;
use ringback_core::trace::{Sampling, SpanId, TraceId};
use tokio::sync::mpsc;

/// Spans that wait to leave the process. Further ones are lost, and counted.
const WAITING_MAX: usize = 2_048;

/// Begins spans. Clones share it; the default one is off.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<On>>);

/// How many of the traces that begin here are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Traces are recorded from this randomness on, of 2^56.
    from: u64,
}

/// Spans that have ended, for whoever takes them out of the process.
#[derive(Debug)]
pub struct FinishedSpans {
    spans: mpsc::Receiver<FinishedSpan>,
    on: Arc<On>,
}

#[derive(Debug)]
struct On {
    ratio: Ratio,
    finished: mpsc::Sender<FinishedSpan>,
    lost: AtomicU64,
}

/// Something that is being done.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    recording: Option<Box<Recording>>,
}

/// What is to be told of a span.
#[derive(Debug)]
pub struct Recording {
    on: Arc<On>,
    began: Instant,
    span: FinishedSpan,
}

/// Something that was done.
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    /// What.
    pub name: &'static str,
    /// On whose behalf.
    pub kind: SpanKind,
    /// Where.
    pub context: TraceContext,
    /// The span it was done for, which may be another process's; none: it is the first of its trace.
    pub parent: Option<SpanId>,
    /// From when.
    pub started_at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// It failed.
    pub failed: bool,
}

/// On whose behalf something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Of who sent a request and waits for its answer.
    Server,
    /// Of who left a message.
    Consumer,
    /// Our own, and somebody else does it.
    Client,
}

/// What is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl Tracer {
    /// One that records, and what it recorded.
    #[must_use]
    pub fn on(ratio: Ratio) -> (Self, FinishedSpans) {
        let (finished, spans) = mpsc::channel(WAITING_MAX);
        let on = Arc::new(On { ratio, finished, lost: AtomicU64::new(0) });
        (Self(Some(on.clone())), FinishedSpans { spans, on })
    }

    /// Whether it records.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span below `parent`; without one, the first of the trace `own`.
    ///
    /// A parent has decided whether its trace is recorded. Where there is none, the trace's own bits decide, so that whoever
    /// is asked says the same.
    #[must_use]
    pub fn begin(
        &self,
        (name, kind): (&'static str, SpanKind),
        parent: Option<&TraceContext>,
        own: TraceId,
    ) -> Span {
        let id = SpanId::from_random(getrandom::u64().unwrap_or_default());
        let context = match (parent, &self.0) {
            (Some(parent), _) => parent.child(id),
            (None, None) => TraceContext::root(own, id, Sampling::PassedOn),
            (None, Some(on)) => TraceContext::root(own, id, on.ratio.decide(own)),
        };
        let recording = match (&self.0, context.sampling()) {
            (Some(on), Sampling::Recorded) => {
                let parent = parent.map(|parent| parent.span);
                Some(Box::new(Recording::new(on.clone(), (name, kind), &context, parent)))
            }
            _ => None,
        };
        Span { context, recording }
    }
}

impl Ratio {
    /// All of them.
    pub const ALL: Self = Self { from: 0 };

    /// Of 0 (none) to 1 (all); anything else is no ratio.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of 2^56 is not negative, and its fraction makes no difference"
    )]
    pub fn new(ratio: f64) -> Option<Self> {
        const ALL: f64 = (1_u64 << 56) as f64;
        (0.0..=1.0).contains(&ratio).then_some(Self { from: ((1.0 - ratio) * ALL) as u64 })
    }

    /// # Source
    /// OpenTelemetry, "TraceState: Probability Sampling": whoever samples fewer samples some of the same.
    fn decide(self, trace: TraceId) -> Sampling {
        if trace.randomness() >= self.from { Sampling::Recorded } else { Sampling::PassedOn }
    }
}

impl Span {
    /// Where it is in its trace: what comes below it is told this.
    #[must_use]
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// What is told of it, if anything is.
    pub fn recording(&mut self) -> Option<&mut Recording> {
        self.recording.as_deref_mut()
    }

    /// Ends it. One that is dropped instead is not told of.
    pub fn end(self) {
        let Some(recording) = self.recording else { return };
        let Recording { on, began, mut span } = *recording;
        span.duration = began.elapsed();
        if on.finished.try_send(span).is_err() {
            on.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Recording {
    #[expect(
        clippy::disallowed_methods,
        reason = "a span begins now, whatever a test's clock says"
    )]
    fn new(
        on: Arc<On>,
        (name, kind): (&'static str, SpanKind),
        context: &TraceContext,
        parent: Option<SpanId>,
    ) -> Self {
        let span = FinishedSpan {
            name,
            kind,
            context: context.clone(),
            parent,
            started_at: SystemTime::now(),
            duration: Duration::ZERO,
            attributes: Vec::with_capacity(12),
            failed: false,
        };
        Self { on, began: Instant::now(), span }
    }

    /// It began earlier.
    pub fn began(&mut self, at: Instant) {
        let earlier = self.began.saturating_duration_since(at);
        self.began -= earlier;
        self.span.started_at -= earlier;
    }

    /// Something is known of it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.span.attributes.push((name, value.into()));
    }

    /// It failed, with this word or status for why.
    pub fn fail(&mut self, error_type: impl Into<Value>) {
        self.set("error.type", error_type);
        self.span.failed = true;
    }
}

impl FinishedSpans {
    /// Adds spans to `batch`, `limit` at the most, as soon as there is one.
    ///
    /// # Cancel safety
    /// Safe: none is lost.
    pub async fn next(&mut self, batch: &mut Vec<FinishedSpan>, limit: usize) {
        // It can't be closed: a sender is here.
        self.spans.recv_many(batch, limit).await;
    }

    /// Whether there is none now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// How many were lost since this was asked last, because too many waited.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.on.lost.swap(0, Ordering::Relaxed)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPT: (&str, SpanKind) = ("accept", SpanKind::Server);

    fn own(last_byte: u8) -> TraceId {
        let event = format!("0190b8a4-7f3c-7c1e-9d{last_byte:02x}-3f6a1e0c8b21");
        TraceId::of(event.parse().expect("a UUID"))
    }

    fn parent(flags: &str) -> TraceContext {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        TraceContext::parse(&text, None).expect("well-formed")
    }

    #[tokio::test]
    async fn parent_decides_and_its_trace_goes_on() {
        let (tracer, mut finished) = Tracer::on(Ratio::ALL);
        let unsampled = tracer.begin(ACCEPT, Some(&parent("00")), own(0));
        assert_eq!(unsampled.context().trace, parent("00").trace);
        unsampled.end();
        let none = Ratio::new(0.0).expect("a ratio");
        let (strict, mut sampled) = Tracer::on(none);
        strict.begin(ACCEPT, Some(&parent("01")), own(0)).end();
        strict.begin(ACCEPT, None, own(0)).end();
        assert!(finished.is_empty());
        let mut batch = Vec::new();
        sampled.next(&mut batch, 9).await;
        assert_eq!(batch.len(), 1, "{batch:?}");
        assert_eq!(batch[0].parent, Some(parent("01").span));
        tracer.begin(ACCEPT, None, own(0)).end();
        finished.next(&mut batch, 9).await;
        assert_eq!((batch[1].parent, batch[1].context.trace), (None, own(0)));
    }

    #[test]
    fn ratio_of_the_traces_is_recorded_and_whoever_asks_is_told_the_same() {
        let (tracer, finished) = Tracer::on(Ratio::new(0.25).expect("a ratio"));
        for last_byte in 0..=255 {
            tracer.begin(ACCEPT, None, own(last_byte)).end();
            tracer.begin(ACCEPT, None, own(last_byte)).end();
        }
        assert_eq!(finished.spans.len(), 2 * 64);
        assert!([-0.1, 1.1, f64::NAN].iter().all(|ratio| Ratio::new(*ratio).is_none()));
    }

    #[test]
    fn spans_that_nobody_takes_are_counted_and_keep_nobody_waiting() {
        let (tracer, finished) = Tracer::on(Ratio::ALL);
        for _ in 0..WAITING_MAX + 3 {
            tracer.begin(ACCEPT, None, own(0)).end();
        }
        assert_eq!((finished.spans.len(), finished.lost()), (WAITING_MAX, 3));
        assert_eq!(finished.lost(), 0);
    }

    #[test]
    fn tracer_that_is_off_passes_on_what_came() {
        let off = Tracer::default();
        let mut span = off.begin(ACCEPT, Some(&parent("01")), own(0));
        assert!(span.recording().is_none());
        assert_eq!(span.context().trace, parent("01").trace);
        assert_ne!(span.context().span, parent("01").span);
        assert_eq!(span.context().sampling(), Sampling::Recorded);
        assert_eq!(off.begin(ACCEPT, None, own(0)).context().sampling(), Sampling::PassedOn);
    }
}
