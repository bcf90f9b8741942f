//! The form: one for new callbacks and for those that are changed.

use maud::{Markup, html};
use ringback_core::callback::CallbackState;
use ringback_core::catalog::Catalog;
use ringback_core::{Callback, Timestamp};

use super::fields::{self, ALL, THESE, TYPE, WHICH};
use super::preview;
use crate::pages::ROOT;
use crate::pages::inputs::{Inputs, Mistakes, once};
use crate::pages::layout::{Section, page};
use crate::pages::parts::{callback_link, token};
use crate::pages::posted::Fields;
use crate::pages::visitor::Visitor;
use crate::wire::settings::Rules;

/// The field that tells what the form is for.
pub(super) const PURPOSE: &str = "for";

/// What a form is for.
pub(super) enum Purpose {
    /// A new callback of an account.
    Callback,
    /// A new callback of all accounts.
    Integration,
    /// Changing this one.
    Change(Box<Callback>),
}

/// The form with what stands in it.
pub(super) struct Form<'a> {
    pub(super) visitor: &'a Visitor,
    pub(super) purpose: &'a Purpose,
    pub(super) fields: &'a Fields,
    pub(super) mistakes: &'a Mistakes,
    pub(super) catalog: &'a Catalog,
    pub(super) rules: &'a Rules<'a>,
    pub(super) now: Timestamp,
}

impl Purpose {
    pub(super) fn stored(&self) -> Option<&Callback> {
        match self {
            Self::Change(callback) => Some(callback),
            Self::Callback | Self::Integration => None,
        }
    }

    fn word(&self) -> String {
        match self {
            Self::Callback => "callback".to_owned(),
            Self::Integration => "integration".to_owned(),
            Self::Change(callback) => callback.id.to_string(),
        }
    }

    /// Where the form is sent, below [`ROOT`].
    fn path(&self) -> String {
        match self {
            Self::Callback => "/callbacks".to_owned(),
            Self::Integration => "/integrations".to_owned(),
            Self::Change(callback) => format!("/callbacks/{}/edit", callback.id),
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::Callback => "Add a callback",
            Self::Integration => "Add an integration",
            Self::Change(_) => "Edit the callback",
        }
    }

    fn section(&self) -> Section {
        match self {
            Self::Integration => Section::Integrations,
            Self::Callback => Section::Callbacks,
            Self::Change(callback) => super::section_of(callback),
        }
    }
}

impl Form<'_> {
    /// The page with the form.
    pub(super) fn page(&self) -> Markup {
        let title = self.purpose.title();
        let body = html! {
            (self.crumbs())
            div.head { h1 { (title) } }
            (self.inputs().summary())
            form.callback method="post" action={ (ROOT) (self.purpose.path()) } data-preview={ (ROOT) "/callbacks/preview" } {
                (token(self.visitor))
                (Inputs::default_button())
                input type="hidden" name=(PURPOSE) value=(self.purpose.word());
                @match self.purpose.stored() {
                    Some(stored) => (self.inputs().as_of(Some(stored))),
                    None => (once::field(self.fields, self.now)),
                }
                (self.request())
                (self.events())
                (self.authorization())
                (self.retries())
                (self.limits())
                (preview::section(self))
                div.actions {
                    button.primary type="submit" { @if self.purpose.stored().is_some() { "Save" } @else { (title) } }
                }
            }
        };
        page(self.visitor, self.purpose.section(), title, body)
    }

    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs { fields: self.fields, mistakes: self.mistakes, label_of: fields::label_of }
    }

    fn crumbs(&self) -> Markup {
        html! {
            p.crumbs {
                @match self.purpose {
                    Purpose::Callback => a href={ (ROOT) "/callbacks" } { "Callbacks" },
                    Purpose::Integration => a href={ (ROOT) "/integrations" } { "Integrations" },
                    Purpose::Change(callback) => (callback_link(Some(callback), callback.id)),
                }
            }
        }
    }

    fn request(&self) -> Markup {
        let inputs = self.inputs();
        html! {
            (inputs.text("description", "What people know it by. Left empty, that is its URL."))
            (inputs.text("url", "Where the requests go: http or https. Tags such as {PROJECT_ID} are replaced by the event’s \
                variables, in the path and behind it."))
            div.pair {
                (inputs.choice("method", "GET carries only what the URL names, POST the whole event.",
                    &[("POST", "POST"), ("GET", "GET")]))
                div.with-post {
                    (inputs.choice("format", "What a POST carries.", &FORMATS))
                }
            }
            (self.account())
            (inputs.tick("enabled", self.hint_of_enabled()))
        }
    }

    fn account(&self) -> Markup {
        let whose = |account: Option<&str>| {
            html! {
                div.field {
                    span.label { "Account" }
                    p { @match account { Some(account) => strong { (account) }, None => "All accounts" } }
                }
            }
        };
        match (self.purpose, self.visitor.caller.account()) {
            (Purpose::Change(callback), _) => {
                whose(callback.account.as_ref().map(ringback_core::Account::as_str))
            }
            (Purpose::Integration, _) => whose(None),
            (Purpose::Callback, Some(own)) => whose(Some(own.as_str())),
            (Purpose::Callback, None) => {
                let hint = "Whose events it gets. This can’t be changed later.";
                html! {
                    (self.inputs().text("account", hint))
                    p.hint {
                        "To get those of all accounts, " a href={ (ROOT) "/integrations/new" } { "add an integration" } "."
                    }
                }
            }
        }
    }

    fn hint_of_enabled(&self) -> &'static str {
        match self.purpose.stored().map(|stored| stored.state) {
            Some(CallbackState::Paused) => {
                "Off: what is on its way to it is cancelled. It is paused, and stays so while this is on."
            }
            Some(CallbackState::Enabled) => {
                "Off: what is on its way to it is cancelled. Pausing keeps it."
            }
            Some(CallbackState::Disabled(_)) | None => "Off: no event is sent to it.",
        }
    }

    fn events(&self) -> Markup {
        let which = self.fields.text(WHICH);
        let ticked: Vec<_> = self.fields.all(TYPE).collect();
        html! {
            fieldset.events {
                legend { "Events" }
                div.check {
                    input #f-all-events type="radio" name=(WHICH) value=(ALL) checked[which == ALL] aria-describedby="f-all-events-hint";
                    label for="f-all-events" { "All events" }
                }
                div.banner.busy.all-events #f-all-events-hint {
                    p { strong { "All events may overwhelm the receiver." } " Choose those that it needs, or set a limit of requests a second below." }
                }
                div.check {
                    input #f-these-events type="radio" name=(WHICH) value=(THESE) checked[which != ALL];
                    label for="f-these-events" { "These events" }
                }
                div.these-events {
                    details open[!ticked.is_empty()] {
                        summary { "Choose from the catalog" }
                        div.types {
                            @for (kind, _) in self.catalog.iter() { (type_box(kind.name.as_str(), &ticked)) }
                        }
                    }
                    (self.inputs().area("events", "Others, one a line: names, or beginnings of names such as PACKAGE_*."))
                }
            }
        }
    }

    fn authorization(&self) -> Markup {
        let inputs = self.inputs();
        let secret = |name: &str, of: &str| {
            let is_kept =
                self.purpose.stored().is_some_and(|stored| fields::has_secret_of(stored, of));
            let hint = if is_kept { "Leave it empty to keep the one that is stored." } else { "" };
            inputs.secret(name, hint)
        };
        html! {
            fieldset.authorization {
                legend { "Authorization" }
                (inputs.choice("authorization/type", "What the Authorization header of each request says.", &[
                    ("none", "None"), ("basic", "Basic: user name and password"), ("bearer", "Bearer token"),
                    ("header", "Any value, sent as it is"), ("callback_key", "Callback key, sent behind “Basic” as it is"),
                ]))
                div.of-basic.pair {
                    (inputs.text("authorization/username", "Without a colon."))
                    (secret("authorization/password", "basic"))
                }
                div.of-bearer { (secret("authorization/token", "bearer")) }
                div.of-header { (secret("authorization/value", "header")) }
                div.of-callback-key { (secret("authorization/key", "callback_key")) }
            }
            (inputs.area("headers", "Sent besides, one a line: Name: value."))
        }
    }

    fn retries(&self) -> Markup {
        let inputs = self.inputs();
        html! {
            fieldset.switched {
                legend { "Retries" }
                (inputs.tick("retry/enabled", "When a request could not complete, or was not answered with 2xx."))
                div.pair.when-on {
                    (inputs.number("retry/delay_seconds", "0 to 604800. 300 unless said."))
                    (inputs.number("retry/max_retries", "0 to 100. 3 unless said: four requests in all."))
                }
                div.when-on.growing {
                    (inputs.choice("retry/backoff", "", &[("fixed", "Not at all"), ("exponential", "By a factor, at random below it")]))
                    div.pair.with-exponential {
                        (inputs.number("retry/factor", "1 to 10. 2 unless said."))
                        (inputs.number("retry/max_delay_seconds", "A week unless said."))
                    }
                }
            }
        }
    }

    fn limits(&self) -> Markup {
        let inputs = self.inputs();
        html! {
            details.block open[self.mistakes.are_any()] {
                summary { "Limits that protect the receiver" }
                fieldset {
                    legend { "Limits" }
                    div.pair {
                        (inputs.number("rate_limit/per_second", "1 to 10000. Left empty: as many as there are."))
                        (inputs.number("rate_limit/burst", "How many may go at once after a quiet time. A tenth of the above unless said."))
                    }
                    div.pair {
                        (inputs.number("max_in_flight", "In each worker: 1 to 1000. 32 unless said."))
                        (inputs.number("timeout_ms", "100 to 120000. 15000 unless said."))
                    }
                }
                fieldset.switched {
                    legend { "Circuit" }
                    (inputs.tick("circuit/enabled", "What comes meanwhile waits, and uses up no retry."))
                    div.pair.when-on {
                        (inputs.number("circuit/failures", "So many open the circuit: 1 to 1000. 20 unless said."))
                        (inputs.number("circuit/open_seconds", "At first: 1 to 3600. 30 unless said."))
                    }
                }
            }
        }
    }
}

const FORMATS: [(&str, &str); 4] = [
    ("form", "Form fields"),
    ("json", "JSON"),
    ("cloudevents", "CloudEvents (JSON)"),
    ("conga-sign", "Conga Sign’s notification (JSON)"),
];

fn type_box(name: &str, ticked: &[&str]) -> Markup {
    html! {
        label.check {
            input type="checkbox" name=(TYPE) value=(name) checked[ticked.contains(&name)];
            span { code { (name) } }
        }
    }
}
