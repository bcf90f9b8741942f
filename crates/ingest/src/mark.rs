//! What the events of a request with an Idempotency-Key have in common: their ids, and when they were accepted.

use std::fmt;

use ringback_core::{EventId, Timestamp};
use ringback_idempotency::RequestKey;
use uuid::Uuid;

/// Ids of events whose request has an Idempotency-Key are UUIDv5 in this namespace, made of the mark's name: whoever
/// repeats the request comes to the same.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_0f52_8c1b_4d0e_9a57_2f3c_71e8_a4b6);

/// Kept with an Idempotency-Key: the same for all repeats of a request, and no other request's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    name: String,
    /// When the first of them was accepted: the history keeps an event under its day.
    pub(crate) at: Timestamp,
}

impl Mark {
    /// The mark of a request that is made now.
    ///
    /// The same for the same key, body and day (UTC): a repeat finds the event even where nobody remembers the first.
    /// Another one for the same key after it is forgotten, for that is a day later at least.
    pub(crate) fn of_request(key: &RequestKey, fingerprint: &str, now: Timestamp) -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
        let day = now.ms().div_euclid(DAY_MS);
        let name = match key {
            RequestKey::Header { account, key } => {
                let account = account.as_ref().map_or("", |account| account.as_str());
                format!("{day}/{account}/{key}/{fingerprint}")
            }
            RequestKey::Event { account, id } => format!("{day}/{account}/{id}/{fingerprint}"),
        };
        Self { name: Uuid::new_v5(&KEY_NAMESPACE, name.as_bytes()).simple().to_string(), at: now }
    }

    /// The mark that was kept, as it was written; or this one's time with it, if it was written without.
    pub(crate) fn of(kept: &str, now: Self) -> Self {
        match kept.split_once('@').map(|(name, at)| (name, at.parse())) {
            Some((name, Ok(at_ms))) => {
                Self { name: name.to_owned(), at: Timestamp::from_ms(at_ms) }
            }
            _ => Self { name: kept.to_owned(), at: now.at },
        }
    }

    /// The id of the event at this place of the request.
    pub(crate) fn event_id(&self, index: usize) -> EventId {
        let name = format!("{}/{index}", self.name);
        EventId::from_uuid(Uuid::new_v5(&KEY_NAMESPACE, name.as_bytes()))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.name, self.at.ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_000);

    fn header(key: &str) -> RequestKey {
        RequestKey::Header { account: None, key: key.to_owned() }
    }

    #[test]
    fn kept_mark_gives_the_same_ids_and_the_same_time() {
        let first = Mark::of_request(&header("a"), "f", NOW);
        let again = Mark::of_request(&header("b"), "f", Timestamp::from_ms(9_000));
        let again = Mark::of(&first.to_string(), again);
        assert_eq!(again, first);
        assert_eq!(again.event_id(3), first.event_id(3));
        assert_ne!(first.event_id(3), first.event_id(4));
    }

    #[test]
    fn repeat_of_the_day_comes_to_the_same_ids_and_nothing_else_does() {
        let id = |key: &RequestKey, fingerprint: &str, ms: i64| {
            Mark::of_request(key, fingerprint, Timestamp::from_ms(ms)).event_id(0)
        };
        let first = id(&header("a"), "f", 1_000);
        assert_eq!(first, id(&header("a"), "f", 9_000));
        assert_ne!(first, id(&header("a"), "g", 1_000), "another body");
        assert_ne!(first, id(&header("b"), "f", 1_000), "another key");
        assert_ne!(first, id(&header("a"), "f", 24 * 60 * 60 * 1_000), "the next day");
        let acme = Some("acme".parse().expect("an account"));
        let of_account = RequestKey::Header { account: acme, key: "a".to_owned() };
        assert_ne!(first, id(&of_account, "f", 1_000), "another caller's");
    }
}
