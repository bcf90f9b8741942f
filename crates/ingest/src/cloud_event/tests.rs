use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_ms(1_767_323_045_678);
const UUID: &str = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";

fn minimal() -> Value {
    json!({"specversion": "1.0", "id": "7", "source": "/orders", "type": "ORDER_PAID"})
}

/// The smallest event with these members besides, or in the place of its own; null takes one out.
fn with(more: &Value) -> Value {
    let mut event = minimal();
    for (name, value) in more.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

fn read(event: &Value) -> Result<WellFormed, Vec<FieldError>> {
    structured(event.to_string().as_bytes(), NOW)
}

fn wrong(more: &Value) -> Vec<String> {
    let errors = read(&with(more)).expect_err("a refusal");
    errors.into_iter().map(|error| format!("{}: {}", error.pointer, error.detail)).collect()
}

fn id(source: &str, id: &str) -> EventId {
    let event = read(&with(&json!({"source": source, "id": id}))).expect("well-formed");
    event.id.expect("a CloudEvent has an id")
}

#[test]
fn each_attribute_comes_to_its_place() {
    let event = read(&with(&json!({
        "id": UUID, "time": "2026-01-01T00:00:00Z", "account": "acme",
        "deliverat": "2026-02-01T00:00:00Z", "subject": "is let by", "traceparent": 7,
        "datacontenttype": "application/vnd.order+json; charset=utf-8", "data": {"TOTAL": 1},
    })))
    .expect("well-formed");
    assert_eq!(event.id.expect("an id").to_string(), UUID);
    assert_eq!(event.name.as_str(), "ORDER_PAID");
    assert_eq!(event.account.expect("an account").as_str(), "acme");
    assert_eq!(event.time.expect("a time").to_string(), "2026-01-01T00:00:00.000Z");
    assert_eq!(event.deliver_at.expect("a time").to_string(), "2026-02-01T00:00:00.000Z");
    assert_eq!(event.variables.to_json(), r#"{"TOTAL":1}"#);
}

#[test]
fn trace_is_taken_where_it_is_well_formed_and_is_no_reason_to_refuse() {
    let trace = |more: Value| read(&with(&more)).expect("well-formed").trace;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let taken = trace(json!({"traceparent": parent, "tracestate": "a=1"})).expect("a trace");
    assert_eq!((&*taken.traceparent(), taken.tracestate()), (parent, Some("a=1")));
    for bad in [json!(7), json!("00-1-2-01"), Value::Null] {
        assert_eq!(trace(json!({"traceparent": bad, "tracestate": "a=1"})), None);
    }
}

#[test]
fn data_may_be_absent_or_base64_and_is_an_object() {
    assert!(read(&minimal()).expect("well-formed").variables.is_empty());
    assert!(read(&with(&json!({"data": null}))).expect("well-formed").variables.is_empty());
    let base64 = STANDARD.encode(r#"{"TOTAL":1.10}"#);
    let event = read(&with(&json!({"data_base64": base64}))).expect("well-formed");
    assert_eq!(event.variables.to_json(), r#"{"TOTAL":1.10}"#);
    for (more, pointer) in [
        (json!({"data": [1]}), "/data"),
        (json!({"data": "text"}), "/data"),
        (json!({"data": "<a/>", "datacontenttype": "text/xml"}), "/datacontenttype"),
        (json!({"data_base64": base64, "datacontenttype": "text/xml"}), "/datacontenttype"),
        (json!({"data_base64": "%"}), "/data_base64"),
        (json!({"data_base64": STANDARD.encode("text")}), "/data_base64"),
        (json!({"data_base64": base64, "data": {}}), "/data_base64"),
    ] {
        let errors = wrong(&more);
        assert!(errors.len() == 1 && errors[0].starts_with(&format!("{pointer}: ")), "{errors:?}");
    }
}

#[test]
fn all_that_is_wrong_is_said_with_its_place() {
    assert_eq!(
        wrong(&json!({"specversion": null, "id": null, "source": null, "type": null})),
        [
            "/specversion: is required",
            "/id: is required",
            "/source: is required",
            "/type: is required"
        ]
    );
    assert_eq!(
        wrong(&json!({"id": "", "source": 7})),
        ["/id: is not empty", "/source: expected a string"]
    );
    for (more, pointer, says) in [
        (json!({"specversion": "0.3"}), "/specversion", "1.0"),
        (json!({"type": "order/paid"}), "/type", "A-Z a-z 0-9"),
        (json!({"type": "ringback.test"}), "/type", "Ringback's own"),
        (json!({"account": "_ringback"}), "/account", "Ringback's own"),
        (json!({"account": "a b"}), "/account", "A-Z a-z 0-9"),
        (json!({"time": "yesterday"}), "/time", "RFC 3339"),
        (json!({"deliverat": "2027-02-01T00:00:00Z"}), "/deliverat", "366 days"),
    ] {
        let errors = wrong(&more);
        let [error] = &errors[..] else { panic!("one error: {errors:?}") };
        assert!(error.starts_with(&format!("{pointer}: ")) && error.contains(says), "{error}");
    }
}

#[test]
fn source_and_id_identify_and_are_joined_without_doubt() {
    assert_eq!(id("/orders", UUID), id("/invoices", UUID), "a UUID is kept");
    assert_eq!(id("/orders", "7"), id("/orders", "7"));
    assert_ne!(id("/orders", "7"), id("/invoices", "7"));
    assert_ne!(id("/a", "bc"), id("/ab", "c"));
    assert_ne!(id("1:/a", "b"), id("1", ":/ab"));
    // What is written down in docs/api.md, and what others may count on.
    assert_eq!(name_of("/orders", "7"), b"7:/orders7");
    assert_eq!(
        id("/orders", "7"),
        EventId::from_uuid(Uuid::new_v5(&SOURCE_NAMESPACE, b"7:/orders7"))
    );
}

fn binary_of(headers: &[(&str, &[u8])], body: &[u8]) -> Result<WellFormed, Vec<FieldError>> {
    binary(&Attributes::of_http(headers.iter().copied()), body, NOW)
}

#[test]
fn headers_are_unquoted_and_percent_decoded_once() {
    let headers: [(&str, &[u8]); 5] = [
        ("specversion", b"1.0"),
        ("type", b"\"ORDER_PAID\""),
        ("source", b"/%E2%82%AC%2525"),
        ("id", b"\"a\\\"%20b\""),
        ("account", b"ac%6De"),
    ];
    let event = binary_of(&headers, b"{\"TOTAL\":1}").expect("well-formed");
    let plain = id("/\u{20ac}%25", "a\" b");
    assert_eq!(event.id, Some(plain));
    assert_eq!(event.name.as_str(), "ORDER_PAID");
    assert_eq!(event.account.expect("an account").as_str(), "acme");
    assert_eq!(event.variables.to_json(), r#"{"TOTAL":1}"#);
}

#[test]
fn errors_in_headers_name_the_header() {
    let headers: [(&str, &[u8]); 4] =
        [("specversion", b"1.0"), ("type", b"%FF"), ("id", b"7"), ("id", b"8")];
    let errors = binary_of(&headers, b"[]").expect_err("a refusal");
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["ce-id", "ce-source", "ce-type", ""]);
    assert!(errors[3].detail.contains("variables"), "{errors:?}");
}

#[test]
fn amqp_headers_are_taken_as_they_are() {
    let of = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let headers =
        [of("specversion", "1.0"), of("type", "ORDER_PAID"), of("source", "/a%20b"), of("id", "7")];
    let event = binary(&Attributes::of_amqp(&headers), b"", NOW).expect("well-formed");
    assert_eq!(event.id, Some(id("/a%20b", "7")));
    let errors = binary(&Attributes::of_amqp(&headers[1..]), b"", NOW).expect_err("a refusal");
    assert_eq!(errors[0].pointer, "cloudEvents:specversion");
}
