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
    /// One that differs from every other.
    pub(crate) fn random(now: Timestamp) -> Self {
        let mut random = [0; 16];
        // Fails only where the system has no source of randomness at all, and then nothing here is safe.
        getrandom::fill(&mut random).expect("the system gives random bytes");
        let name = uuid::Builder::from_random_bytes(random).into_uuid().simple().to_string();
        Self { name, at: now }
    }

    /// The same for the same key and body, whenever they come: for a time when nobody remembers.
    pub(crate) fn of_key(key: &RequestKey, fingerprint: &str, now: Timestamp) -> Self {
        let name = match key {
            RequestKey::Header { account, key } => {
                let account = account.as_ref().map_or("", |account| account.as_str());
                format!("{account}/{key}/{fingerprint}")
            }
            RequestKey::Event { account, id } => format!("{account}/{id}/{fingerprint}"),
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

    #[test]
    fn kept_mark_gives_the_same_ids_and_the_same_time() {
        let first = Mark::random(NOW);
        let again = Mark::of(&first.to_string(), Mark::random(Timestamp::from_ms(9_000)));
        assert_eq!(again, first);
        assert_eq!(again.event_id(3), first.event_id(3));
        assert_ne!(first.event_id(3), first.event_id(4));
        assert_ne!(first.event_id(3), Mark::random(NOW).event_id(3));
    }

    #[test]
    fn forgotten_request_comes_to_the_same_ids() {
        let key = |key: &str| RequestKey::Header { account: None, key: key.to_owned() };
        let later = Timestamp::from_ms(9_000);
        let (first, again) =
            (Mark::of_key(&key("a"), "f", NOW), Mark::of_key(&key("a"), "f", later));
        assert_eq!(first.event_id(0), again.event_id(0));
        assert_ne!(first.event_id(0), Mark::of_key(&key("a"), "g", NOW).event_id(0));
        assert_ne!(first.event_id(0), Mark::of_key(&key("b"), "f", NOW).event_id(0));
    }
}
