//! The way of a request: parse, recognise repeats, publish, remember, answer.

use std::sync::Arc;
use std::time::Duration;

use ringback_api::{Caller, FieldError, Keys, Problem, Types};
use ringback_broker::Broker;
use ringback_core::dispatch::Novelty;
use ringback_core::{Account, Timestamp, TraceContext};
use ringback_idempotency::{Begun, Idempotency, RequestKey};
use ringback_metrics::IntakeMetrics;
use ringback_runtime::trace::{SpanKind, Tracer};
use ringback_runtime::{Clock, TaskGroup};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use crate::candidate::{Candidate, Decision, REMEMBERED};
use crate::catalog::Gate;
use crate::cloud_event::{self, Attributes};
use crate::mark::Mark;
use crate::memory::Memory;
use crate::wire::{Answer, Answers, NewEvent, WellFormed};

/// The most events of one request.
const EVENTS_MAX: usize = 1_000;

/// Takes events in.
pub struct Ingest {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) idempotency: Arc<dyn Idempotency>,
    pub(crate) memory: Memory,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) catalog: Gate,
    pub(crate) event_bytes_max: usize,
    pub(crate) metrics: Arc<IntakeMetrics>,
    pub(crate) tracer: Tracer,
    /// Requests that go on though their senders hang up.
    tasks: TaskGroup,
}

/// What is let in.
pub struct Rules {
    /// Who may send.
    pub keys: Arc<Keys>,
    /// What events of each type have to be.
    pub types: Arc<Types>,
    /// The most bytes that one event may have.
    pub event_bytes_max: usize,
    /// What is counted.
    pub metrics: Arc<IntakeMetrics>,
}

/// A request, as far as HTTP goes.
pub(crate) struct Submission<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) body: &'a [u8],
    /// Where in a trace it stands.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) form: Form,
}

/// How events are written.
pub(crate) enum Form {
    /// As Ringback's own: an object, or an array of them.
    Plain,
    /// A CloudEvent as JSON.
    CloudEvent,
    /// An array of them.
    CloudEvents,
    /// A CloudEvent whose attributes stand in headers. The body is its data.
    BinaryCloudEvent(Attributes),
}

/// What is answered: one object, or an array's.
pub(crate) enum Reply {
    One(Answer),
    Many(Answers),
    /// What was answered to the first request with the same Idempotency-Key, as JSON.
    Stored(String),
}

impl Ingest {
    /// An ingest for these ports.
    #[must_use]
    pub fn new(
        broker: Arc<dyn Broker>,
        idempotency: Arc<dyn Idempotency>,
        clock: Arc<dyn Clock>,
        rules: Rules,
    ) -> Self {
        let Rules { keys, types, event_bytes_max, metrics } = rules;
        Self {
            broker,
            idempotency,
            memory: Memory::default(),
            clock,
            keys,
            catalog: Gate::new(types),
            event_bytes_max,
            metrics,
            tracer: Tracer::default(),
            tasks: TaskGroup::new(),
        }
    }

    /// The same, which tells of what it does.
    #[must_use]
    pub fn traced_by(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// From a request to its answer.
    ///
    /// # Errors
    /// The problem to answer with. Nothing of the request is accepted then, as far as anybody can know.
    ///
    /// # Cancel safety
    /// A sender that hangs up drops this. What was begun goes on all the same: a repeat finds it done and not half-way,
    /// and what goes on the queue is counted.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        submission: Submission<'_>,
    ) -> Result<Reply, Problem> {
        self.catalog.refresh().await;
        let mut parsed =
            self.parse(&submission).inspect_err(|problem| self.count_refused(problem, 1))?;
        if let Some(trace) = &submission.trace {
            parsed.stand_in(trace);
        }
        let key = submission.idempotency_key.map(|key| RequestKey::Header {
            account: submission.caller.account().cloned(),
            key: key.to_owned(),
        });
        let keyed = key.map(|key| (key, fingerprint(&submission)));
        let well_formed = parsed.well_formed();
        let (answer, answered) = oneshot::channel();
        let ingest = self.clone();
        self.tasks.start(async move {
            let reply = match &keyed {
                Some((key, fingerprint)) => ingest.accept_with_key(parsed, key, fingerprint).await,
                None => ingest.accept_parsed(parsed, &Origin::Fresh).await,
            };
            ingest.count(well_formed, &reply);
            // The sender has hung up.
            let _nobody_waits = answer.send(reply);
        });
        answered.await.unwrap_or_else(|_| Err(in_progress()))
    }

    async fn accept_with_key(
        &self,
        parsed: Parsed,
        key: &RequestKey,
        fingerprint: &str,
    ) -> Result<Reply, Problem> {
        let mark = Mark::of_request(key, fingerprint, self.clock.now());
        let begun = self.idempotency.begin(key, fingerprint, REMEMBERED, &mark.to_string()).await;
        let origin = match self.memory.told(begun) {
            Some(Begun::New) => Origin::Keyed { mark, novelty: Novelty::New },
            Some(Begun::Unfinished { mark: first }) => {
                Origin::Keyed { mark: Mark::of(&first, mark), novelty: Novelty::PerhapsRepeated }
            }
            Some(Begun::InProgress) => return Err(in_progress()),
            Some(Begun::Conflict) => return Err(Problem::idempotency_key_reused()),
            Some(Begun::Done { answer }) => return Ok(Reply::Stored(answer)),
            // Nobody remembers whether it came before: the same key and body make the same ids, and the history decides.
            None => Origin::Keyed { mark, novelty: Novelty::PerhapsRepeated },
        };
        let reply = self.accept_parsed(parsed, &origin).await;
        let ended = match &reply {
            Ok(reply) => self.idempotency.complete(key, &reply.to_json()).await,
            // Part of it may be on the queue: a repeat makes the same ids, and has to say so.
            Err(_) => self.idempotency.leave_open(key).await,
        };
        self.memory.told(ended);
        reply
    }

    // Parse: each event for itself, so that one bad one of an array does not take the others along.

    fn parse(&self, submission: &Submission<'_>) -> Result<Parsed, Problem> {
        let Submission { caller, body, form, .. } = submission;
        match form {
            Form::Plain if begins_with_a_bracket(body) => self.parse_many(caller, body, 1, plain),
            Form::Plain => self.parse_one(caller, body, |body, now| {
                let event: NewEvent = ringback_api::parse(body)?;
                event.check(now).map_err(Problem::invalid)
            }),
            // The specification lets a batch be empty.
            Form::CloudEvents => self.parse_many(caller, body, 0, cloud_event::structured),
            Form::CloudEvent => self.parse_one(caller, body, |body, now| {
                cloud_event::structured(body, now).map_err(Problem::invalid)
            }),
            Form::BinaryCloudEvent(attributes) => self.parse_one(caller, body, |body, now| {
                cloud_event::binary(attributes, body, now).map_err(Problem::invalid)
            }),
        }
    }

    fn parse_one(
        &self,
        caller: &Caller,
        body: &[u8],
        parse: impl FnOnce(&[u8], Timestamp) -> Result<WellFormed, Problem>,
    ) -> Result<Parsed, Problem> {
        if body.len() > self.event_bytes_max {
            return Err(Problem::too_large(self.event_bytes_max));
        }
        let event = parse(body, self.clock.now())?;
        let one = self.to_accept(event, caller).map_err(Problem::invalid)?;
        Ok(Parsed::One(Box::new(one)))
    }

    fn parse_many(
        &self,
        caller: &Caller,
        body: &[u8],
        len_min: usize,
        parse: impl Fn(&[u8], Timestamp) -> Result<WellFormed, Vec<FieldError>>,
    ) -> Result<Parsed, Problem> {
        let items: Vec<&serde_json::value::RawValue> = ringback_api::parse(body)?;
        if !(len_min..=EVENTS_MAX).contains(&items.len()) {
            let error =
                FieldError::new("", format!("an array has {len_min} to {EVENTS_MAX} events"));
            return Err(Problem::invalid(vec![error]));
        }
        let now = self.clock.now();
        let item = |text: &str| {
            if text.len() > self.event_bytes_max {
                let limit = self.event_bytes_max;
                return Err(vec![FieldError::new("", format!("larger than {limit} bytes"))]);
            }
            self.to_accept(parse(text.as_bytes(), now)?, caller)
        };
        Ok(Parsed::Many(items.into_iter().map(|raw| item(raw.get())).collect()))
    }

    fn to_accept(&self, event: WellFormed, caller: &Caller) -> Result<ToAccept, Vec<FieldError>> {
        let one = to_accept(event, caller)?;
        self.catalog.check(&one.event, &one.account)?;
        Ok(one)
    }

    async fn accept_parsed(&self, parsed: Parsed, origin: &Origin) -> Result<Reply, Problem> {
        let now = self.clock.now();
        match parsed {
            Parsed::One(one) => {
                let candidate = one.into_candidate(0, origin, now);
                let answers = self.take_in(vec![Ok(candidate)]).await?;
                let answer = answers.into_iter().next().expect("one answer for one event");
                Ok(Reply::One(answer))
            }
            Parsed::Many(many) => {
                let candidates = many
                    .into_iter()
                    .enumerate()
                    .map(|(index, one)| one.map(|one| one.into_candidate(index, origin, now)))
                    .collect();
                Ok(Reply::Many(Answers { data: self.take_in(candidates).await? }))
            }
        }
    }

    async fn take_in(&self, checked: Vec<Checked>) -> Result<Vec<Answer>, Problem> {
        let mut answers = Vec::with_capacity(checked.len());
        let mut candidates = Vec::with_capacity(checked.len());
        let mut places = Vec::with_capacity(checked.len());
        for (place, one) in checked.into_iter().enumerate() {
            match one {
                Err(errors) => answers.push(Answer::Rejected { errors }),
                Ok(candidate) => {
                    // What stands here until it is decided is what is hoped for.
                    answers.push(Answer::Accepted { id: candidate.event.id, duplicate: false });
                    candidates.push(candidate);
                    places.push(place);
                }
            }
        }
        let decided = self.recognise(candidates).await;
        if decided.iter().any(|decision| matches!(decision, Decision::Busy(_))) {
            // Another request with the same id may still come to nothing: neither yes nor no is known to be true.
            self.put_back(&decided).await;
            return Err(in_progress());
        }
        let mut taken = Vec::with_capacity(decided.len());
        for (place, decision) in places.into_iter().zip(decided) {
            match decision {
                Decision::Take(candidate) | Decision::Busy(candidate) => taken.push(candidate),
                Decision::Repeat(id) => answers[place] = Answer::Accepted { id, duplicate: true },
            }
        }
        self.publish(taken, SpanKind::Server).await?;
        Ok(answers)
    }
}

/// Where a request comes from, as far as its events' ids go.
enum Origin {
    /// It has no Idempotency-Key.
    Fresh,
    /// It has one. The mark is the same for all repeats of it, and no other request's.
    Keyed { mark: Mark, novelty: Novelty },
}

/// A request that is well-formed.
enum Parsed {
    One(Box<ToAccept>),
    Many(Vec<Result<ToAccept, Vec<FieldError>>>),
}

/// An event that its sender may send.
struct ToAccept {
    event: WellFormed,
    account: Account,
}

type Checked = Result<Candidate, Vec<FieldError>>;

impl Parsed {
    /// Events stand in a trace where their request does, unless they say where themselves.
    fn stand_in(&mut self, trace: &TraceContext) {
        let stands = |one: &mut ToAccept| {
            one.event.trace.get_or_insert_with(|| trace.clone());
        };
        match self {
            Self::One(one) => stands(one),
            Self::Many(many) => many.iter_mut().flatten().for_each(stands),
        }
    }

    /// How many events may be taken.
    fn well_formed(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(many) => many.iter().flatten().count(),
        }
    }
}

impl ToAccept {
    /// `index` is the event's place in its request.
    fn into_candidate(self, index: usize, origin: &Origin, now: Timestamp) -> Candidate {
        let Self { event, account } = self;
        match origin {
            Origin::Fresh => event.into_candidate(account, None, now),
            Origin::Keyed { mark, novelty } => {
                let id = mark.event_id(index);
                // A repeat tells the same of the event as the first request did.
                let candidate = event.into_candidate(account, Some(id), mark.at);
                Candidate { novelty: *novelty, ..candidate }
            }
        }
    }
}

impl Reply {
    pub(crate) fn to_json(&self) -> String {
        match self {
            Self::One(answer) => serde_json::to_string(answer),
            Self::Many(answers) => serde_json::to_string(answers),
            Self::Stored(json) => return json.clone(),
        }
        .expect("strings always serialize")
    }
}

fn begins_with_a_bracket(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// One event of an array.
fn plain(json: &[u8], now: Timestamp) -> Result<WellFormed, Vec<FieldError>> {
    let event: NewEvent = ringback_api::parse(json).map_err(|problem| field_errors(&problem))?;
    event.check(now)
}

fn to_accept(event: WellFormed, caller: &Caller) -> Result<ToAccept, Vec<FieldError>> {
    let wrong = |detail: &str| Err(vec![FieldError::new(&*event.account_at, detail)]);
    match caller.account_for(event.account.clone()) {
        Ok(Some(account)) => Ok(ToAccept { event, account }),
        Ok(None) => wrong("the event's account is needed"),
        Err(problem) => wrong(problem.detail()),
    }
}

/// Tells whether a request is the same again: its body, and its attributes if they stand in headers.
fn fingerprint(submission: &Submission<'_>) -> String {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    hash.update(submission.body);
    if let Form::BinaryCloudEvent(attributes) = &submission.form {
        hash.update([0]);
        hash.update(attributes.to_bytes());
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes it");
        hex
    })
}

/// What is wrong with one event of an array: where it can't be read at all, the whole of it is.
pub(crate) fn field_errors(problem: &Problem) -> Vec<FieldError> {
    match problem.errors() {
        [] => vec![FieldError::new("", problem.detail())],
        errors => errors.to_vec(),
    }
}

fn in_progress() -> Problem {
    Problem::conflict("the same request is being worked on right now: ask again in a moment")
        .retry_after(Duration::from_secs(1))
}
