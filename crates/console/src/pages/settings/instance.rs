//! What this instance is set to, and how what it works on is. To be read: settings are changed where the process is started.

use maud::{Markup, html};

use crate::Console;
use crate::facts::{Dependency, Facts, Kept};
use crate::pages::parts;

pub(super) fn cards(console: &Console) -> Markup {
    let dependencies = console.facts.as_ref().map(|facts| (facts.dependencies)());
    html! {
        @if let Some(dependencies) = &dependencies { (health(dependencies)) }
        section aria-labelledby="instance" {
            h2 #instance { "This instance" }
            div.card {
                dl.facts {
                    @if let Some(facts) = console.facts.as_deref() { (of_process(facts, dependencies.as_deref())) }
                    dt { "Public URL" }
                    dd {
                        @match console.address_policy.own() {
                            Some(own) => code { (own) },
                            None => { "Not known: the setting " code { "public_url" } " says it." },
                        }
                    }
                    dt { "Networks allowed" }
                    dd { (networks(console)) }
                }
            }
        }
    }
}

fn of_process(facts: &Facts, dependencies: Option<&[Dependency]>) -> Markup {
    let days = facts.retention.as_secs() / 86_400;
    html! {
        dt { "Version" } dd { (facts.version) }
        dt { "Shape" } dd { (shape(dependencies.unwrap_or_default())) }
        dt { "Listens at" } dd { code { (facts.listens_at) } }
        dt { "History is kept" } dd { (days) @if days == 1 { " day" } @else { " days" } }
    }
}

fn shape(dependencies: &[Dependency]) -> &'static str {
    let in_directory = dependencies.iter().filter(|of| of.kept == Kept::InDirectory).count();
    match in_directory {
        0 => "Distributed: all is kept on servers",
        all if all == dependencies.len() => "Embedded: all is kept in one directory",
        _ => "Mixed: some is kept on servers, the rest in one directory",
    }
}

fn networks(console: &Console) -> Markup {
    let allowed = console.address_policy.allowed();
    html! {
        @if allowed.is_empty() {
            "None: callbacks to private and special addresses are refused."
        } @else {
            @for (index, network) in allowed.iter().enumerate() {
                @if index > 0 { ", " }
                code { (network) }
            }
            p.hint { "Callbacks may point into these though they are private or special." }
        }
    }
}

fn health(dependencies: &[Dependency]) -> Markup {
    html! {
        section aria-labelledby="health" {
            h2 #health { "Health" }
            div.card.bare-list #dependencies data-live="5" {
                table.list {
                    thead {
                        tr {
                            th scope="col" { "What" }
                            th scope="col" { "Where" }
                            th scope="col" { "State" }
                            th scope="col" { "Since" }
                        }
                    }
                    tbody { @for dependency in dependencies { (row(dependency)) } }
                }
            }
        }
    }
}

fn row(dependency: &Dependency) -> Markup {
    let kept = match dependency.kept {
        Kept::InDirectory => "data directory",
        Kept::OnServer(server) => server,
    };
    html! {
        tr {
            th scope="row" { (dependency.name) }
            td data-label="Where" { (kept) }
            td data-label="State" {
                div {
                    @match (&dependency.trouble, dependency.since) {
                        (Some(trouble), _) => { (parts::badge("bad", "away")) p.error { (trouble) } },
                        (None, Some(_)) => (parts::badge("good", "up")),
                        (None, None) => (parts::badge("quiet", "not looked at yet")),
                    }
                }
            }
            td data-label="Since" { @if let Some(since) = dependency.since { (parts::time(since)) } }
        }
    }
}
