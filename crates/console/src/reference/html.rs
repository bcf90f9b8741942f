//! The page as HTML. What stands in it was written by others: every text is escaped by the macro.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use ringback_core::callback::Format;
use ringback_core::catalog::{Catalog, EventType, Origin, Variable};
use ringback_core::{Event, EventId, Timestamp, render};

/// The style sheet, to the letter: the page's policy names its hash.
pub(super) const STYLE: &str = include_str!("style.css");

/// Where the types begin. No type is called so: names have no colon.
const TYPES: &str = "types:";

pub(super) fn page(catalog: &Catalog) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Event types – Ringback" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href={ "#" (TYPES) } { "Skip to the types" }
                header {
                    h1 { "Event types" }
                    p {
                        "What happens here, and what is told of it. Events are checked against this when they are sent; "
                        "they may have other variables besides, which are passed on as they are."
                    }
                }
                div.columns {
                    (index(catalog))
                    main id=(TYPES) tabindex="-1" {
                        @for (kind, origin) in catalog.iter() { (section(kind, origin, "")) }
                    }
                }
                footer {
                    p { "The API that events are sent with is described at " a href="/openapi.json" { "/openapi.json" } "." }
                }
            }
        }
    }
}

fn index(catalog: &Catalog) -> Markup {
    html! {
        nav aria-labelledby="index:" {
            h2 id="index:" { "All types" }
            ul {
                @for (kind, _) in catalog.iter() {
                    li { a href={ "#" (kind.name) } { code { (kind.name) } } }
                }
            }
        }
    }
}

/// One type. Its anchor is its name with this before it.
pub(super) fn section(kind: &EventType, origin: Origin, before: &str) -> Markup {
    let name = &kind.name;
    let anchor = format!("{before}{name}");
    html! {
        section aria-labelledby=(anchor) {
            h2 id=(anchor) { a href={ "#" (anchor) } { (name) } }
            p.origin { (in_words(origin)) }
            @if !kind.description.is_empty() { p.said { (text(&kind.description)) } }
            @if kind.variables.is_empty() {
                p { "No variables are known of it." }
            } @else {
                (table(kind))
            }
            @for format in formats(kind) { (example(kind, format)) }
        }
    }
}

fn table(kind: &EventType) -> Markup {
    html! {
        table {
            caption { "Variables of " (kind.name) }
            thead {
                tr {
                    th scope="col" { "Name" }
                    th scope="col" { "Type" }
                    th scope="col" { "What it says" }
                }
            }
            tbody {
                @for variable in &kind.variables { (row(variable)) }
            }
        }
    }
}

fn row(variable: &Variable) -> Markup {
    html! {
        tr {
            th scope="row" { code { (breakable(&variable.name)) } }
            td {
                p { (variable.kind.as_str()) }
                @if let Some(limit) = variable.max_length {
                    p.muted { "at most " (limit) " characters" }
                }
                p.muted { @if variable.required { "required" } @else { "optional" } }
            }
            td {
                @if !variable.description.is_empty() { p.said { (text(&variable.description)) } }
                @if let Some(example) = &variable.example {
                    p.muted { "Example: " code { (example.as_json().get()) } }
                }
            }
        }
    }
}

/// What a receiver gets, made as it is made for a receiver.
/// Those that carry what there is of a type: Conga Sign's has a place for what names a package, and for little else.
fn formats(kind: &EventType) -> impl Iterator<Item = Format> {
    let is_of_packages = kind.variables.iter().any(|variable| variable.name == "packageId");
    Format::ALL.into_iter().filter(move |format| *format != Format::CongaSign || is_of_packages)
}

fn example(kind: &EventType, format: Format) -> Markup {
    let body = render::body(format, &sample(kind));
    html! {
        details {
            summary { "As " code { (format.as_str()) } " (" (body.content_type) ")" }
            pre { code { (body.text) } }
        }
    }
}

fn sample(kind: &EventType) -> Event {
    // 2026-01-02T03:04:05.678Z.
    let at = Timestamp::from_ms(1_767_323_045_678);
    Event {
        id: EventId::from_parts(at, [0x5a; 10]),
        name: kind.name.clone(),
        account: "acme".parse().expect("an account"),
        time: at,
        accepted_at: at,
        deliver_at: None,
        variables: kind.sample(),
        trace: None,
    }
}

/// A name that a narrow screen may break where people would.
fn breakable(name: &str) -> Markup {
    html! {
        @for part in name.split_inclusive('_') { (part) wbr; }
    }
}

/// Words between backquotes are code.
fn text(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

const fn in_words(origin: Origin) -> &'static str {
    match origin {
        Origin::BuiltIn => "Built in",
        Origin::Own => "Added here",
        Origin::ReplacesBuiltIn => "Added here, in the place of the built-in one",
    }
}
