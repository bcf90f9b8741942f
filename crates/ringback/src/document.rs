//! `/openapi.json`: the whole API, put together from what each crate serves.

use serde_json::{Map, Value};
use utoipa::openapi::Info;

/// The OpenAPI 3.1 document.
pub(crate) fn openapi() -> Value {
    let mut whole = ringback_ingest::openapi();
    whole.merge(ringback_console::openapi());
    whole.merge(crate::health::described());
    let mut info = Info::new("Ringback", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Delivers events to callbacks over HTTP, at least once. Errors are problem details (RFC 9457); lists come in \
         pages, newest first."
            .to_owned(),
    );
    whole.info = info;
    let mut whole = serde_json::to_value(whole).expect("texts always serialize");
    let known = whole["components"]["schemas"].clone();
    open_what_is_extended(&mut whole, &known);
    name_operations(&mut whole["paths"]);
    whole
}

/// By method and path, such as `post_callbacks_by_id_pause`: whoever makes a client of the document gets functions of
/// these names, and of the names that the handlers have here many are the same.
fn name_operations(paths: &mut Value) {
    for (path, operations) in paths.as_object_mut().into_iter().flatten() {
        let words = path.split('/').filter(|part| !matches!(*part, "" | "v1"));
        let words: Vec<_> = words.map(|part| part.replace('{', "by_")).collect();
        let name = words.join("_").replace(['-', '.'], "_").replace('}', "");
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            operation["operationId"] = format!("{method}_{name}").into();
        }
    }
}

/// An answer that has all members of another schema and more is written as `allOf`. Where that other schema allows no
/// further members, as that of a request does, nothing would ever fit both: there it stands as an open copy.
fn open_what_is_extended(part: &mut Value, known: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::Array(extended)) = members.get_mut("allOf") {
                for schema in extended {
                    if let Some(closed) = closed(schema, known) {
                        *schema = opened(closed);
                    }
                }
            }
            members.values_mut().for_each(|member| open_what_is_extended(member, known));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| open_what_is_extended(item, known));
        }
        _ => {}
    }
}

/// What a schema refers to, if that allows no further members.
fn closed<'a>(schema: &Value, known: &'a Value) -> Option<&'a Map<String, Value>> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")?;
    let schema = known.get(name)?.as_object()?;
    (schema.get("additionalProperties") == Some(&Value::Bool(false))).then_some(schema)
}

fn opened(schema: &Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    schema.remove("additionalProperties");
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_operations_have_the_same_name() {
        let document = openapi();
        let paths = document["paths"].as_object().expect("paths").values();
        let operations = paths.flat_map(|path| path.as_object().expect("methods").values());
        let mut names: Vec<_> =
            operations.map(|operation| operation["operationId"].to_string()).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }

    #[test]
    fn answer_that_extends_a_request_allows_its_own_members() {
        let document = openapi();
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["CallbackSettings"]["additionalProperties"], false);
        let parts = schemas["CallbackAnswer"]["allOf"].as_array().expect("it extends the settings");
        assert!(parts.iter().any(|part| part["properties"]["url"].is_object()), "{parts:?}");
        assert!(parts.iter().all(|part| part.get("additionalProperties").is_none()), "{parts:?}");
    }
}
