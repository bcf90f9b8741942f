//! The headers of a request, as an attempt's row keeps them: without what follows from the rest of the row.
//!
//! A line for each, in their order: no header has a line break. A letter says which header it is, and behind it stands
//! what can't be told of its value. `=` stands before any other header, which is written out. So what is read is what was
//! written, whatever that was, in less than half of the bytes. What does not fit is written as a JSON array, as all
//! were before: no line begins with `[`.

use std::borrow::Cow;

use ringback_core::Timestamp;
use ringback_core::retry::AttemptNumber;
use ringback_core::secret::Secret;

/// Name and value of each.
type Headers = Vec<(Cow<'static, str>, Cow<'static, str>)>;

/// What the rest of the row says.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) number: AttemptNumber,
    pub(super) started_at: Timestamp,
}

const AGENT: &str = "Ringback/";
const ANYTHING: &str = "*/*";

/// As the row keeps them.
pub(super) fn pack(headers: &Headers, known: Known) -> String {
    let fits = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
        !name.contains(['\n', ':']) && !value.contains('\n')
    };
    if headers.is_empty() || !headers.iter().all(fits) {
        return serde_json::to_string(headers).expect("texts always serialize");
    }
    let mut text = String::with_capacity(256);
    let mut webhook_id = "";
    for (name, value) in headers {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some((letter, rest)) = shortened(name, value, known, webhook_id) {
            text.push(letter);
            text.push_str(rest);
        } else {
            text.extend(["=", name, ":", value]);
        }
        if name == "webhook-id" {
            webhook_id = value;
        }
    }
    text
}

/// The letter of a header, and what can't be told of its value.
fn shortened<'v>(
    name: &str,
    value: &'v str,
    known: Known,
    webhook_id: &str,
) -> Option<(char, &'v str)> {
    let follows = |letter, is_so: bool| is_so.then_some((letter, ""));
    match name {
        "user-agent" => value.strip_prefix(AGENT).map(|version| ('u', version)),
        "accept" => follows('a', value == ANYTHING),
        "content-type" => Some(('c', value)),
        "webhook-id" => Some(('i', value)),
        "webhook-timestamp" => follows('t', value == known.started_at.seconds().to_string()),
        "webhook-signature" => Some(('s', value)),
        "ringback-callback" => Some(('k', value)),
        "ringback-attempt" => follows('n', value == known.number.to_string()),
        "traceparent" => {
            let (trace, span) = value.strip_prefix("00-")?.strip_suffix("-00")?.rsplit_once('-')?;
            let of_event = webhook_id.bytes().filter(|byte| *byte != b'-');
            of_event.eq(trace.bytes()).then_some(('p', span))
        }
        "authorization" => follows('z', value == Secret::MASK),
        _ => None,
    }
}

/// What [`pack`] was given.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn unpack(text: &str, known: Known) -> Result<Headers, String> {
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let mut headers = Headers::with_capacity(12);
    let mut webhook_id = "";
    for line in text.split('\n') {
        let unknown = || format!("`{line}` is no header");
        let (letter, rest) = line.split_at_checked(1).ok_or_else(unknown)?;
        let (name, value): (&'static str, Cow<'static, str>) = match letter {
            "u" => ("user-agent", format!("{AGENT}{rest}").into()),
            "a" => ("accept", ANYTHING.into()),
            "c" => ("content-type", rest.to_owned().into()),
            "i" => {
                webhook_id = rest;
                ("webhook-id", rest.to_owned().into())
            }
            "t" => ("webhook-timestamp", known.started_at.seconds().to_string().into()),
            "s" => ("webhook-signature", rest.to_owned().into()),
            "k" => ("ringback-callback", rest.to_owned().into()),
            "n" => ("ringback-attempt", known.number.to_string().into()),
            "p" => {
                let trace = webhook_id.replace('-', "");
                ("traceparent", format!("00-{trace}-{rest}-00").into())
            }
            "z" => ("authorization", Secret::MASK.into()),
            "=" => {
                let (name, value) = rest.split_once(':').ok_or_else(unknown)?;
                headers.push((name.to_owned().into(), value.to_owned().into()));
                continue;
            }
            _ => return Err(unknown()),
        };
        headers.push((name.into(), value));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known {
        number: AttemptNumber::new(3).expect("not zero"),
        started_at: Timestamp::from_ms(1_767_323_045_678),
    };

    fn headers(pairs: &[(&'static str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).to_owned().into())).collect()
    }

    #[test]
    fn usual_request_is_kept_in_less_than_half_of_its_bytes() {
        let usual = headers(&[
            ("user-agent", "Ringback/0.1.0"),
            ("accept", "*/*"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("webhook-id", "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21"),
            ("webhook-timestamp", "1767323045"),
            ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
            ("ringback-callback", "018bcfe5-6800-7303-8303-030303030303"),
            ("ringback-attempt", "3"),
            ("traceparent", "00-0190b8a47f3c7c1e9d523f6a1e0c8b21-00f067aa0ba902b7-00"),
            ("x-mine", "a: b"),
            ("authorization", "***"),
        ]);
        let packed = pack(&usual, KNOWN);
        assert_eq!(unpack(&packed, KNOWN), Ok(usual.clone()));
        let json = serde_json::to_string(&usual).expect("texts");
        assert!(packed.len() * 2 < json.len(), "{} of {}: {packed}", packed.len(), json.len());
    }

    #[test]
    fn whatever_was_sent_is_read_again() {
        for odd in [
            &[][..],
            &[("user-agent", "Other/1")],
            &[("accept", "text/html"), ("accept", "*/*")],
            &[("webhook-timestamp", "1767323046"), ("ringback-attempt", "03")],
            &[("traceparent", "00-0190b8a47f3c7c1e9d523f6a1e0c8b21-00f067aa0ba902b7-00")],
            &[("webhook-id", "a-b"), ("traceparent", "00-ab-1-01"), ("traceparent", "00-ab-1-00")],
            &[("authorization", "Basic x"), ("x-empty", ""), ("X-Upper", "[{\"é\":1}]")],
            &[("x:y", "a"), ("x-two", "lines\nhere")],
        ] {
            let odd = headers(odd);
            assert_eq!(unpack(&pack(&odd, KNOWN), KNOWN), Ok(odd));
        }
    }

    #[test]
    fn rows_of_earlier_versions_are_read() {
        let written = r#"[["accept","*/*"],["x-a","\"1\""]]"#;
        let read = headers(&[("accept", "*/*"), ("x-a", "\"1\"")]);
        assert_eq!(unpack(written, KNOWN), Ok(read));
        for wrong in ["", "=x", "?", "[[", "é"] {
            assert!(unpack(wrong, KNOWN).is_err(), "{wrong}");
        }
    }
}
