//! CloudEvents 1.0 as they come in: structured and binary, over HTTP and AMQP.
//!
//! `type` is the event's name, `data` its variables, `time` its time; the extension attributes `account` and `deliverat`
//! say what their namesakes say, `traceparent` and `tracestate` where in a trace it stands. Every other attribute is let by, as the specification asks of a receiver: nothing is
//! made of it.
//!
//! # Source
//! <https://github.com/cloudevents/spec>: CloudEvents 1.0.2, and its JSON format and HTTP and AMQP protocol bindings.

mod attributes;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringback_api::FieldError;
use ringback_core::{EventId, Timestamp, TraceContext, Variables};
use uuid::Uuid;

pub(crate) use self::attributes::Attributes;
use crate::accept::field_errors;
use crate::wire::{Checks, WellFormed};

/// Ids made of an `id` that is no UUID are UUIDv5 in this namespace, made of [`name_of`].
const SOURCE_NAMESPACE: Uuid = Uuid::from_u128(0x3b9d_61c4_7a0e_4f52_9c8d_05e7_b1f3_2a96);

/// Reads an event in the JSON format: attributes and data in one object.
pub(crate) fn structured(json: &[u8], now: Timestamp) -> Result<WellFormed, Vec<FieldError>> {
    let members: Variables = ringback_api::parse(json).map_err(|problem| field_errors(&problem))?;
    let data = ("/data", data_of(&members));
    well_formed(&Attributes::of_members(&members), data, now)
}

/// Reads an event whose attributes stand in headers, and whose data is the body.
pub(crate) fn binary(
    attributes: &Attributes,
    body: &[u8],
    now: Timestamp,
) -> Result<WellFormed, Vec<FieldError>> {
    let data = if body.is_empty() { Ok(Variables::default()) } else { object("", body) };
    well_formed(attributes, ("", data), now)
}

fn well_formed(
    attributes: &Attributes,
    (variables_at, data): (&'static str, Result<Variables, FieldError>),
    now: Timestamp,
) -> Result<WellFormed, Vec<FieldError>> {
    let mut checks = Checks::at(now);
    let mut required = |name: &str| {
        let value = attributes.get(name, &mut checks);
        if value == Some("") {
            checks.wrong(attributes.pointer(name), "is not empty");
            return None;
        }
        if value.is_none() && !attributes.has(name) {
            checks.wrong(attributes.pointer(name), "is required");
        }
        value
    };
    let (version, id) = (required("specversion"), required("id"));
    let (source, name) = (required("source"), required("type"));
    if version.is_some_and(|version| version != "1.0") {
        let pointer = attributes.pointer("specversion");
        checks.wrong(pointer, "CloudEvents of version 1.0 are taken");
    }
    let mut optional = |name: &str| attributes.get(name, &mut checks);
    let (time, account, deliver_at) =
        (optional("time"), optional("account"), optional("deliverat"));
    let name = checks.name(&attributes.pointer("type"), name);
    let account = checks.account(&attributes.pointer("account"), account);
    let time = checks.parsed(&attributes.pointer("time"), time);
    let deliver_at = checks.deliver_at(&attributes.pointer("deliverat"), deliver_at);
    let variables = data.unwrap_or_else(|error| {
        checks.errors.push(error);
        Variables::default()
    });
    let id = id.zip(source).map(|(id, source)| id_of(source, id));
    let (Some(name), Some(id)) = (name, id) else { return Err(checks.errors) };
    checks.all_well(WellFormed {
        id: Some(id),
        name,
        name_at: attributes.pointer("type"),
        account,
        account_at: attributes.pointer("account"),
        time,
        deliver_at,
        variables,
        variables_at,
        trace: trace_of(attributes),
    })
}

/// The extension "Distributed Tracing": where in a trace the event came into being.
fn trace_of(attributes: &Attributes) -> Option<TraceContext> {
    TraceContext::parse(attributes.text("traceparent")?, attributes.text("tracestate"))
}

fn data_of(members: &Variables) -> Result<Variables, FieldError> {
    let given = |name| members.get(name).map(|raw| raw.get()).filter(|json| *json != "null");
    let (plain, base64) = (given("data"), given("data_base64"));
    let content_type: Option<String> =
        given("datacontenttype").and_then(|json| serde_json::from_str(json).ok());
    if plain.or(base64).is_some()
        && let Some(content_type) = content_type
        && !is_json(&content_type)
    {
        let detail = format!("data of type `{content_type}` is not taken: application/json");
        return Err(FieldError::new("/datacontenttype", detail));
    }
    match (plain, base64) {
        (None, None) => Ok(Variables::default()),
        (Some(json), None) => object("/data", json.as_bytes()),
        (None, Some(json)) => {
            let wrong = |detail| FieldError::new("/data_base64", detail);
            let text: String =
                serde_json::from_str(json).map_err(|_| wrong("expected a string"))?;
            let bytes = STANDARD.decode(text).map_err(|_| wrong("not base64 (RFC 4648)"))?;
            object("/data_base64", &bytes)
        }
        (Some(_), Some(_)) => Err(FieldError::new("/data_base64", "not together with `data`")),
    }
}

fn object(pointer: &str, json: &[u8]) -> Result<Variables, FieldError> {
    ringback_api::parse(json).map_err(|problem| {
        let detail = match problem.errors() {
            [first, ..] => first.detail.as_str(),
            [] => problem.detail(),
        };
        FieldError::new(pointer, format!("the data is the event's variables: {detail}"))
    })
}

/// Whether it is `application/json`, or anything built upon JSON. Parameters are ignored: JSON is UTF-8 whatever they
/// say.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// `source` and `id` together identify an event. A UUID is kept: it is unique without its source.
fn id_of(source: &str, id: &str) -> EventId {
    let made = || EventId::from_uuid(Uuid::new_v5(&SOURCE_NAMESPACE, &name_of(source, id)));
    id.parse().unwrap_or_else(|_| made())
}

/// The length of `source` in bytes, a colon, `source`, `id`: no two pairs give the same text.
fn name_of(source: &str, id: &str) -> Vec<u8> {
    format!("{}:{source}{id}", source.len()).into_bytes()
}

#[cfg(test)]
mod tests;
