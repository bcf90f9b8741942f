//! The body of an outgoing request.

mod cloud_events;
mod conga_sign;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::callback::Format;
use crate::{Account, Event, EventId, EventName, Timestamp, Variables};

/// The field and tag that hold the event's id.
pub(crate) const EVENT_GUID: &str = "EVENT_GUID";
/// The field and tag that hold the event's name.
pub(crate) const EVENT_ID: &str = "EVENT_ID";

/// What a POST carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub text: String,
}

/// Puts an event into the form that a callback wants: a function of both and of nothing else, so that the history can
/// show it again without keeping it.
#[must_use]
pub fn body(format: Format, event: &Event) -> Body {
    match format {
        Format::Form => {
            Body { content_type: "application/x-www-form-urlencoded", text: form(event) }
        }
        Format::Json => Body { content_type: "application/json", text: json(event) },
        Format::CloudEvents => {
            Body { content_type: "application/cloudevents+json", text: cloud_events::text(event) }
        }
        Format::CongaSign => {
            Body { content_type: "application/json", text: conga_sign::text(event) }
        }
    }
}

/// `EVENT_GUID` and `EVENT_ID`, then the variables in the order they came. A variable of one of those two names is left
/// out: a receiver that reads the last of two equal fields must not be told another id than its neighbour.
fn form(event: &Event) -> String {
    let mut fields = form_urlencoded::Serializer::new(String::with_capacity(512));
    fields.append_pair(EVENT_GUID, &event.id.to_string());
    fields.append_pair(EVENT_ID, event.name.as_str());
    for (name, value) in event.variables.iter() {
        if name != EVENT_GUID && name != EVENT_ID {
            fields.append_pair(name, &text_of(value));
        }
    }
    fields.finish()
}

/// The event as it was sent, in this order of members.
fn json(event: &Event) -> String {
    #[derive(Serialize)]
    struct Shape<'a> {
        id: EventId,
        name: &'a EventName,
        account: &'a Account,
        time: Timestamp,
        variables: &'a Variables,
    }

    let Event { id, name, account, time, accepted_at: _, deliver_at: _, variables, trace: _ } =
        event;
    let shape = Shape { id: *id, name, account, time: *time, variables };
    serde_json::to_string(&shape).expect("strings and raw values always serialize")
}

/// A variable as text, for form fields and URLs: a string is its content, `true` and `false` are `True` and `False`,
/// null is nothing, and all else is its JSON to the letter.
pub(crate) fn text_of(value: &RawValue) -> Cow<'_, str> {
    let json = value.get();
    if let Some(inside) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return if inside.contains('\\') {
            // Half a surrogate pair (`\ud83d` alone) is valid JSON and no text: it goes out as it was written.
            serde_json::from_str(json).map_or(Cow::Borrowed(inside), Cow::Owned)
        } else {
            Cow::Borrowed(inside)
        };
    }
    Cow::Borrowed(match json {
        "true" => "True",
        "false" => "False",
        "null" => "",
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(variables: &str) -> Event {
        Event {
            id: "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21".parse().expect("a UUID"),
            name: "COMMENT_CREATED".parse().expect("a name"),
            account: "acme".parse().expect("an account"),
            time: Timestamp::from_ms(1_767_323_045_678),
            accepted_at: Timestamp::from_ms(1_767_323_045_900),
            deliver_at: None,
            variables: serde_json::from_str(variables).expect("an object"),
            trace: None,
        }
    }

    fn fields(variables: &str) -> Vec<(String, String)> {
        let body = body(Format::Form, &event(variables));
        assert_eq!(body.content_type, "application/x-www-form-urlencoded");
        form_urlencoded::parse(body.text.as_bytes()).into_owned().collect()
    }

    #[test]
    fn form_begins_with_id_and_name_and_keeps_the_order_of_the_variables() {
        let body = body(Format::Form, &event(r#"{"Z":"a b&c=ü","A":178}"#));
        assert_eq!(
            body.text,
            "EVENT_GUID=0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21&EVENT_ID=COMMENT_CREATED\
             &Z=a+b%26c%3D%C3%BC&A=178"
        );
    }

    #[test]
    fn each_kind_of_value_has_its_text() {
        let sent = fields(
            r#"{"s":"line\nbreak \"é\" \ud83d\ude00","n":1.10,"big":12345678901234567890,"t":true,"f":false,
                "nil":null,"list":[1, "a"],"map":{"x" : null},"half":"\ud83d!","empty":""}"#,
        );
        let texts: Vec<_> = sent.iter().skip(2).map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("s", "line\nbreak \"é\" 😀"),
                ("n", "1.10"),
                ("big", "12345678901234567890"),
                ("t", "True"),
                ("f", "False"),
                ("nil", ""),
                ("list", r#"[1, "a"]"#),
                ("map", r#"{"x" : null}"#),
                ("half", r"\ud83d!"),
                ("empty", ""),
            ]
        );
    }

    #[test]
    fn variables_can_not_take_over_id_and_name() {
        let sent = fields(r#"{"EVENT_ID":"OTHER","a":1,"EVENT_GUID":"x"}"#);
        let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["EVENT_GUID", "EVENT_ID", "a"]);
        assert_eq!(sent[1].1, "COMMENT_CREATED");
    }

    #[test]
    fn json_is_the_event_with_its_variables_to_the_letter() {
        let body = body(Format::Json, &event(r#"{"b":1.10,"a":"\u00e9","c":{"x" : [1, 2]}}"#));
        assert_eq!(body.content_type, "application/json");
        assert_eq!(
            body.text,
            r#"{"id":"0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21","name":"COMMENT_CREATED","account":"acme","#
                .to_owned()
                + r#""time":"2026-01-02T03:04:05.678Z","#
                + r#""variables":{"b":1.10,"a":"\u00e9","c":{"x" : [1, 2]}}}"#
        );
    }
}
