//! Bodies: read up to a limit, and parsed with errors that say where.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::{FieldError, Pointer, Problem};

/// The largest body of a management call.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// A JSON object of at most [`BODY_BYTES_MAX`] bytes.
#[derive(Clone, Debug)]
pub struct JsonBody<T>(pub T);

impl<S, T> FromRequest<S> for JsonBody<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        require_json(&head.headers)?;
        let bytes = read_body(&head.headers, body, BODY_BYTES_MAX).await?;
        parse_object(&bytes).map(Self)
    }
}

/// The same where everything has a default: no body is an empty object.
#[derive(Clone, Debug)]
pub struct OptionalJsonBody<T>(pub T);

impl<S, T> FromRequest<S> for OptionalJsonBody<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        // Read before the media type is asked for: a body in chunks says only at its end that there was none.
        let bytes = read_body(&head.headers, body, BODY_BYTES_MAX).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        require_json(&head.headers)?;
        parse_object(&bytes).map(Self)
    }
}

/// Refuses a body that does not say it is JSON: `application/json`, or anything built upon it
/// (`application/merge-patch+json`). Parameters are ignored: JSON is UTF-8 whatever they say (RFC 8259, section 8.1).
///
/// # Errors
/// 415.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    let built_upon_it = media_type.starts_with("application/") && media_type.ends_with("+json");
    if media_type == "application/json" || built_upon_it {
        return Ok(());
    }
    Err(Problem::unsupported_media_type("application/json"))
}

/// Reads a body, and stops as soon as it is known to be too large.
///
/// # Errors
/// 413 if it has more than `bytes_max` bytes, 400 if it breaks off.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|value| value.parse::<usize>().ok());
    let mut stream = body.into_data_stream();
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        throw_away(&mut stream).await;
        return Err(Problem::too_large(bytes_max));
    }
    let mut read = BytesMut::with_capacity(announced.unwrap_or(0));
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body breaks off"))?;
        if read.len() + chunk.len() > bytes_max {
            throw_away(&mut stream).await;
            return Err(Problem::too_large(bytes_max));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}

/// Reads on for a little while. A client that is still sending when the connection closes gets a reset for an answer:
/// most never see the 413 then.
async fn throw_away(stream: &mut BodyDataStream) {
    const BYTES_MAX: usize = 4 * 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(1);

    let mut bytes = 0;
    let read = async {
        while let Some(Ok(chunk)) = stream.next().await {
            bytes += chunk.len();
            if bytes > BYTES_MAX {
                break;
            }
        }
    };
    // It was long enough.
    let _ = tokio::time::timeout(PATIENCE, read).await;
}

/// Parses JSON.
///
/// # Errors
/// 400 if it is no JSON (with line and column), 422 if it is other JSON than `T` takes (with a pointer to the place).
pub fn parse<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| problem_of(error.path(), error.inner()))?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn parse_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    // A struct would be read from an array too, its fields by their place: nobody means that.
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Problem::invalid(vec![FieldError::new(
            "",
            "expected an object, got an array",
        )]));
    }
    parse(json)
}

fn problem_of(path: &Path, error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => malformed(error),
        Category::Data => Problem::invalid(vec![field_error(path, error)]),
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::malformed(format!("the body is not valid JSON: {error}"))
}

fn field_error(path: &Path, error: &serde_json::Error) -> FieldError {
    let pointer = path.iter().fold(Pointer::root(), |pointer, segment| match segment {
        Segment::Seq { index } => pointer.join(index),
        Segment::Map { key } => pointer.join(key),
        Segment::Enum { variant } => pointer.join(variant),
        Segment::Unknown => pointer,
    });
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    if let Some(name) = quoted(text, "missing field `") {
        return FieldError::new(pointer.join(name), "is required");
    }
    FieldError::new(pointer, without_value(text))
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.split('`').next()
}

/// Takes the value that was sent out of serde's message: it may be a password in the wrong place, and errors end up in
/// logs. Puts JSON's words in the place of Rust's.
fn without_value(text: &str) -> String {
    let rest = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "));
    let Some((met, expected)) = rest.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return text.chars().take(300).collect();
    };
    let met = met.split(['`', '"']).next().unwrap_or_default().trim();
    let met = match met {
        "map" => "an object",
        "sequence" => "an array",
        "string" => "a string",
        "boolean" => "true or false",
        "integer" if text.starts_with("invalid value") => "one out of range",
        "integer" | "floating point" => "such a number",
        other => other,
    };
    let expected = match expected {
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("expected {expected}, got {met}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_core::Variables;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its parsing is tested")]
        inner: Vec<Inner>,
        #[serde(default)]
        variables: Variables,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing is tested")]
    struct Inner {
        count: u8,
    }

    fn outer(body: &str) -> Result<Outer, Problem> {
        parse(body.as_bytes())
    }

    fn error(body: &str) -> (u16, String, String) {
        let problem = outer(body).expect_err(body);
        let status = problem.status().as_u16();
        match problem.errors() {
            [one] => (status, one.pointer.clone(), one.detail.clone()),
            _ => (status, String::new(), problem.detail().to_owned()),
        }
    }

    #[test]
    fn malformed_json_is_400_with_line_and_column() {
        let (status, _, detail) = error("{\n  \"inner\": [,]}");
        assert_eq!(status, 400);
        assert!(detail.contains("line 2 column 13"), "{detail}");
        for bad in ["", "{", "{} x", "\u{0}", &"[".repeat(10_000)] {
            let status = outer(bad).expect_err("not JSON").status().as_u16();
            assert!(status == 400 || status == 422, "{status} {bad:.10}");
        }
        assert_eq!(error("{\"inner\":[]} x").0, 400);
    }

    #[test]
    fn wrong_content_is_422_with_a_pointer_and_without_the_value() {
        let expected = |pointer: &str, detail: &str| (422, pointer.to_owned(), detail.to_owned());
        let body = r#"{"inner":[{"count":1},{"count":"hunter2, expected"}]}"#;
        assert_eq!(
            error(body),
            expected("/inner/1/count", "expected a whole number, not negative, got a string")
        );
        assert_eq!(error(r#"{"inner":[{}]}"#), expected("/inner/0/count", "is required"));
        let (status, pointer, detail) = error(r#"{"inner":[],"outer":1}"#);
        assert_eq!((status, pointer.as_str()), (422, "/outer"));
        assert_eq!(detail, "unknown field `outer`, expected `inner` or `variables`");
        let (_, pointer, detail) = error(r#"{"inner":[{"count":300}]}"#);
        assert_eq!(pointer, "/inner/0/count");
        assert_eq!(detail, "expected a whole number, not negative, got one out of range");
    }

    #[test]
    fn variables_come_through_to_the_letter() {
        let outer = outer(r#"{"inner":[],"variables":{"A":1.10,"B":{"c":[ 1 ]}}}"#).expect("valid");
        assert_eq!(outer.variables.to_json(), r#"{"A":1.10,"B":{"c":[ 1 ]}}"#);
        let (status, pointer, _) = error(r#"{"inner":[],"variables":{"A":1,"A":2}}"#);
        assert_eq!((status, pointer.as_str()), (422, "/variables"));
    }

    #[test]
    fn body_that_does_not_say_it_is_json_is_415() {
        for (media_type, status) in [
            (None, 415),
            (Some("text/plain"), 415),
            (Some("application/x-www-form-urlencoded"), 415),
            (Some("application/json"), 200),
            (Some("Application/JSON; charset=utf-8"), 200),
            (Some("application/merge-patch+json"), 200),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(media_type) = media_type {
                headers.insert(header::CONTENT_TYPE, media_type.parse().expect("valid"));
            }
            let said = require_json(&headers);
            let met = said.map_or_else(|problem| problem.status().as_u16(), |()| 200);
            assert_eq!(met, status, "{media_type:?}");
        }
    }

    #[tokio::test]
    async fn body_that_may_be_missing_is_missing_however_that_is_said_and_else_as_any_other() {
        #[derive(Default, Deserialize)]
        struct Wish {
            count: u8,
        }
        let chunks = |chunks: &'static [&str]| {
            let chunks = chunks.iter().map(|chunk| Ok::<_, std::io::Error>(chunk.as_bytes()));
            Body::from_stream(futures_util::stream::iter(chunks))
        };
        for (media_type, body, expected) in [
            (None, Body::empty(), Ok(0)),
            (Some("text/plain"), chunks(&[]), Ok(0)),
            (Some("text/plain"), chunks(&["", ""]), Ok(0)),
            (Some("application/json"), chunks(&["{\"count\"", ":3}"]), Ok(3)),
            (None, Body::from("{\"count\":3}"), Err(415)),
            (Some("application/json"), Body::from("[3]"), Err(422)),
            (Some("application/json"), Body::from(" "), Err(400)),
            (None, Body::from(vec![b' '; BODY_BYTES_MAX + 1]), Err(413)),
        ] {
            let request = Request::post("/");
            let request = match media_type {
                Some(media_type) => request.header(header::CONTENT_TYPE, media_type),
                None => request,
            };
            let request = request.body(body).expect("a request");
            let read = OptionalJsonBody::<Wish>::from_request(request, &()).await;
            let met = read.map(|OptionalJsonBody(wish)| wish.count);
            assert_eq!(met.map_err(|problem| problem.status().as_u16()), expected);
        }
    }

    #[tokio::test]
    async fn body_over_the_limit_is_413_announced_or_not() {
        let body = || Body::from(vec![b' '; 11]);
        let mut headers = HeaderMap::new();
        assert_eq!(read_body(&headers, body(), 11).await.expect("fits").len(), 11);
        assert_eq!(read_body(&headers, body(), 10).await.expect_err("too large").status(), 413);
        headers.insert(header::CONTENT_LENGTH, 11.into());
        assert_eq!(read_body(&headers, body(), 10).await.expect_err("too large").status(), 413);
    }
}
