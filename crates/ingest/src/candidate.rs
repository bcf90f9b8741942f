//! Well-formed events on their way to the queue: is it a repeat, publish, remember. The same for HTTP and for AMQP.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ringback_broker::PublishError;
use ringback_core::dispatch::Novelty;
use ringback_core::{Account, Dispatch, Event, EventId, Timestamp};
use ringback_idempotency::{Begun, RequestKey};
use ringback_runtime::trace::SpanKind;

use crate::accept::Ingest;
use crate::spans;
use crate::wire::WellFormed;

/// How long ids and keys that a client chose are remembered.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// An event as it will be, unless it came before.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) event: Arc<Event>,
    /// If its producer chose its id.
    pub(crate) key: Option<RequestKey>,
    pub(crate) novelty: Novelty,
    /// When the work on it began.
    pub(crate) began: Instant,
}

/// What is to be done with a candidate.
pub(crate) enum Decision {
    /// It goes on the queue.
    Take(Candidate),
    /// It was accepted before.
    Repeat(EventId),
    /// Another request with its id is being worked on.
    Busy(Candidate),
}

impl WellFormed {
    /// `made_id` is its id if its producer chose none; none: any that is free.
    pub(crate) fn into_candidate(
        self,
        account: Account,
        made_id: Option<EventId>,
        accepted_at: Timestamp,
    ) -> Candidate {
        let id = self.id.or(made_id).unwrap_or_else(|| new_id(accepted_at));
        let chosen = self.id.is_some();
        Candidate {
            key: chosen.then(|| RequestKey::Event { account: account.clone(), id }),
            novelty: Novelty::New,
            began: Instant::now(),
            event: Arc::new(Event {
                id,
                name: self.name,
                account,
                time: self.time.unwrap_or(accepted_at),
                accepted_at,
                deliver_at: self.deliver_at,
                variables: self.variables,
                trace: self.trace,
            }),
        }
    }
}

impl Ingest {
    /// Recognises repeats: an id that its producer chose may have come before, or twice among these.
    pub(crate) async fn recognise(&self, candidates: Vec<Candidate>) -> Vec<Decision> {
        let mut here = HashSet::new();
        let asked: Vec<_> = candidates
            .into_iter()
            .map(|candidate| {
                let is_second = candidate.key.clone().is_some_and(|key| !here.insert(key));
                (candidate, is_second)
            })
            .collect();
        join_all(asked.into_iter().map(async |(candidate, is_second)| {
            let Some(key) = &candidate.key else { return Decision::Take(candidate) };
            if is_second {
                return Decision::Repeat(candidate.event.id);
            }
            // A repeat of an unfinished one is the same event, accepted when the first was.
            let mark = candidate.event.accepted_at.ms().to_string();
            let begun = self.idempotency.begin(key, "", REMEMBERED, &mark).await;
            candidate.decide(self.memory.told(begun))
        }))
        .await
    }

    /// Publishes what is to be taken, and remembers it.
    ///
    /// # Errors
    /// [`PublishError`]: a repeat of it is none.
    pub(crate) async fn publish(
        &self,
        mut taken: Vec<Candidate>,
        kind: SpanKind,
    ) -> Result<(), PublishError> {
        if taken.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = taken.iter().filter_map(|candidate| candidate.key.clone()).collect();
        let spans = spans::begin(&self.tracer, kind, &mut taken);
        let dispatches = taken.into_iter().map(Candidate::into_dispatch).collect();
        let published = self.broker.publish(dispatches).await;
        spans::end(spans, &published);
        join_all(keys.iter().map(|key| self.end(key, &published))).await;
        published
    }

    /// Undoes the beginning of events that are not published after all.
    pub(crate) async fn put_back(&self, decided: &[Decision]) {
        for decision in decided {
            let Decision::Take(Candidate { key: Some(key), novelty, .. }) = decision else {
                continue;
            };
            let ended = match novelty {
                Novelty::New => self.idempotency.abandon(key).await,
                Novelty::PerhapsRepeated => self.idempotency.leave_open(key).await,
            };
            self.memory.told(ended);
        }
    }

    async fn end(&self, key: &RequestKey, published: &Result<(), PublishError>) {
        let ended = match published {
            Ok(()) => self.idempotency.complete(key, "").await,
            Err(PublishError::Full(_)) => self.idempotency.abandon(key).await,
            // What was published may be on the queue all the same.
            Err(PublishError::Unavailable(_)) => self.idempotency.leave_open(key).await,
        };
        self.memory.told(ended);
    }
}

impl Candidate {
    /// `begun` is none if nobody remembers what came before: the history has to be asked then.
    fn decide(self, begun: Option<Begun>) -> Decision {
        match begun {
            Some(Begun::New) => Decision::Take(self),
            Some(Begun::Unfinished { mark }) => Decision::Take(self.perhaps_repeated(&mark)),
            None => Decision::Take(self.in_doubt()),
            // Whatever the second one says: the same id is the same event.
            Some(Begun::Done { .. } | Begun::Conflict) => Decision::Repeat(self.event.id),
            Some(Begun::InProgress) => Decision::Busy(self),
        }
    }

    fn perhaps_repeated(mut self, mark: &str) -> Self {
        if let Ok(at_ms) = mark.parse() {
            Arc::make_mut(&mut self.event).accepted_at = Timestamp::from_ms(at_ms);
        }
        self.in_doubt()
    }

    /// The history has to be asked before it is delivered.
    pub(crate) fn in_doubt(self) -> Self {
        Self { novelty: Novelty::PerhapsRepeated, ..self }
    }

    fn into_dispatch(self) -> Dispatch {
        Dispatch { novelty: self.novelty, ..Dispatch::of_event(self.event) }
    }
}

fn new_id(now: Timestamp) -> EventId {
    let mut random = [0; 10];
    // Fails only where the system has no source of randomness at all, and then nothing here is safe.
    getrandom::fill(&mut random).expect("the system gives random bytes");
    EventId::from_parts(now, random)
}
