//! Names of things: typed UUIDs, so that a callback's id can't be passed where an event's belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::event::Account;

/// The text is no UUID.
#[derive(Debug, thiserror::Error)]
#[error("not a UUID such as 0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21")]
pub struct InvalidId(#[source] uuid::Error);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id of this UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// A new UUIDv7: made of the time, so that rows written together stand together, and of 74 random bits.
            #[must_use]
            pub fn from_parts(now: crate::Timestamp, random: [u8; 10]) -> Self {
                let ms = u64::try_from(now.ms()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self).map_err(InvalidId)
            }
        }
    };
}

uuid_id! {
    /// Names one event within its account. Made by ingest, or chosen by the producer.
    EventId
}
uuid_id! {
    /// Names one callback.
    CallbackId
}
uuid_id! {
    /// Names one delivery: computed, never drawn, see [`DeliveryId::of`].
    DeliveryId
}
uuid_id! {
    /// Names one API key (it is not the key).
    ApiKeyId
}
uuid_id! {
    /// Names one bulk replay.
    ReplayId
}
uuid_id! {
    /// Names one request that the log callback was sent.
    LoggedRequestId
}

impl CallbackId {
    /// The one callback that an account registers by Conga Sign's call.
    ///
    /// Computed from the account, so that of two registrations at the same time, in one process or in two, the second
    /// meets the first one's row. Version 8 of RFC 9562, "custom".
    #[must_use]
    pub fn of_registration(account: &Account) -> Self {
        let mut hash = Sha256::new();
        // Nothing else that is hashed into an id here begins so.
        hash.update(b"ringback registered callback");
        hash.update([0]);
        hash.update(account.as_str().as_bytes());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Uuid::new_v8(bytes))
    }
}

impl DeliveryId {
    /// The delivery of this event to this callback.
    ///
    /// Computed from its parts, so that whoever resolves the event again after a crash comes to the same id and meets
    /// what is already recorded. `generation` counts replays: 0 is the first delivery.
    ///
    /// The first 48 bits are those of the event's id where that is a UUIDv7 (its time), so that new rows go to the end
    /// of the index and not all over it; the rest is a hash. Version 8 of RFC 9562, "custom".
    #[must_use]
    pub fn of(account: &Account, event: EventId, callback: CallbackId, generation: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(account.as_str().as_bytes());
        hash.update([0]);
        hash.update(event.0.as_bytes());
        hash.update(callback.0.as_bytes());
        hash.update(generation.to_be_bytes());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        if event.0.get_version_num() == 7 {
            bytes[..6].copy_from_slice(&event.0.as_bytes()[..6]);
        }
        Self(Uuid::new_v8(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn account(name: &str) -> Account {
        name.parse().expect("a valid account")
    }

    #[test]
    fn delivery_id_depends_on_each_of_its_parts() {
        let event = EventId::from_parts(Timestamp::from_ms(1_000), [1; 10]);
        let callback = CallbackId::from_parts(Timestamp::from_ms(1_000), [2; 10]);
        let id = DeliveryId::of(&account("acme"), event, callback, 0);
        let other_event = EventId::from_parts(Timestamp::from_ms(1_000), [3; 10]);
        let other_callback = CallbackId::from_parts(Timestamp::from_ms(1_000), [3; 10]);
        assert_eq!(id, DeliveryId::of(&account("acme"), event, callback, 0));
        assert_ne!(id, DeliveryId::of(&account("other"), event, callback, 0));
        assert_ne!(id, DeliveryId::of(&account("acme"), other_event, callback, 0));
        assert_ne!(id, DeliveryId::of(&account("acme"), event, other_callback, 0));
        assert_ne!(id, DeliveryId::of(&account("acme"), event, callback, 1));
    }

    #[test]
    fn registered_callback_has_the_id_of_its_account() {
        let id = CallbackId::of_registration(&account("acme"));
        // Rows outlive versions: another id would make a second callback of each account's.
        assert_eq!(id.to_string(), "873c1773-35c9-8368-9407-d68e5926bdcb");
        assert_ne!(id, CallbackId::of_registration(&account("acme2")));
    }

    #[test]
    fn deliveries_of_later_events_sort_later() {
        let callback = CallbackId::from_parts(Timestamp::EPOCH, [2; 10]);
        let at = |ms| {
            let event = EventId::from_parts(Timestamp::from_ms(ms), [9; 10]);
            DeliveryId::of(&account("acme"), event, callback, 0)
        };
        assert!(at(1_000_000) < at(1_000_001));
    }
}
