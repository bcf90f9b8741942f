//! The OpenAPI document says what the router serves.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::harness::Api;

fn document() -> Value {
    serde_json::to_value(ringback_console::openapi()).expect("JSON")
}

#[test]
fn every_route_is_in_the_document() {
    let source = include_str!("../../src/router.rs");
    let routes: BTreeSet<&str> =
        source.split('"').filter(|text| text.starts_with('/') && !text.starts_with("//")).collect();
    let document = document();
    let paths: BTreeSet<&str> =
        document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    assert_eq!(routes, paths);
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1"));
}

#[tokio::test]
async fn every_call_in_the_document_is_served_with_a_key_and_no_other_is() {
    let api = Api::start().await;
    let document = document();
    for (path, calls) in document["paths"].as_object().expect("paths") {
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            let known = calls.get(method.to_lowercase()).is_some();
            let path = path.replace("{id}", "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21");
            let path = path.replace("{name}", "ORDER_PAID").replace("{account}", "acme");
            let request =
                Request::builder().method(method).uri(&path).body(Body::empty()).expect("valid");
            let answer = api.send(request).await;
            // Whoever sends a callback has no key; without `f` there is nothing there.
            let is_open = path == "/system.ashx";
            let expected = match known {
                true if is_open => 404,
                true => 401,
                false => 405,
            };
            assert_eq!(answer.status, expected, "{method} {path}");
            if !known {
                assert!(answer.headers.contains_key("allow"), "{method} {path}");
            }
        }
    }
    assert_eq!(api.call("GET", "/v1/nothing", None).await.status, 404);
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
