//! What happened: an event, with its name, its account and its variables.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::{EventId, Timestamp, TraceContext};

/// Something that happened at a producer, and that subscribers are told of.
#[derive(Clone, Debug)]
pub struct Event {
    /// Unique within the account.
    pub id: EventId,
    /// Which kind of event.
    pub name: EventName,
    /// The tenant it belongs to.
    pub account: Account,
    /// When it happened, says the producer; when it was accepted, if the producer did not say.
    pub time: Timestamp,
    /// When Ringback took it over.
    pub accepted_at: Timestamp,
    /// Its deliveries begin then; none: at once. Who gets it is decided when it is accepted all the same.
    pub deliver_at: Option<Timestamp>,
    /// What is known of it.
    pub variables: Variables,
    /// Where in a trace it stands, while it is on its way; the history does not keep it.
    pub trace: Option<TraceContext>,
}

/// A text of 1 to `max` characters out of a small alphabet.
fn is_word(text: &str, max: usize, also: &[u8]) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $max:literal, $also:literal, $error:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        /// The text breaks the rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($rule)]
        pub struct $error;

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if is_word(text, $max, $also) { Ok(Self(text.into())) } else { Err($error) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

word! {
    /// The kind of an event, such as `COMMENT_CREATED`: 1 to 128 of `A-Z a-z 0-9 _ . -`.
    EventName, 128, b"_.-", InvalidEventName, "an event name is 1 to 128 characters out of A-Z a-z 0-9 _ . -"
}
word! {
    /// A tenant: 1 to 64 of `A-Z a-z 0-9 _ -`.
    Account, 64, b"_-", InvalidAccount, "an account is 1 to 64 characters out of A-Z a-z 0-9 _ -"
}

/// What is known of an event: a JSON object, its members in the order they came, each value to the letter.
///
/// Values stay text, because Ringback passes them on and does not own them: `1.10` must not become `1.1`, nor
/// `12345678901234567890` lose its end, on the way through.
#[derive(Clone, Debug, Default)]
pub struct Variables(Vec<(String, Box<RawValue>)>);

impl Variables {
    /// The most members an event may have.
    pub const LEN_MAX: usize = 1_000;

    /// Name and JSON text of each, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// The JSON text of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON object as text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and raw values always serialize")
    }
}

impl PartialEq for Variables {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|((a, x), (b, y))| a == b && x.get() == y.get())
    }
}

impl Serialize for Variables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Variables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if members.len() == Variables::LEN_MAX {
                        return Err(serde::de::Error::custom(format!(
                            "an event has at most {} variables",
                            Variables::LEN_MAX
                        )));
                    }
                    members.push((name, value));
                }
                // A reader of JSON keeps one of two equal names, and readers differ in which: refused, so that nobody
                // is told something else than his neighbour.
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(serde::de::Error::custom(format!(
                        "`{}` stands there twice",
                        twice[0]
                    )));
                }
                Ok(Variables(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_come_out_to_the_letter() {
        let json = r#"{"b":1.10,"a":12345678901234567890,"c":{"x" : [1, 2]},"d":"\u00e9"}"#;
        let variables: Variables = serde_json::from_str(json).expect("valid");
        assert_eq!(variables.to_json(), json);
        assert_eq!(variables.get("a").map(RawValue::get), Some("12345678901234567890"));
    }

    #[test]
    fn variables_refuse_a_name_twice_and_what_is_no_object() {
        assert!(serde_json::from_str::<Variables>(r#"{"a":1,"a":2}"#).is_err());
        assert!(serde_json::from_str::<Variables>("[]").is_err());
    }

    #[test]
    fn variables_are_at_most_a_thousand() {
        let object = |n: usize| {
            let members: Vec<_> = (0..n).map(|i| format!("\"k{i}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(serde_json::from_str::<Variables>(&object(1_000)).is_ok());
        assert!(serde_json::from_str::<Variables>(&object(1_001)).is_err());
    }

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        assert!("COMMENT_CREATED".parse::<EventName>().is_ok());
        assert!("a.b-c".parse::<EventName>().is_ok());
        assert!("a".repeat(128).parse::<EventName>().is_ok());
        for bad in ["", " ", "a b", "ä", "*", &"a".repeat(129)] {
            assert!(bad.parse::<EventName>().is_err(), "{bad}");
        }
        assert!("acme.eu".parse::<Account>().is_err());
        assert!("a".repeat(65).parse::<Account>().is_err());
    }
}
