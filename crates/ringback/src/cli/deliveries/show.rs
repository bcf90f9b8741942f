//! `ringback deliveries show`.

use ringback_core::DeliveryId;
use serde_json::Value;

use super::super::Session;
use super::super::answer::{items, shown, text};
use super::super::output::{Field, Form, Output, Tint, plain, status_tint};
use super::{attempts_made, duration_ms, moment, result};

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Short,
    Full,
}

const SHORT_VALUE_CHARS: usize = 80;
const SHORT_BODY_CHARS: usize = 400;
const SHORT_BODY_LINES: usize = 6;

pub(super) async fn run(id: DeliveryId, detail: Detail, session: &Session) -> anyhow::Result<()> {
    let out = &session.out;
    let answer = session.client.get(&["deliveries", &id.to_string()]).await?;
    if out.form == Form::Json {
        return out.json(&answer);
    }
    let delivery = &answer.value;
    let status = answer.shown("/status");
    let event = format!("{}  {}", answer.shown("/event_name"), answer.shown("/event"));
    let mut facts = vec![
        ("Delivery", Field::tinted(answer.shown("/id"), Tint::Strong)),
        ("Status", Field::tinted(told(delivery), status_tint(&status))),
        ("Event", Field::new(event)),
        ("Callback", Field::new(answer.shown("/callback"))),
        ("Account", Field::new(answer.shown("/account"))),
        ("Attempts", Field::new(attempts_made(delivery))),
        ("Created", moment(delivery, "/created_at", session.now)),
        ("Changed", moment(delivery, "/updated_at", session.now)),
    ];
    if text(delivery, "/next_attempt_at").is_some() {
        facts.push(("Next attempt", moment(delivery, "/next_attempt_at", session.now)));
    }
    if let Some(reason) = text(delivery, "/waits_for") {
        facts.push(("Waits for", Field::new(waits_for(reason))));
    }
    out.facts(&facts)?;
    for attempt in items(delivery, "/attempts") {
        out.line("")?;
        show_attempt(attempt, detail, out)?;
    }
    Ok(())
}

/// The status, and the reason that goes with it.
fn told(delivery: &Value) -> String {
    let status = shown(delivery, "/status");
    match text(delivery, "/cancel_reason") {
        Some(reason) => format!("{status} ({})", reason.replace('_', " ")),
        None => status,
    }
}

/// The reason to wait, in words.
fn waits_for(reason: &str) -> String {
    match reason {
        "retry" => "its time: the last attempt failed".to_owned(),
        "rate_limit" => "its turn: the callback has a rate limit".to_owned(),
        "concurrency" => {
            "a place: as many requests as the callback allows are under way".to_owned()
        }
        "circuit_open" => {
            "the endpoint: it keeps failing, and is left alone for a while".to_owned()
        }
        "paused" => "its callback, which is paused".to_owned(),
        "scheduled" => "the time that its event is to be delivered at".to_owned(),
        other => other.replace('_', " "),
    }
}

fn show_attempt(attempt: &Value, detail: Detail, out: &Output) -> anyhow::Result<()> {
    let title = format!("Attempt {}", shown(attempt, "/number"));
    let is_success = text(attempt, "/outcome") == Some("success");
    let tint = if is_success { Tint::Good } else { Tint::Bad };
    out.line(format_args!(
        "{}  {}  {}  {}",
        out.paint(Tint::Strong, &plain(&title)),
        plain(&shown(attempt, "/started_at")),
        out.paint(tint, &plain(&result(attempt))),
        duration_ms(attempt),
    ))?;
    // An account key does not see what was sent for an instance callback.
    if let Some(request) = attempt.pointer("/request").filter(|request| !request.is_null()) {
        let line = format!("{} {}", shown(request, "/method"), shown(request, "/url"));
        out.line(format_args!("  > {}", plain(&line)))?;
        show_message(request, "  > ", detail, out)?;
    }
    if let Some(response) = attempt.pointer("/response").filter(|response| !response.is_null()) {
        out.line(format_args!("  < {}", plain(&shown(response, "/status"))))?;
        show_message(response, "  < ", detail, out)?;
    }
    Ok(())
}

/// The headers and the body of a request or a response.
fn show_message(message: &Value, mark: &str, detail: Detail, out: &Output) -> anyhow::Result<()> {
    for (name, value) in headers(message) {
        let value = plain(&value);
        let value = match detail {
            Detail::Full => value,
            Detail::Short => shortened(&value, SHORT_VALUE_CHARS, 1),
        };
        let header = format!("{}: {value}", plain(&name));
        out.line(format_args!("{mark}{}", out.paint(Tint::Faint, &header)))?;
    }
    let body = text(message, "/body").unwrap_or_default();
    if body.is_empty() {
        return Ok(());
    }
    out.line(mark.trim_end())?;
    let body = plain(body);
    let body = match detail {
        Detail::Full => body,
        Detail::Short => shortened(&body, SHORT_BODY_CHARS, SHORT_BODY_LINES),
    };
    for line in body.lines() {
        out.line(format_args!("{mark}{line}"))?;
    }
    if message.pointer("/truncated") == Some(&Value::Bool(true)) {
        out.line(format_args!(
            "{mark}{}",
            out.paint(Tint::Faint, "(there was more; it is not kept)")
        ))?;
    }
    Ok(())
}

/// Names and values: the same name may come more than once.
fn headers(message: &Value) -> impl Iterator<Item = (String, String)> {
    let headers = items(message, "/headers").iter();
    headers.map(|header| (shown(header, "/name"), shown(header, "/value")))
}

/// The beginning of a text, and how much more there is.
fn shortened(text: &str, chars_max: usize, lines_max: usize) -> String {
    let mut lines = 1;
    let end = text.char_indices().enumerate().find_map(|(index, (at, c))| {
        lines += usize::from(c == '\n');
        (index == chars_max || lines > lines_max).then_some(at)
    });
    let Some(end) = end else {
        return text.to_owned();
    };
    let rest = text[end..].trim().chars().count();
    if rest == 0 {
        return text[..end].to_owned();
    }
    format!("{}… ({rest} more characters: --full)", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_text_is_cut_at_characters_or_lines() {
        assert_eq!(shortened("short", 5, 1), "short");
        assert_eq!(shortened("ééééé", 3, 1), "ééé… (2 more characters: --full)");
        assert_eq!(shortened("a\nb\nc", 100, 2), "a\nb… (1 more characters: --full)");
        assert_eq!(shortened("a\nb\n", 100, 2), "a\nb");
    }

    #[test]
    fn a_reason_to_wait_that_is_not_known_here_is_told_as_it_is() {
        assert_eq!(waits_for("paused"), "its callback, which is paused");
        assert_eq!(waits_for("full_moon"), "full moon");
    }

    #[test]
    fn a_cancelled_delivery_says_why() {
        let delivery = json!({"status": "cancelled", "cancel_reason": "callback_deleted"});
        assert_eq!(told(&delivery), "cancelled (callback deleted)");
        assert_eq!(told(&json!({"status": "delivered", "cancel_reason": null})), "delivered");
    }
}
