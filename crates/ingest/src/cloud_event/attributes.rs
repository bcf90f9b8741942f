//! The attributes of a CloudEvent, wherever they stand.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use ringback_core::Variables;

use crate::wire::Checks;

/// Where attributes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a JSON object.
    Member,
    /// In HTTP's headers, behind `ce-`.
    HttpHeader,
    /// In AMQP's headers, behind `cloudEvents:`.
    AmqpHeader,
}

/// The attributes of a CloudEvent: names, and the text of each or what is wrong with it.
#[derive(Debug)]
pub(crate) struct Attributes {
    place: Place,
    values: Vec<(String, Result<String, &'static str>)>,
}

impl Attributes {
    /// Those of an object. What is null is not set.
    pub(super) fn of_members(members: &Variables) -> Self {
        let text = |json: &str| serde_json::from_str(json).map_err(|_| "expected a string");
        let values = members
            .iter()
            .filter(|(name, json)| !name.starts_with("data") && json.get() != "null")
            .map(|(name, json)| (name.to_owned(), text(json.get())))
            .collect();
        Self { place: Place::Member, values }
    }

    /// Those of HTTP's headers, as they came: names without `ce-`, values as bytes.
    pub(crate) fn of_http<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let values = headers.map(|(name, value)| (name.to_owned(), header_text(value))).collect();
        Self { place: Place::HttpHeader, values }
    }

    /// Those of AMQP's headers: names without the prefix.
    pub(crate) fn of_amqp(headers: &[(String, String)]) -> Self {
        let values = headers.iter().map(|(name, text)| (name.clone(), Ok(text.clone()))).collect();
        Self { place: Place::AmqpHeader, values }
    }

    /// Whether there is one of this name, well or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(one, _)| one == name)
    }

    /// The text of one, if it is there and can be read.
    pub(super) fn get(&self, name: &str, checks: &mut Checks) -> Option<&str> {
        let mut found = self.values.iter().filter(|(one, _)| one == name);
        let (_, value) = found.next()?;
        if found.next().is_some() {
            checks.wrong(self.pointer(name), "stands there twice");
            return None;
        }
        match value {
            Ok(text) => Some(text),
            Err(why) => {
                checks.wrong(self.pointer(name), *why);
                None
            }
        }
    }

    /// The text of one that nothing depends on: without it, it is as if it were not there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.values.iter().find(|(one, _)| one == name)?;
        value.as_deref().ok()
    }

    /// Where one of this name stands, for whoever has to mend it.
    pub(super) fn pointer(&self, name: &str) -> Cow<'static, str> {
        Cow::Owned(match self.place {
            Place::Member => format!("/{name}"),
            Place::HttpHeader => format!("ce-{name}"),
            Place::AmqpHeader => format!("cloudEvents:{name}"),
        })
    }

    /// All of them as one text, the same for the same attributes: what a repeat is told by besides its body. A repeat may
    /// belong to another trace.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let is_said = |name: &str| !matches!(name, "traceparent" | "tracestate");
        let mut values: Vec<_> = self.values.iter().filter(|(name, _)| is_said(name)).collect();
        values.sort();
        format!("{values:?}").into_bytes()
    }
}

/// The text of an attribute in a header: out of its quotes if it has some, then percent-decoded once.
///
/// # Source
/// HTTP protocol binding for CloudEvents 1.0.2, section 3.1.3.2.
fn header_text(value: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(value).map_err(|_| "a header is visible ASCII")?;
    let text = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => Cow::Owned(unescaped(quoted)),
        None => Cow::Borrowed(text),
    };
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| "percent-decoded, it is not UTF-8")
}

/// Of a quoted string of HTTP: a backslash stands before what is meant literally.
fn unescaped(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        text.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    text
}
