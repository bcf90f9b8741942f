//! What Ringback says of itself, as events: a callback was disabled, a delivery exhausted, a circuit opened or closed.
//!
//! They are delivered as any event is, to callbacks that ask for them (see [`EventFilter`](crate::filter::EventFilter)).
//! Their names begin with `ringback.`, which producers can't use. Nothing that happens to such a delivery makes another
//! operational event, so a listener that fails can't keep itself busy.

use std::num::NonZeroU32;

use serde::Serialize;
use uuid::Uuid;

use crate::callback::DisabledReason;
use crate::{
    Account, Callback, CallbackId, DeliveryId, Event, EventId, EventName, Outcome, Timestamp,
};

/// What names of Ringback's own events begin with.
pub const NAME_PREFIX: &str = "ringback.";

/// What an instance callback's own events belong to. No key, callback nor event of a producer may: so they are seen by
/// instance callbacks alone.
pub const INSTANCE_ACCOUNT: &str = "_ringback";

/// Ids of operational events are UUIDv5 in this namespace, made of what happened: whoever tells it again tells the same.
const NAMESPACE: Uuid = Uuid::from_u128(0x8e0a_3c57_51d6_4a1b_b6f4_09c2_7e43_d1a5);

/// Something that happened in Ringback.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// A callback takes no deliveries any more.
    CallbackDisabled {
        /// Which one, as it was or as it is now.
        callback: &'a Callback,
        /// Why.
        reason: DisabledReason,
        /// The change of the callback that did it.
        at: Timestamp,
    },
    /// A delivery is given up on: its policy is spent, or its endpoint is gone.
    DeliveryExhausted {
        /// Which one.
        delivery: DeliveryId,
        /// What was delivered.
        event: &'a Event,
        /// To whom.
        callback: CallbackId,
        /// Attempts made, those of earlier series among them.
        attempts: NonZeroU32,
        /// The number of the series' first attempt: a delivery that is tried again by hand may be exhausted again.
        series_start: NonZeroU32,
        /// What the last attempt met.
        outcome: &'a Outcome,
    },
    /// A worker leaves an endpoint alone that fails.
    CircuitOpened {
        /// Whose endpoint.
        callback: &'a Callback,
        /// Which worker: each judges for itself.
        worker: Uuid,
        /// When.
        at: Timestamp,
        /// Failures in a row.
        failures: u32,
    },
    /// The endpoint answers that worker again.
    CircuitClosed {
        /// Whose endpoint.
        callback: &'a Callback,
        /// Which worker.
        worker: Uuid,
        /// When.
        at: Timestamp,
        /// Since when it was open.
        open_since: Timestamp,
    },
}

/// The name of [`Happening::CallbackDisabled`].
const CALLBACK_DISABLED: &str = "ringback.callback.disabled";
/// The name of [`Happening::DeliveryExhausted`].
const DELIVERY_EXHAUSTED: &str = "ringback.delivery.exhausted";
/// The name of [`Happening::CircuitOpened`].
const CIRCUIT_OPENED: &str = "ringback.circuit.opened";
/// The name of [`Happening::CircuitClosed`].
const CIRCUIT_CLOSED: &str = "ringback.circuit.closed";

/// The names of all operational events.
pub const NAMES: [&str; 4] =
    [CALLBACK_DISABLED, DELIVERY_EXHAUSTED, CIRCUIT_OPENED, CIRCUIT_CLOSED];

/// Whether only Ringback itself may give an event this name.
#[must_use]
pub fn is_reserved(name: &EventName) -> bool {
    name.as_str().starts_with(NAME_PREFIX)
}

/// [`INSTANCE_ACCOUNT`], as an account.
///
/// # Panics
/// Never: it keeps to the rule of accounts.
#[must_use]
pub fn instance_account() -> Account {
    INSTANCE_ACCOUNT.parse().expect("it keeps to the rule of accounts")
}

impl Account {
    /// Whether it is [`INSTANCE_ACCOUNT`], which nobody may use.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_str() == INSTANCE_ACCOUNT
    }
}

impl Happening<'_> {
    /// The name of its event.
    ///
    /// # Panics
    /// Never: they keep to the rule of names.
    #[must_use]
    pub fn name(&self) -> EventName {
        self.kind().parse().expect("it keeps to the rule of names")
    }

    /// The account of its event: that of the delivery, or of the callback.
    #[must_use]
    pub fn account(&self) -> Account {
        match self {
            Self::DeliveryExhausted { event, .. } => event.account.clone(),
            Self::CallbackDisabled { callback, .. }
            | Self::CircuitOpened { callback, .. }
            | Self::CircuitClosed { callback, .. } => {
                callback.account.clone().unwrap_or_else(instance_account)
            }
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::CallbackDisabled { .. } => CALLBACK_DISABLED,
            Self::DeliveryExhausted { .. } => DELIVERY_EXHAUSTED,
            Self::CircuitOpened { .. } => CIRCUIT_OPENED,
            Self::CircuitClosed { .. } => CIRCUIT_CLOSED,
        }
    }

    /// It as an event, accepted now. Its id is computed: told again, it is the same.
    ///
    /// # Panics
    /// Never: what is written as JSON is an object.
    #[must_use]
    pub fn event(&self, now: Timestamp) -> Event {
        let variables =
            serde_json::to_string(&self.variables()).expect("texts and numbers serialize");
        let time = match self {
            Self::DeliveryExhausted { .. } => now,
            Self::CallbackDisabled { at, .. }
            | Self::CircuitOpened { at, .. }
            | Self::CircuitClosed { at, .. } => *at,
        };
        Event {
            id: self.id(),
            name: self.name(),
            account: self.account(),
            time,
            accepted_at: now,
            deliver_at: None,
            variables: serde_json::from_str(&variables).expect("an object was written"),
            trace: None,
        }
    }

    /// The id of its event.
    #[must_use]
    pub fn id(&self) -> EventId {
        let of = match self {
            Self::CallbackDisabled { callback, at, .. } => format!("{}/{}", callback.id, at.ms()),
            Self::DeliveryExhausted { delivery, series_start, .. } => {
                format!("{delivery}/{series_start}")
            }
            Self::CircuitOpened { callback, worker, at, .. }
            | Self::CircuitClosed { callback, worker, at, .. } => {
                format!("{}/{worker}/{}", callback.id, at.ms())
            }
        };
        let name = format!("{}/{of}", self.kind());
        EventId::from_uuid(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    fn variables(&self) -> Variables<'_> {
        match *self {
            Self::CallbackDisabled { callback, reason, at } => Variables::Disabled {
                callback: callback.id,
                reason: reason.as_str(),
                disabled_at: at,
            },
            Self::DeliveryExhausted { delivery, event, callback, attempts, outcome, .. } => {
                Variables::Exhausted {
                    delivery,
                    callback,
                    event: event.id,
                    event_name: &event.name,
                    attempts: attempts.get(),
                    outcome: outcome.kind(),
                    status: status_of(outcome),
                }
            }
            Self::CircuitOpened { callback, worker, at, failures } => Variables::Opened {
                callback: callback.id,
                worker,
                failures,
                since: at,
                open_for_seconds: callback.circuit.open_for.as_secs(),
            },
            Self::CircuitClosed { callback, worker, open_since, .. } => {
                Variables::Closed { callback: callback.id, worker, open_since }
            }
        }
    }
}

fn status_of(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::HttpError { status, .. } => Some(*status),
        Outcome::Success { .. }
        | Outcome::Timeout { .. }
        | Outcome::Connection { .. }
        | Outcome::Blocked { .. } => None,
    }
}

/// As they stand in the events: docs/operational-events.md names them.
#[derive(Serialize)]
#[serde(untagged)]
enum Variables<'a> {
    Disabled {
        callback: CallbackId,
        reason: &'static str,
        disabled_at: Timestamp,
    },
    Exhausted {
        delivery: DeliveryId,
        callback: CallbackId,
        event: EventId,
        event_name: &'a EventName,
        attempts: u32,
        outcome: &'static str,
        status: Option<u16>,
    },
    Opened {
        callback: CallbackId,
        worker: Uuid,
        failures: u32,
        since: Timestamp,
        open_for_seconds: u64,
    },
    Closed {
        callback: CallbackId,
        worker: Uuid,
        open_since: Timestamp,
    },
}
#[cfg(test)]
mod tests {
    use super::*;

    fn exhausted<'a>(event: &'a Event, series_start: u32, outcome: &'a Outcome) -> Happening<'a> {
        let callback = CallbackId::from_parts(Timestamp::EPOCH, [2; 10]);
        Happening::DeliveryExhausted {
            delivery: DeliveryId::of(&event.account, event.id, callback, 0),
            event,
            callback,
            attempts: NonZeroU32::new(4).expect("not zero"),
            series_start: NonZeroU32::new(series_start).expect("not zero"),
            outcome,
        }
    }

    fn event_of_acme() -> Event {
        Event {
            id: EventId::from_parts(Timestamp::EPOCH, [1; 10]),
            name: "COMMENT_CREATED".parse().expect("a name"),
            account: "acme".parse().expect("an account"),
            time: Timestamp::EPOCH,
            accepted_at: Timestamp::EPOCH,
            deliver_at: None,
            variables: crate::Variables::default(),
            trace: None,
        }
    }

    #[test]
    fn what_is_told_again_is_the_same_event_and_another_series_is_another() {
        let event = event_of_acme();
        let outcome = Outcome::HttpError { status: 503, retry_after: None };
        let first = exhausted(&event, 1, &outcome).event(Timestamp::from_ms(1));
        let again = exhausted(&event, 1, &outcome).event(Timestamp::from_ms(9));
        assert_eq!(first.id, again.id);
        assert_ne!(first.id, exhausted(&event, 5, &outcome).event(Timestamp::from_ms(1)).id);
        assert_eq!(
            (first.name.as_str(), first.account.as_str()),
            ("ringback.delivery.exhausted", "acme")
        );
        let variables: serde_json::Value =
            serde_json::from_str(&first.variables.to_json()).expect("JSON");
        assert_eq!(variables["event"], event.id.to_string());
        assert_eq!(variables["event_name"], "COMMENT_CREATED");
        assert_eq!(variables["attempts"], 4);
        assert_eq!(
            (&variables["outcome"], &variables["status"]),
            (&"http_error".into(), &503.into())
        );
    }

    /// A callback of this account or of none.
    fn callback(of: Option<&str>) -> Callback {
        let account = of.map(|name| name.parse().expect("an account"));
        Callback { account, ..crate::callback::tests::callback() }
    }

    #[test]
    fn what_is_told_is_what_the_catalog_says_and_belongs_to_whom_it_is_about() {
        let (own, instance) = (callback(Some("acme")), callback(None));
        let of = event_of_acme();
        let (worker, at) = (Uuid::nil(), Timestamp::from_ms(7));
        let outcome = Outcome::Timeout { reason: "no answer".to_owned() };
        for (happening, account) in [
            (exhausted(&of, 1, &outcome), "acme"),
            (
                Happening::CallbackDisabled { callback: &own, reason: DisabledReason::ByOwner, at },
                "acme",
            ),
            (
                Happening::CircuitOpened { callback: &instance, worker, at, failures: 3 },
                INSTANCE_ACCOUNT,
            ),
            (
                Happening::CircuitClosed { callback: &instance, worker, at, open_since: at },
                INSTANCE_ACCOUNT,
            ),
        ] {
            let event = happening.event(Timestamp::from_ms(9));
            assert_eq!(event.account.as_str(), account, "{}", event.name);
            let types = crate::catalog::built_in();
            let kind = types.iter().find(|kind| kind.name == event.name).expect("it is there");
            assert_eq!(crate::catalog::check(kind, &event.variables), [], "{}", event.name);
            let known: Vec<_> = kind.variables.iter().map(|variable| &*variable.name).collect();
            let told: Vec<_> = event.variables.iter().map(|(name, _)| name).collect();
            assert_eq!(told, known, "{}", event.name);
        }
    }

    #[test]
    fn reserved_is_what_begins_so_and_nothing_else() {
        let is_reserved = |name: &str| is_reserved(&name.parse().expect("a name"));
        assert!(is_reserved("ringback.test") && is_reserved("ringback."));
        assert!(!is_reserved("ringback") && !is_reserved("RINGBACK.test"));
        assert!(instance_account().is_reserved());
        assert!(!"_ringback2".parse::<Account>().expect("an account").is_reserved());
    }
}
