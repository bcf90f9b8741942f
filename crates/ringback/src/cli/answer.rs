//! Answers of the API, read without a schema: a newer server may say more than this binary knows of.

use ringback_core::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One object of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// As it came, for `--json`: to the letter, its members in the server's order.
    pub(super) json: Box<RawValue>,
    /// Read, for people.
    pub(super) value: Value,
}

/// One page of a list.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) data: Vec<Answer>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

impl Answer {
    /// # Errors
    /// If the text is no JSON.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A member's text; nothing if it is absent or no text.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        text(&self.value, pointer)
    }

    /// A member for people, see [`shown`].
    pub(super) fn shown(&self, pointer: &str) -> String {
        shown(&self.value, pointer)
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let value = serde_json::from_str(json.get()).map_err(serde::de::Error::custom)?;
        Ok(Self { json, value })
    }
}

/// A member's text; nothing if it is absent or no text.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str()
}

/// A member for people: a text as it is, `-` for none, anything else as JSON.
pub(super) fn shown(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A member's moment; nothing if it is absent or none.
pub(super) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer)?.parse().ok()
}

/// A member's elements; none if it is absent or no array.
pub(super) fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_text_and_ignores_what_it_does_not_know() {
        let json = r#"{"b":1.10,"a":null,"unheard_of":[12345678901234567890]}"#;
        let answer = Answer::parse(json).expect("JSON");
        assert_eq!(answer.json.get(), json);
        assert_eq!(answer.shown("/a"), "-");
        assert_eq!(answer.shown("/missing"), "-");
    }
}
