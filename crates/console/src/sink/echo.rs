//! What the echo callback answers with.

use std::fmt::Write as _;

use axum::http::{HeaderMap, header};

/// A form's fields line by line, in the way of ConceptShare's own; any other body as it came; of a request without one,
/// the fields of its query.
pub(super) fn of(headers: &HeaderMap, query: &str, body: &[u8]) -> String {
    if body.is_empty() {
        return fields(query.as_bytes(), |name| name != "f");
    }
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return fields(body, |_| true);
    }
    String::from_utf8_lossy(body).into_owned()
}

/// `NAME => value`, the values below each other. A line break in a value shows as `\n`: each line is one field.
fn fields(encoded: &[u8], wanted: impl Fn(&str) -> bool) -> String {
    let plain = |text: &str| -> String {
        let escape = |c: char| match c.is_control() {
            true => c.escape_default().collect::<String>(),
            false => c.to_string(),
        };
        text.chars().map(escape).collect()
    };
    let fields: Vec<(String, String)> = form_urlencoded::parse(encoded)
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (plain(&name), plain(&value)))
        .collect();
    /// One long name must not make every line long.
    const WIDTH_MAX: usize = 40;
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let width = width.min(WIDTH_MAX);
    let mut text = String::new();
    for (name, value) in fields {
        writeln!(text, "{name:width$} => {value}").expect("a String takes all that is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echoed(content_type: &str, query: &str, body: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().expect("a header's value"));
        of(&headers, query, body.as_bytes())
    }

    #[test]
    fn fields_of_a_form_stand_below_each_other() {
        let form = "EVENT_GUID=123456ab&COMMENT_ID=178&COMMENT=Needs+more%0Acowbell%20%3Cb%3E&X=";
        assert_eq!(
            echoed("application/x-www-form-urlencoded; charset=UTF-8", "f=ep", form),
            "EVENT_GUID => 123456ab\nCOMMENT_ID => 178\nCOMMENT    => Needs more\\ncowbell <b>\nX          => \n"
        );
    }

    #[test]
    fn other_bodies_come_back_as_they_are_and_a_get_with_its_query() {
        assert_eq!(echoed("application/json", "f=ep", "{\"a\": 1}\n"), "{\"a\": 1}\n");
        assert_eq!(echoed("text/html", "f=ep", "<script>"), "<script>");
        assert_eq!(echoed("text/plain", "f=ep&id=178&a=b+c", ""), "id => 178\na  => b c\n");
        assert_eq!(echoed("text/plain", "f=ep", ""), "");
    }
}
