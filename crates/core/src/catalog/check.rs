//! Whether an event is what its type says.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use serde_json::value::RawValue;

use super::{EventType, Variable, VariableType};
use crate::{Timestamp, Variables};

/// What is wrong with one variable of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The variable's name.
    pub variable: String,
    /// What is wrong with it.
    pub broken: Broken,
}

/// What a value is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The type requires it, and it is absent or null.
    Missing,
    /// It is of another type.
    Type {
        /// What it should be.
        expected: VariableType,
        /// What it is instead.
        found: &'static str,
    },
    /// It has too many characters.
    Length {
        /// So many.
        chars: usize,
        /// The most it may have.
        limit: NonZeroU32,
    },
}

/// Names the variable; its value never, for it may be a secret in the wrong place.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.variable;
        match self.broken {
            Broken::Missing => write!(f, "{name} is required"),
            Broken::Type { expected, found } => {
                write!(f, "{name} is {}, got {found}", in_words(expected))
            }
            Broken::Length { chars, limit } => {
                write!(f, "{name} has {chars} characters, and {limit} is the most")
            }
        }
    }
}

const fn in_words(kind: VariableType) -> &'static str {
    match kind {
        VariableType::String => "a string",
        VariableType::Integer => "a whole number",
        VariableType::Number => "a number",
        VariableType::Boolean => "true or false",
        VariableType::Timestamp => "an RFC 3339 time such as 2026-01-02T03:04:05.678Z",
        VariableType::Object => "an object",
        VariableType::Array => "an array",
        VariableType::Any => "any value",
    }
}

/// All that is wrong with the variables of an event of this type. Variables that the type does not know are its
/// producer's own affair.
#[must_use]
pub fn check(kind: &EventType, variables: &Variables) -> Vec<Violation> {
    let broken = |variable: &Variable| {
        let broken = broken(variable, variables.get(&variable.name))?;
        Some(Violation { variable: variable.name.clone(), broken })
    };
    kind.variables.iter().filter_map(broken).collect()
}

/// What is wrong with this value of a variable, if anything.
pub(super) fn broken(variable: &Variable, value: Option<&RawValue>) -> Option<Broken> {
    let Some(json) = value.map(RawValue::get).filter(|json| *json != "null") else {
        return variable.required.then_some(Broken::Missing);
    };
    if !is_of(variable.kind, json) {
        return Some(Broken::Type { expected: variable.kind, found: found(json) });
    }
    let limit = variable.max_length?;
    let chars = chars_of(json)?;
    let is_longer = u32::try_from(chars).map_or(true, |chars| chars > limit.get());
    is_longer.then_some(Broken::Length { chars, limit })
}

fn is_of(kind: VariableType, json: &str) -> bool {
    let begins_with = |first: char| json.starts_with(first);
    match kind {
        VariableType::String => begins_with('"'),
        VariableType::Integer => is_number(json) && is_whole(json),
        VariableType::Number => is_number(json),
        VariableType::Boolean => matches!(json, "true" | "false"),
        VariableType::Timestamp => serde_json::from_str::<Timestamp>(json).is_ok(),
        VariableType::Object => begins_with('{'),
        VariableType::Array => begins_with('['),
        VariableType::Any => true,
    }
}

fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Of a number: whether it is written as a whole one. `1.0` is, as in JSON Schema.
fn is_whole(number: &str) -> bool {
    let (_, fraction) = number.split_once('.').unwrap_or((number, ""));
    !number.contains(['e', 'E']) && fraction.bytes().all(|digit| digit == b'0')
}

fn found(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "true or false",
        Some(b'n') | None => "null",
        Some(_) => "a number",
    }
}

/// The characters of a string; none if it is none.
fn chars_of(json: &str) -> Option<usize> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    // Half a surrogate pair (`\ud83d` alone) is valid JSON and no text: it counts as it was written.
    let text = serde_json::from_str::<Cow<'_, str>>(json).unwrap_or(Cow::Borrowed(inside));
    Some(text.chars().count())
}
