//! The way of a request: parse, recognise repeats, publish, remember, answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ringback_api::{Caller, FieldError, Keys, Problem};
use ringback_broker::{Broker, PublishError};
use ringback_core::dispatch::Novelty;
use ringback_core::{Account, Dispatch, Event, EventId, Timestamp};
use ringback_idempotency::{Begun, Idempotency, RequestKey};
use ringback_runtime::{Clock, TaskGroup};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::wire::{Answer, Answers, NewEvent, WellFormed};

/// How long ids and keys that a client chose are remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The most events of one request.
const EVENTS_MAX: usize = 1_000;

/// Ids of events whose request has an Idempotency-Key are UUIDv5 in this namespace, made of the key's mark: whoever
/// repeats the request comes to the same.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_0f52_8c1b_4d0e_9a57_2f3c_71e8_a4b6);

/// Takes events in.
pub struct Ingest {
    broker: Arc<dyn Broker>,
    idempotency: Arc<dyn Idempotency>,
    clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<Keys>,
    event_bytes_max: usize,
    /// Requests that go on though their senders hang up.
    tasks: TaskGroup,
}

/// A request, as far as HTTP goes.
pub(crate) struct Submission<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// What is answered: one object, or an array's.
pub(crate) enum Reply {
    One(Answer),
    Many(Answers),
    /// What was answered to the first request with the same Idempotency-Key, as JSON.
    Stored(String),
}

impl Ingest {
    /// An ingest for these ports; `event_bytes_max` is the most that one event may have.
    #[must_use]
    pub fn new(
        broker: Arc<dyn Broker>,
        idempotency: Arc<dyn Idempotency>,
        clock: Arc<dyn Clock>,
        keys: Arc<Keys>,
        event_bytes_max: usize,
    ) -> Self {
        Self { broker, idempotency, clock, keys, event_bytes_max, tasks: TaskGroup::new() }
    }

    /// From a request to its answer.
    ///
    /// # Errors
    /// The problem to answer with. Nothing of the request is accepted then, as far as anybody can know.
    ///
    /// # Cancel safety
    /// A sender that hangs up drops this. What it may repeat goes on all the same, so that a repeat finds it done and
    /// not half-way.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        submission: Submission<'_>,
    ) -> Result<Reply, Problem> {
        let parsed = self.parse(&submission)?;
        let key = submission.idempotency_key.map(|key| RequestKey::Header {
            account: submission.caller.account().cloned(),
            key: key.to_owned(),
        });
        if key.is_none() && !parsed.has_chosen_id() {
            return self.accept_parsed(parsed, &Origin::Fresh).await;
        }
        let fingerprint = fingerprint(submission.body);
        let (answer, answered) = oneshot::channel();
        let ingest = self.clone();
        self.tasks.start(async move {
            let reply = match &key {
                Some(key) => ingest.accept_with_key(parsed, key, &fingerprint).await,
                None => ingest.accept_parsed(parsed, &Origin::Fresh).await,
            };
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
        let mark = random_mark();
        let begun = self.idempotency.begin(key, fingerprint, REMEMBERED, &mark).await;
        let origin = match begun.map_err(|error| no_idempotency(&error))? {
            Begun::New => Origin::Keyed { mark, novelty: Novelty::New },
            Begun::Unfinished { mark } => Origin::Keyed { mark, novelty: Novelty::PerhapsRepeated },
            Begun::InProgress => return Err(in_progress()),
            Begun::Conflict => return Err(Problem::idempotency_key_reused()),
            Begun::Done { answer } => return Ok(Reply::Stored(answer)),
        };
        let reply = self.accept_parsed(parsed, &origin).await;
        let ended = match &reply {
            Ok(reply) => self.idempotency.complete(key, &reply.to_json()).await,
            // Part of it may be on the queue: a repeat makes the same ids, and has to say so.
            Err(_) => self.idempotency.leave_open(key).await,
        };
        if let Err(error) = ended {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "an Idempotency-Key was not kept");
        }
        reply
    }

    // Parse: each event for itself, so that one bad one of an array does not take the others along.

    fn parse(&self, submission: &Submission<'_>) -> Result<Parsed, Problem> {
        let body = submission.body;
        let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        if !is_array {
            if body.len() > self.event_bytes_max {
                return Err(Problem::too_large(self.event_bytes_max));
            }
            let event: NewEvent = ringback_api::parse(body)?;
            let one = self.check(event, submission.caller).map_err(Problem::invalid)?;
            return Ok(Parsed::One(Box::new(one)));
        }
        let items: Vec<&serde_json::value::RawValue> = ringback_api::parse(body)?;
        if items.is_empty() || items.len() > EVENTS_MAX {
            let error = FieldError::new("", format!("an array has 1 to {EVENTS_MAX} events"));
            return Err(Problem::invalid(vec![error]));
        }
        let item = |text: &str| {
            if text.len() > self.event_bytes_max {
                let limit = self.event_bytes_max;
                return Err(vec![FieldError::new("", format!("larger than {limit} bytes"))]);
            }
            let event: NewEvent =
                ringback_api::parse(text.as_bytes()).map_err(|problem| field_errors(&problem))?;
            self.check(event, submission.caller)
        };
        Ok(Parsed::Many(items.into_iter().map(|raw| item(raw.get())).collect()))
    }

    fn check(&self, event: NewEvent, caller: &Caller) -> Result<ToAccept, Vec<FieldError>> {
        let event = event.check()?;
        match caller.account_for(event.account.clone()) {
            Ok(Some(account)) => Ok(ToAccept { event, account }),
            Ok(None) => Err(vec![FieldError::new("/account", "the event's account is needed")]),
            Err(problem) => Err(vec![FieldError::new("/account", problem.detail())]),
        }
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

    async fn take_in(&self, candidates: Vec<Checked>) -> Result<Vec<Answer>, Problem> {
        let decided = self.recognise(candidates).await?;
        if decided.iter().any(|decision| matches!(decision, Decision::Busy)) {
            // Another request with the same id may still come to nothing: neither yes nor no is known to be true.
            for decision in &decided {
                self.put_back(decision).await;
            }
            return Err(in_progress());
        }
        let mut dispatches = Vec::with_capacity(decided.len());
        let mut begun = Vec::new();
        let mut answers = Vec::with_capacity(decided.len());
        for decision in decided {
            match decision {
                Decision::Take(candidate) => {
                    answers.push(Answer::Accepted { id: candidate.event.id, duplicate: false });
                    let mut dispatch = Dispatch::of_event(Arc::new(candidate.event));
                    dispatch.novelty = candidate.novelty;
                    dispatches.push(dispatch);
                    begun.extend(candidate.key);
                }
                Decision::Repeat(id) => answers.push(Answer::Accepted { id, duplicate: true }),
                Decision::Refuse(errors) => answers.push(Answer::Rejected { errors }),
                Decision::Busy => return Err(in_progress()),
            }
        }
        let published = match dispatches.is_empty() {
            true => Ok(()),
            false => self.broker.publish(dispatches).await,
        };
        for key in &begun {
            self.end(key, published.as_ref().map(|()| String::new())).await;
        }
        published.map(|()| answers).map_err(Problem::from)
    }

    /// Undoes the beginning of an event that is not published after all.
    async fn put_back(&self, decision: &Decision) {
        let Decision::Take(Candidate { key: Some(key), novelty, .. }) = decision else { return };
        let ended = match novelty {
            Novelty::New => self.idempotency.abandon(key).await,
            Novelty::PerhapsRepeated => self.idempotency.leave_open(key).await,
        };
        if let Err(error) = ended {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "an event id was not put back");
        }
    }

    // Recognise repeats: an id that its producer chose may have come before, or twice in this very request.

    async fn recognise(&self, candidates: Vec<Checked>) -> Result<Vec<Decision>, Problem> {
        let mut here = HashSet::new();
        let decisions = candidates.into_iter().map(|candidate| {
            let candidate = match candidate {
                Ok(candidate) => candidate,
                Err(errors) => return Asked::Decided(Decision::Refuse(errors)),
            };
            match candidate.key.clone() {
                None => Asked::Decided(Decision::Take(candidate)),
                Some(key) if here.insert(key.clone()) => Asked::Of(candidate, key),
                Some(_) => Asked::Decided(Decision::Repeat(candidate.event.id)),
            }
        });
        let asked: Vec<Asked> = decisions.collect();
        let decided = join_all(asked.into_iter().map(|asked| async move {
            match asked {
                Asked::Decided(decision) => Ok(decision),
                Asked::Of(candidate, key) => {
                    let begun = self.idempotency.begin(&key, "", REMEMBERED, "").await?;
                    Ok(candidate.decide(begun))
                }
            }
        }));
        let decided: Result<_, ringback_idempotency::Error> = decided.await.into_iter().collect();
        decided.map_err(|error| no_idempotency(&error))
    }

    // Remember.

    async fn end(&self, key: &RequestKey, outcome: Result<String, &PublishError>) {
        let ended = match outcome {
            Ok(answer) => self.idempotency.complete(key, &answer).await,
            Err(PublishError::Full(_)) => self.idempotency.abandon(key).await,
            // What was published may be on the queue all the same.
            Err(PublishError::Unavailable(_)) => self.idempotency.leave_open(key).await,
        };
        if let Err(error) = ended {
            tracing::warn!(error = &error as &dyn std::error::Error, "an id or key was not kept");
        }
    }
}

/// Where a request comes from, as far as its events' ids go.
enum Origin {
    /// It has no Idempotency-Key.
    Fresh,
    /// It has one. The mark is the same for all repeats of it, and no other request's.
    Keyed { mark: String, novelty: Novelty },
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

/// An event as it will be, unless it came before.
struct Candidate {
    event: Event,
    /// If its producer chose its id.
    key: Option<RequestKey>,
    novelty: Novelty,
}

type Checked = Result<Candidate, Vec<FieldError>>;

enum Asked {
    Decided(Decision),
    Of(Candidate, RequestKey),
}

enum Decision {
    Take(Candidate),
    Repeat(EventId),
    Refuse(Vec<FieldError>),
    /// Another request with its id is being worked on.
    Busy,
}

impl Parsed {
    fn has_chosen_id(&self) -> bool {
        match self {
            Self::One(one) => one.event.id.is_some(),
            Self::Many(many) => many.iter().flatten().any(|one| one.event.id.is_some()),
        }
    }
}

impl ToAccept {
    /// `index` is the event's place in its request.
    fn into_candidate(self, index: usize, origin: &Origin, now: Timestamp) -> Candidate {
        let Self { event, account } = self;
        let (made_id, novelty) = match origin {
            Origin::Fresh => (None, Novelty::New),
            Origin::Keyed { mark, novelty } => {
                let name = format!("{mark}/{index}");
                let id = Uuid::new_v5(&KEY_NAMESPACE, name.as_bytes());
                (Some(EventId::from_uuid(id)), *novelty)
            }
        };
        let id = event.id.or(made_id).unwrap_or_else(|| new_id(now));
        let chosen = event.id.is_some();
        Candidate {
            key: chosen.then(|| RequestKey::Event { account: account.clone(), id }),
            novelty,
            event: Event {
                id,
                name: event.name,
                account,
                time: event.time.unwrap_or(now),
                accepted_at: now,
                variables: event.variables,
            },
        }
    }
}

impl Candidate {
    fn decide(self, begun: Begun) -> Decision {
        match begun {
            Begun::New => Decision::Take(self),
            Begun::Unfinished { .. } => {
                Decision::Take(Self { novelty: Novelty::PerhapsRepeated, ..self })
            }
            // Whatever the second one says: the same id is the same event.
            Begun::Done { .. } | Begun::Conflict => Decision::Repeat(self.event.id),
            Begun::InProgress => Decision::Busy,
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

fn new_id(now: Timestamp) -> EventId {
    let mut random = [0; 10];
    // Fails only where the system has no source of randomness at all, and then nothing here is safe.
    getrandom::fill(&mut random).expect("the system gives random bytes");
    EventId::from_parts(now, random)
}

/// Differs from every other one, so that the ids made of it do.
fn random_mark() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    uuid::Builder::from_random_bytes(random).into_uuid().simple().to_string()
}

fn fingerprint(body: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(body).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes it");
        hex
    })
}

/// What is wrong with one event of an array: where it can't be read at all, the whole of it is.
fn field_errors(problem: &Problem) -> Vec<FieldError> {
    match problem.errors() {
        [] => vec![FieldError::new("", problem.detail())],
        errors => errors.to_vec(),
    }
}

fn in_progress() -> Problem {
    Problem::conflict("the same request is being worked on right now: ask again in a moment")
        .retry_after(Duration::from_secs(1))
}

fn no_idempotency(error: &ringback_idempotency::Error) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "can't tell repeats apart");
    Problem::unavailable("repeated requests can't be told apart right now", Duration::from_secs(1))
}
