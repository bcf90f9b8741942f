//! The catalog: which types of events there are, and which variables each has.
//!
//! Types are built in, or somebody's own; an own one takes the place of a built-in one of the same name. The same data
//! checks events that come in and makes the reference page.

mod built_in;
mod check;
mod rules;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{EventName, Variables};

pub use built_in::built_in;
pub use check::{Broken, Violation, check};
pub use rules::{
    DESCRIPTION_CHARS_MAX, EXAMPLE_BYTES_MAX, Fault, LENGTH_MAX, NAME_CHARS_MAX,
    VARIABLE_DESCRIPTION_CHARS_MAX,
};

/// What events of one name are, and what is known of each.
///
/// Rows and the built-in catalog hold types in this form: members may be added with a default, never renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventType {
    /// The name of its events.
    pub name: EventName,
    /// What happened, for those who write receivers.
    #[serde(default)]
    pub description: String,
    /// The variables, in the order they are shown. Events may have others besides.
    #[serde(default)]
    pub variables: Vec<Variable>,
}

/// One variable of a type of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What its value is.
    #[serde(rename = "type", default)]
    pub kind: VariableType,
    /// The most characters that a string may have; none: as many as fit into an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<NonZeroU32>,
    /// Whether every event has it. One that is not required may be absent, or null.
    #[serde(default)]
    pub required: bool,
    /// What it says.
    #[serde(default)]
    pub description: String,
    /// A value as it may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Example>,
}

/// What the value of a variable is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableType {
    /// Text.
    String,
    /// A number without a fraction.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Text that is an RFC 3339 time.
    Timestamp,
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// Any JSON value.
    #[default]
    Any,
}

impl VariableType {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::String,
        Self::Integer,
        Self::Number,
        Self::Boolean,
        Self::Timestamp,
        Self::Object,
        Self::Array,
        Self::Any,
    ];

    /// The type that this word stands for, see [`as_str`](Self::as_str).
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word that stands in files, rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Object => "object",
            Self::Array => "array",
            Self::Any => "any",
        }
    }

    /// A value of it, as JSON, for those who gave no example.
    const fn example(self) -> &'static str {
        match self {
            Self::String | Self::Any => r#""text""#,
            Self::Integer => "1",
            Self::Number => "1.5",
            Self::Boolean => "true",
            Self::Timestamp => r#""2026-01-02T03:04:05.678Z""#,
            Self::Object => "{}",
            Self::Array => "[]",
        }
    }
}

/// An example: a JSON value, to the letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Example(Box<RawValue>);

impl Example {
    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &RawValue {
        &self.0
    }
}

impl From<Box<RawValue>> for Example {
    fn from(json: Box<RawValue>) -> Self {
        Self(json)
    }
}

impl PartialEq for Example {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl EventType {
    /// Variables as an event of this type may have them: each variable's example, or any value of its type.
    #[must_use]
    pub fn sample(&self) -> Variables {
        let members: Vec<_> = self
            .variables
            .iter()
            .map(|variable| {
                let name = serde_json::to_string(&variable.name).expect("a text always serializes");
                let example = variable.example.as_ref().map(|example| example.0.get());
                format!("{name}:{}", example.unwrap_or(variable.kind.example()))
            })
            .collect();
        // Fails only for a name that stands there twice, which the rules refuse.
        serde_json::from_str(&format!("{{{}}}", members.join(","))).unwrap_or_default()
    }
}

/// Where a type comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of Ringback.
    BuiltIn,
    /// Somebody added it.
    Own,
    /// Somebody put it in the place of the built-in type of the same name.
    ReplacesBuiltIn,
}

impl Origin {
    /// The word that stands in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built_in",
            Self::Own => "own",
            Self::ReplacesBuiltIn => "replaces_built_in",
        }
    }
}

/// All types that count.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog(BTreeMap<EventName, (EventType, Origin)>);

impl Catalog {
    /// The built-in types, and these, which take the place of built-in ones of the same name.
    pub fn with(own: impl IntoIterator<Item = EventType>) -> Self {
        let built_in = built_in().iter().cloned();
        let mut types: BTreeMap<_, _> =
            built_in.map(|kind| (kind.name.clone(), (kind, Origin::BuiltIn))).collect();
        for kind in own {
            let origin = match types.get(&kind.name) {
                None | Some((_, Origin::Own)) => Origin::Own,
                Some((_, Origin::BuiltIn | Origin::ReplacesBuiltIn)) => Origin::ReplacesBuiltIn,
            };
            types.insert(kind.name.clone(), (kind, origin));
        }
        Self(types)
    }

    /// One type, and where it comes from.
    #[must_use]
    pub fn get(&self, name: &EventName) -> Option<(&EventType, Origin)> {
        self.0.get(name).map(|(kind, origin)| (kind, *origin))
    }

    /// All types by their names, and where each comes from.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&EventType, Origin)> {
        self.0.values().map(|(kind, origin)| (kind, *origin))
    }
}

#[cfg(test)]
mod tests;
