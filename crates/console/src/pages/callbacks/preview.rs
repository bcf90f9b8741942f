//! What a request of the callback would be, as far as it can be told while its form is being filled. Nothing is sent.

use maud::{Markup, html};
use ringback_core::callback::{Format, Method};
use ringback_core::catalog::Catalog;
use ringback_core::filter::EventFilter;
use ringback_core::secret::Secret;
use ringback_core::{Account, Event, EventId, EventName, Timestamp, render};

use super::fields;
use super::form::{Form, Purpose};
use crate::pages::ROOT;
use crate::pages::posted::Fields;
use crate::wire::settings::Rules;

/// The field in which the example is chosen.
pub(super) const SAMPLE: &str = "sample";

/// The preview with the choice of its example.
pub(super) fn section(form: &Form<'_>) -> Markup {
    let names: Vec<_> = form.catalog.iter().map(|(kind, _)| kind.name.as_str()).collect();
    let mut choices = vec![("", "The first that it gets")];
    choices.extend(names.iter().map(|name| (*name, *name)));
    html! {
        fieldset #preview {
            legend { "Preview" }
            (form.inputs().choice(SAMPLE, "What a request would be. None is sent.", &choices))
            div.preview-request { (request(form)) }
            p.actions {
                button type="submit" formaction={ (ROOT) "/callbacks/preview#preview" } formnovalidate { "Show the preview" }
            }
        }
    }
}

fn request(form: &Form<'_>) -> Markup {
    let url = form.fields.text("url").trim();
    if url.is_empty() {
        return html! { p.muted { "Type a URL to see what is sent there." } };
    }
    let event = example(form);
    let expanded = expand(form.rules, url, &event);
    let method = if form.fields.text("method") == "GET" { Method::Get } else { Method::Post };
    let body = (method == Method::Post).then(|| body(form.fields, &event));
    html! {
        p.muted { "For an example of " code { (event.name) } ":" }
        @match expanded {
            Err(wrong) => p.error { (fields::label_of("url")) ": " (wrong) },
            Ok(url) => pre { (method.as_str()) " " (url) "\n" (headers(form, body.as_ref())) },
        }
        @match body {
            Some(body) => pre { (body.text) },
            None => p.muted { "A GET has no body." },
        }
    }
}

fn expand(rules: &Rules<'_>, url: &str, event: &Event) -> Result<String, String> {
    let template = rules.url(url)?;
    template.expand(event).map(String::from).map_err(|error| error.to_string())
}

fn body(fields: &Fields, event: &Event) -> render::Body {
    render::body(Format::of_word(fields.text("format")).unwrap_or(Format::Form), event)
}

/// The headers that tell something. Those that stand for a secret are masked, those that are reckoned are named.
fn headers(form: &Form<'_>, body: Option<&render::Body>) -> Markup {
    let authorization = match form.fields.text("authorization/type") {
        "basic" | "callback_key" => Some("Basic ***"),
        "bearer" => Some("Bearer ***"),
        "header" => Some(Secret::MASK),
        _ => None,
    };
    html! {
        @if let Some(body) = body { "content-type: " (body.content_type) "\n" }
        @if let Some(authorization) = authorization { "authorization: " (authorization) "\n" }
        @for (name, value) in fields::header_lines(form.fields) { (name) ": " (value) "\n" }
        "webhook-id, webhook-timestamp, webhook-signature: …"
    }
}

/// The event that was chosen, or the first type that the filter lets through, with the examples of its variables.
fn example(form: &Form<'_>) -> Event {
    let patterns = fields::events(form.fields);
    let chosen = form.fields.text(SAMPLE).parse::<EventName>().ok();
    let name = chosen.unwrap_or_else(|| first_of(form.catalog, &patterns));
    let variables = form.catalog.get(&name).map(|(kind, _)| kind.sample());
    // 2026-01-02T03:04:05.678Z, as on the reference page.
    let at = Timestamp::from_ms(1_767_323_045_678);
    Event {
        id: EventId::from_parts(at, [0x5a; 10]),
        name,
        account: account(form),
        time: at,
        accepted_at: at,
        deliver_at: None,
        variables: variables.unwrap_or_default(),
        trace: None,
    }
}

fn first_of(catalog: &Catalog, patterns: &[String]) -> EventName {
    let filter = EventFilter::parse(patterns).unwrap_or_else(|_| EventFilter::all());
    let mut names = catalog.iter().map(|(kind, _)| &kind.name);
    let known = names.find(|name| filter.matches(name)).cloned();
    // A name that is in no catalog is an event all the same.
    let named = || patterns.iter().find_map(|pattern| pattern.parse().ok());
    known.or_else(named).unwrap_or_else(|| "ringback.test".parse().expect("a name"))
}

fn account(form: &Form<'_>) -> Account {
    let stored = match form.purpose {
        Purpose::Change(callback) => callback.account.clone(),
        Purpose::Callback => form.fields.text("account").trim().parse().ok(),
        Purpose::Integration => None,
    };
    let own = || form.visitor.caller.account().cloned();
    stored.or_else(own).unwrap_or_else(|| "acme".parse().expect("an account"))
}
