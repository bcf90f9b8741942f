//! Between the fields of the form and a callback's settings.
//!
//! A field is called by its place in the settings, without the first slash: so what the API finds wrong there is told at
//! its field. Nothing is checked here. What is no number becomes one that is not taken, and the API's own rules say so.

use std::collections::HashSet;

use ringback_api::FieldError;
use ringback_core::callback::Callback;
use ringback_core::catalog::Catalog;
use ringback_core::secret::Secret;
use serde_json::{Map, Value, json};

use crate::pages::inputs::Mistakes;
use crate::pages::posted::Fields;
use crate::wire::callback::CallbackSettings;

/// Whether all events are chosen, or those that are listed.
pub(super) const WHICH: &str = "which-events";
pub(super) const ALL: &str = "all";
pub(super) const THESE: &str = "these";
/// A type that is ticked in the list of the catalog.
pub(super) const TYPE: &str = "event-type";

/// Texts and numbers, which stand in a field as they are. Secrets do not.
const TEXTS: [&str; 16] = [
    "description",
    "url",
    "method",
    "format",
    "authorization/type",
    "authorization/username",
    "retry/delay_seconds",
    "retry/max_retries",
    "retry/backoff",
    "retry/factor",
    "retry/max_delay_seconds",
    "timeout_ms",
    "rate_limit/per_second",
    "rate_limit/burst",
    "max_in_flight",
    "account",
];
const CIRCUIT: [&str; 2] = ["circuit/failures", "circuit/open_seconds"];
const BOXES: [&str; 3] = ["enabled", "retry/enabled", "circuit/enabled"];

/// What people call a field.
pub(super) fn label_of(name: &str) -> &'static str {
    match name {
        "description" => "Name",
        "url" => "URL",
        "method" => "Method",
        "format" => "Format",
        "account" => "Account",
        "authorization/type" => "Kind",
        "authorization/username" => "User name",
        "authorization/password" => "Password",
        "authorization/token" => "Token",
        "authorization/value" => "Value of the header",
        "authorization/key" => "Callback key",
        "headers" => "Headers",
        "enabled" => "Enabled",
        "paused" => "Paused",
        "events" => "Other events",
        "retry/enabled" => "Retry what fails",
        "retry/delay_seconds" => "Seconds before a retry",
        "retry/max_retries" => "Retries at the most",
        "retry/backoff" => "How the wait grows",
        "retry/factor" => "Factor",
        "retry/max_delay_seconds" => "Longest wait, in seconds",
        "timeout_ms" => "Timeout, in milliseconds",
        "rate_limit/per_second" => "Requests a second",
        "rate_limit/burst" => "Burst",
        "max_in_flight" => "Requests at once",
        "circuit/enabled" => "Leave an endpoint alone that keeps failing",
        "circuit/failures" => "Failures in a row",
        "circuit/open_seconds" => "Seconds left alone",
        "sample" => "Example event",
        _ => "This form",
    }
}

/// The fields of these settings.
pub(super) fn of(settings: &CallbackSettings, catalog: &Catalog) -> Fields {
    let json = serde_json::to_value(settings).expect("texts and numbers always serialize");
    let at = |name: &str| json.pointer(&format!("/{name}"));
    let mut fields = Vec::new();
    let mut put = |name: &str, text: String| fields.push((name.to_owned(), text));
    for name in TEXTS.into_iter().chain(CIRCUIT) {
        match at(name) {
            Some(Value::String(text)) => put(name, text.clone()),
            Some(Value::Number(number)) => put(name, number.to_string()),
            _ => {}
        }
    }
    for name in BOXES {
        if at(name) == Some(&Value::Bool(true)) {
            put(name, "yes".to_owned());
        }
    }
    let headers = settings.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    put("headers", headers.collect());
    if settings.events == ["*"] {
        put(WHICH, ALL.to_owned());
        return fields.into_iter().collect();
    }
    put(WHICH, THESE.to_owned());
    let is_known =
        |pattern: &&String| pattern.parse().is_ok_and(|name| catalog.get(&name).is_some());
    let (known, others): (Vec<_>, Vec<_>) = settings.events.iter().partition(is_known);
    put("events", others.into_iter().map(|pattern| format!("{pattern}\n")).collect());
    for name in known {
        put(TYPE, name.clone());
    }
    fields.into_iter().collect()
}

/// What people call the fields in which these settings differ, as far as they are shown.
pub(super) fn different(one: &CallbackSettings, other: &CallbackSettings) -> Vec<&'static str> {
    let fields = [one, other].map(|settings| of(settings, &Catalog::with([])));
    let [one, other] = &fields;
    let differs = |name: &&str| !one.all(name).eq(other.all(name));
    let mut labels = Vec::new();
    for name in TEXTS.into_iter().chain(CIRCUIT).chain(BOXES).chain(["headers", WHICH, "events"]) {
        let label = match name {
            WHICH | "events" => "Events",
            "authorization/type" => "Authorization",
            "account" => continue,
            name => label_of(name),
        };
        if differs(&name) && !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// The settings that these fields stand for, but for the account, and what they have no room for. Of a secret that is left
/// empty the stored one is kept.
pub(super) fn settings(
    fields: &Fields,
    stored: Option<&Callback>,
) -> (CallbackSettings, Vec<FieldError>) {
    let (headers, mut wrong) = headers(fields);
    let text = |name: &str| fields.text(name).trim();
    let mut json = json!({
        "description": text("description"),
        "url": text("url"),
        "enabled": fields.has("enabled"),
        "authorization": authorization(fields, stored),
        "headers": headers,
        "events": events(fields),
        "retry": retry(fields),
        "circuit": { "enabled": fields.has("circuit/enabled") },
    });
    let members = json.as_object_mut().expect("it was made as one");
    put(members, "method", text("method").into(), text("method"));
    if text("method") != "GET" {
        put(members, "format", text("format").into(), text("format"));
    }
    put(members, "timeout_ms", whole(text("timeout_ms")), text("timeout_ms"));
    put(members, "max_in_flight", whole(text("max_in_flight")), text("max_in_flight"));
    let (per_second, burst) = (text("rate_limit/per_second"), text("rate_limit/burst"));
    if per_second.is_empty() && !burst.is_empty() {
        let detail = "say how many requests a second, or leave the burst empty too";
        wrong.push(FieldError::new("/rate_limit/per_second", detail));
    } else if !per_second.is_empty() {
        let mut limit = Map::new();
        limit.insert("per_second".to_owned(), whole(per_second));
        put(&mut limit, "burst", whole(burst), burst);
        members.insert("rate_limit".to_owned(), limit.into());
    }
    let circuit = json["circuit"].as_object_mut().expect("it was made as one");
    let (failures, seconds) = (text("circuit/failures"), text("circuit/open_seconds"));
    put(circuit, "failures", whole(failures), failures);
    put(circuit, "open_seconds", number(seconds), seconds);
    (serde_json::from_value(json).expect("each member is of its type"), wrong)
}

/// What is wrong, at the fields of the form. `patterns` are the events that were chosen.
pub(super) fn mistakes(errors: &[FieldError], patterns: &[String]) -> Mistakes {
    Mistakes::of(errors, |FieldError { pointer, detail }| {
        let place = pointer.strip_prefix('/').unwrap_or(pointer);
        if let Some(name) = place.strip_prefix("headers/") {
            let name = name.replace("~1", "/").replace("~0", "~");
            return ("headers".to_owned(), format!("“{name}”: {detail}"));
        }
        if let Some(index) = place.strip_prefix("events/") {
            let pattern = index.parse().ok().and_then(|index: usize| patterns.get(index));
            let pattern = pattern.map(String::as_str).unwrap_or_default();
            return ("events".to_owned(), format!("“{pattern}”: {detail}"));
        }
        let detail = detail.replace("delay_seconds", "the first wait");
        (place.to_owned(), detail)
    })
}

/// The patterns that were typed, and the types that were ticked.
pub(super) fn events(fields: &Fields) -> Vec<String> {
    if fields.text(WHICH) == ALL {
        return vec!["*".to_owned()];
    }
    let typed = fields.text("events").split([',', ' ', '\t', '\r', '\n']);
    // Each once, however many are sent: a form may hold a megabyte of them.
    let mut seen = HashSet::new();
    let all = typed.chain(fields.all(TYPE));
    all.filter(|it| !it.is_empty() && seen.insert(*it)).map(str::to_owned).collect()
}

/// Name and value of each line.
pub(super) fn header_lines(fields: &Fields) -> impl Iterator<Item = (&str, &str)> {
    let pairs = fields.text("headers").lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim(), value.trim()))
}

/// The headers of the lines that are some, and what is wrong with the others.
fn headers(fields: &Fields) -> (Value, Vec<FieldError>) {
    let (mut headers, mut wrong) = (Map::new(), Vec::new());
    if fields.text("headers").lines().any(|line| !line.trim().is_empty() && !line.contains(':')) {
        wrong.push(FieldError::new("/headers", "write each header as Name: value"));
    }
    for (name, value) in header_lines(fields) {
        if headers.insert(name.to_owned(), value.into()).is_some() {
            let detail = format!("“{name}” stands there twice");
            wrong.push(FieldError::new("/headers", detail));
        }
    }
    (headers.into(), wrong)
}

/// The members of the chosen type alone: the fields of the others are out of sight.
fn authorization(fields: &Fields, stored: Option<&Callback>) -> Value {
    let r#type = match fields.text("authorization/type") {
        "" => "none",
        chosen => chosen,
    };
    let mut json = Map::new();
    json.insert("type".to_owned(), r#type.into());
    let secret = match r#type {
        "basic" => {
            let username = fields.text("authorization/username");
            json.insert("username".to_owned(), username.into());
            "password"
        }
        "bearer" => "token",
        "header" => "value",
        "callback_key" => "key",
        _ => return json.into(),
    };
    let typed = fields.text(&format!("authorization/{secret}"));
    let is_stored = stored.is_some_and(|stored| has_secret_of(stored, r#type));
    let value = if typed.is_empty() && is_stored { Secret::MASK } else { typed };
    put(&mut json, secret, value.into(), value);
    json.into()
}

/// The fields that secrets are typed into.
pub(super) const SECRETS: [&str; 4] =
    ["authorization/password", "authorization/token", "authorization/value", "authorization/key"];

/// Whether a callback has a secret for this type of authorization, which is kept unless another is typed.
pub(super) fn has_secret_of(stored: &Callback, r#type: &str) -> bool {
    let settings = CallbackSettings::of(stored);
    let json = serde_json::to_value(settings.authorization).expect("texts always serialize");
    r#type != "none" && json["type"] == r#type
}

fn retry(fields: &Fields) -> Value {
    let text = |member: &str| fields.text(&format!("retry/{member}")).trim().to_owned();
    let mut json = Map::new();
    json.insert("enabled".to_owned(), fields.has("retry/enabled").into());
    let (delay, max_retries, backoff) =
        (text("delay_seconds"), text("max_retries"), text("backoff"));
    put(&mut json, "delay_seconds", number(&delay), &delay);
    put(&mut json, "max_retries", whole(&max_retries), &max_retries);
    put(&mut json, "backoff", backoff.as_str().into(), &backoff);
    if backoff == "exponential" {
        let (factor, max_delay) = (text("factor"), text("max_delay_seconds"));
        put(&mut json, "factor", number(&factor), &factor);
        put(&mut json, "max_delay_seconds", number(&max_delay), &max_delay);
    }
    json.into()
}

/// Puts a member there if something was typed for it: otherwise it takes its default.
fn put(members: &mut Map<String, Value>, name: &str, value: Value, typed: &str) {
    if !typed.is_empty() {
        members.insert(name.to_owned(), value);
    }
}

/// A whole number. What is none becomes one that is never taken.
fn whole(text: &str) -> Value {
    text.parse::<i64>().unwrap_or(i64::MIN).into()
}

/// A number. What is none becomes one that is never taken.
fn number(text: &str) -> Value {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.unwrap_or(-1.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(settings: Value) {
        let settings: CallbackSettings = serde_json::from_value(settings).expect("settings");
        let fields = of(&settings, &Catalog::with([]));
        let mut expected = serde_json::to_value(&settings).expect("serializes");
        let (typed, wrong) = super::settings(&fields, None);
        assert_eq!(wrong, [], "there is room for all");
        let mut typed = serde_json::to_value(typed).expect("serializes");
        for json in [&mut expected, &mut typed] {
            let events = json["events"].as_array_mut().expect("an array");
            events.sort_by_key(ToString::to_string);
        }
        assert_eq!(typed, expected);
    }

    #[test]
    fn settings_come_back_from_their_fields_as_they_were() {
        round_trip(json!({ "url": "" }));
        round_trip(json!({
            "description": "What it is for", "url": "https://a.example/{ID}", "method": "POST", "format": "json",
            "authorization": { "type": "basic", "username": "me" },
            "headers": { "X-A": "1: 2", "X-B": "" }, "enabled": false,
            "events": ["COMMENT_CREATED", "PACKAGE_*", "MINE", "ringback.*", "*"],
            "retry": {
                "enabled": false, "delay_seconds": 1.5, "max_retries": 7, "backoff": "exponential", "factor": 1.25,
                "max_delay_seconds": 60
            },
            "timeout_ms": 500, "rate_limit": { "per_second": 10, "burst": 3 }, "max_in_flight": 4,
            "circuit": { "enabled": false, "failures": 5, "open_seconds": 2.5 },
        }));
        round_trip(json!({ "url": "https://a.example", "method": "GET" }));
    }
}
