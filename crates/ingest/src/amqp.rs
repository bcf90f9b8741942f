//! Events that producers put on a queue themselves: checked, recognised, published, acked. What can't be taken is set
//! aside with the reason, never dropped and never in the way.
//!
//! **Invariants.** A message is acked once its event is durable on the dispatch queue, or it is durable among the
//! rejected. So each may come twice, and is then told by its id: an event without one, and without a `message_id`, can't be
//! told from another, and comes twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ringback_api::FieldError;
use ringback_broker::{Incoming, Intake, IntakeConsumer, IntakeReceipt, Rejection};
use ringback_core::{Account, EventId, TraceContext};
use ringback_metrics::Source;
use ringback_runtime::Shutdown;
use ringback_runtime::trace::SpanKind;
use uuid::Uuid;

use crate::accept::Ingest;
use crate::candidate::{Candidate, Decision};
use crate::cloud_event::{self, Attributes};
use crate::wire::NewEvent;

/// Messages taken together: they share publishes, and no one waits for more to come.
const BATCH: usize = 256;

/// How long what was fetched may take to be finished after the shutdown was requested.
const DRAIN: Duration = Duration::from_secs(5);

/// Ids made of a `message_id` that is no UUID are UUIDv5 in this namespace.
const MESSAGE_NAMESPACE: Uuid = Uuid::from_u128(0x1d2c_5a4e_4f0b_4c39_8a55_92c3_07d1_6be8);

impl Ingest {
    /// Takes events off a queue until asked to stop.
    ///
    /// # Errors
    /// If the queue can't be consumed from at all.
    pub async fn run_intake(
        self: Arc<Self>,
        intake: Arc<dyn Intake>,
        shutdown: Shutdown,
    ) -> Result<(), ringback_broker::Error> {
        let mut consumer = intake.consume().await?;
        loop {
            let batch = tokio::select! {
                batch = consumer.next(BATCH) => batch,
                () = shutdown.requested() => break,
            };
            if batch.is_empty() {
                break;
            }
            self.take_batch(&*consumer, batch, &shutdown).await;
        }
        consumer.stop().await;
        if tokio::time::timeout(DRAIN, consumer.finish()).await.is_err() {
            tracing::info!(
                "the intake queue was left without a goodbye: it hands out again what was not acked"
            );
        }
        Ok(())
    }

    async fn take_batch(
        &self,
        consumer: &dyn IntakeConsumer,
        batch: Vec<Incoming>,
        shutdown: &Shutdown,
    ) {
        self.catalog.refresh().await;
        let mut candidates = Vec::with_capacity(batch.len());
        let began = Instant::now();
        let mut receipts = Vec::with_capacity(batch.len());
        let mut rejected = Vec::new();
        for incoming in batch {
            match self.check_incoming(&incoming) {
                Ok(candidate) => {
                    candidates.push(candidate);
                    receipts.push(incoming.receipt);
                }
                Err(why) => rejected.push((incoming, why)),
            }
        }
        let rejecting = join_all(rejected.iter().map(async |(incoming, why)| {
            if set_aside(consumer, incoming, why, shutdown).await {
                self.count_set_aside(why);
            }
        }));
        let taking = async {
            if let Some(taken) = self.take(consumer, candidates, receipts, shutdown).await {
                self.metrics.took(Source::Amqp, began.elapsed(), taken);
            }
        };
        futures_util::join!(rejecting, taking);
    }

    /// Returns how many are on the queue now; none: the process stops before.
    async fn take(
        &self,
        consumer: &dyn IntakeConsumer,
        candidates: Vec<Candidate>,
        receipts: Vec<IntakeReceipt>,
        shutdown: &Shutdown,
    ) -> Option<usize> {
        let all = candidates.len();
        let mut taken: Vec<Candidate> = Vec::with_capacity(candidates.len());
        for decision in self.recognise(candidates).await {
            match decision {
                Decision::Take(candidate) => taken.push(candidate),
                // Whoever works on it may have died: the history tells them apart.
                Decision::Busy(candidate) => taken.push(candidate.in_doubt()),
                Decision::Repeat(_) => {}
            }
        }
        let publish = || self.publish(taken.clone(), SpanKind::Consumer);
        if !insist("publish events from the intake queue", publish, shutdown).await {
            return None;
        }
        self.metrics.events_accepted(Source::Amqp, taken.len());
        self.metrics.events_repeated(Source::Amqp, all - taken.len());
        for receipt in receipts {
            consumer.ack(receipt);
        }
        Some(taken.len())
    }

    fn check_incoming(&self, incoming: &Incoming) -> Result<Candidate, Rejection> {
        let kind = kind_of(incoming)?;
        if incoming.body.len() > self.event_bytes_max {
            let detail = format!(
                "{} bytes, where {} is the most (event_bytes_max)",
                incoming.body.len(),
                self.event_bytes_max
            );
            return Err(Rejection { reason: "too_large", detail });
        }
        let now = self.clock.now();
        let mut event = match kind {
            Kind::Plain => {
                let event: NewEvent = json(&incoming.body)?;
                event.check(now)
            }
            Kind::CloudEvent => {
                // Whether it is JSON at all has a word of its own.
                let _anything: &serde_json::value::RawValue = json(&incoming.body)?;
                cloud_event::structured(&incoming.body, now)
            }
            Kind::BinaryCloudEvent => {
                let attributes = Attributes::of_amqp(&incoming.cloud_event);
                cloud_event::binary(&attributes, &incoming.body, now)
            }
        }
        .map_err(|errors| invalid(&errors))?;
        let account = match &event.account {
            Some(account) => account.clone(),
            None => account_of(&incoming.routing_key)?,
        };
        self.catalog.check(&event, &account).map_err(|errors| invalid(&errors))?;
        event.id = event.id.or_else(|| id_of(incoming.message_id.as_deref()?, &account));
        event.trace = event.trace.or_else(|| {
            let parent = incoming.traceparent.as_deref()?;
            TraceContext::parse(parent, incoming.tracestate.as_deref())
        });
        Ok(event.into_candidate(account, None, now))
    }
}

/// How a message is written.
enum Kind {
    Plain,
    CloudEvent,
    BinaryCloudEvent,
}

fn kind_of(incoming: &Incoming) -> Result<Kind, Rejection> {
    let content_type = incoming.content_type.as_deref().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/cloudevents+json") {
        return Ok(Kind::CloudEvent);
    }
    // One of them is enough to tell what was meant: other headers of producers may begin like these.
    let required = ["specversion", "type", "source", "id"];
    let is_binary = incoming.cloud_event.iter().any(|(name, _)| required.contains(&name.as_str()));
    let built_upon_json = is_binary && cloud_event::is_json(essence);
    if !is_json(essence) && !built_upon_json {
        let detail = format!(
            "content type `{content_type}` is not taken: application/json or application/cloudevents+json"
        );
        return Err(Rejection { reason: "content_type", detail });
    }
    Ok(if is_binary { Kind::BinaryCloudEvent } else { Kind::Plain })
}

fn json<'de, T: serde::Deserialize<'de>>(body: &'de [u8]) -> Result<T, Rejection> {
    ringback_api::parse(body).map_err(|problem| match problem.errors() {
        [] => Rejection { reason: "not_json", detail: problem.detail().to_owned() },
        errors => invalid(errors),
    })
}

/// The account that a routing key `<account>.<name>` begins with.
fn account_of(routing_key: &str) -> Result<Account, Rejection> {
    let account: Option<Account> =
        routing_key.split('.').next().and_then(|account| account.parse().ok());
    account.filter(|account| !account.is_reserved()).ok_or_else(|| Rejection {
        reason: "invalid",
        detail: format!(
            "/account: the event's account is needed, there or as the routing key's first word (`{routing_key}`)"
        ),
    })
}

/// A UUID is kept; of anything else, an id is made that is the same for the same text and account.
fn id_of(message_id: &str, account: &Account) -> Option<EventId> {
    if message_id.is_empty() {
        return None;
    }
    let made = || {
        let name = format!("{account}/{message_id}");
        EventId::from_uuid(Uuid::new_v5(&MESSAGE_NAMESPACE, name.as_bytes()))
    };
    Some(message_id.parse().unwrap_or_else(|_| made()))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.is_empty() || essence.eq_ignore_ascii_case("application/json")
}

fn invalid(errors: &[FieldError]) -> Rejection {
    let said: Vec<_> =
        errors.iter().map(|error| format!("{}: {}", error.pointer, error.detail)).collect();
    Rejection { reason: "invalid", detail: said.join("; ") }
}

/// False: the process stops before.
/// What is wrong is not logged: it may quote what the producer wrote.
async fn set_aside(
    consumer: &dyn IntakeConsumer,
    incoming: &Incoming,
    why: &Rejection,
    shutdown: &Shutdown,
) -> bool {
    tracing::warn!(
        reason = why.reason,
        message_id = incoming.message_id,
        routing_key = incoming.routing_key,
        "a producer's message is set aside among the rejected, with what is wrong with it in its headers"
    );
    let reject = || consumer.reject(incoming, why);
    insist("set a producer's message aside", reject, shutdown).await
}

/// Does what has to be done, again and again while it fails. False: the process stops before, and the message comes again.
async fn insist<F>(what: &str, mut call: impl FnMut() -> F, shutdown: &Shutdown) -> bool
where
    F: Future<Output = Result<(), ringback_broker::PublishError>>,
{
    const PAUSE_MAX: Duration = Duration::from_secs(5);
    let mut pause = Duration::from_millis(100);
    loop {
        match call().await {
            Ok(()) => return true,
            Err(error) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "can't {what}, trying again in {pause:?}");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            () = shutdown.requested() => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_id_names_the_event_within_its_account() {
        let acme: Account = "acme".parse().expect("an account");
        let other: Account = "other".parse().expect("an account");
        let uuid = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";
        assert_eq!(id_of(uuid, &acme).expect("an id").to_string(), uuid);
        assert_eq!(id_of("order-7", &acme), id_of("order-7", &acme));
        assert_ne!(id_of("order-7", &acme), id_of("order-7", &other));
        assert_eq!(id_of("", &acme), None);
    }

    #[test]
    fn account_may_stand_in_the_routing_key_alone() {
        assert_eq!(account_of("acme.COMMENT_CREATED").expect("an account").as_str(), "acme");
        assert!(account_of("").expect_err("none").detail.contains("/account"));
    }

    #[test]
    fn json_is_told_by_its_media_type_whatever_its_parameters() {
        for json in ["application/json", "Application/JSON; charset=utf-8", ""] {
            assert!(is_json(json), "{json}");
        }
        assert!(!is_json("text/xml"));
    }
}
