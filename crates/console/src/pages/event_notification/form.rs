//! The form of a registration: its fields, and what is sent to the API's own function for them.

use maud::{Markup, html};
use ringback_api::FieldError;
use ringback_core::callback::Authorization;
use ringback_core::catalog::{EventType, built_in};
use ringback_core::secret::Secret;
use ringback_core::{Account, Callback};
use serde_json::{Map, Value, json};

use super::{PATH, off_address};
use crate::pages::ROOT;
use crate::pages::inputs::{Inputs, Mistakes};
use crate::pages::parts::token;
use crate::pages::posted::Fields;
use crate::pages::visitor::Visitor;
use crate::wire::registration::Registration;

/// The button that takes the registration out of use.
pub(super) const OFF: &str = "off";
/// The buttons that tick all types or none.
pub(super) const TICK: &str = "tick";
/// A type that is ticked.
const EVENT: &str = "event";
const URL: &str = "callbackUrl";
const AUTH_TYPE: &str = "authType";

/// The form with what stands in it.
pub(super) struct Form<'a> {
    pub(super) visitor: &'a Visitor,
    pub(super) account: &'a Account,
    pub(super) registered: Option<&'a Callback>,
    pub(super) fields: &'a Fields,
    pub(super) mistakes: &'a Mistakes,
}

/// The types of Conga Sign's notifications.
fn types() -> impl Iterator<Item = &'static EventType> {
    built_in().iter().filter(|kind| kind.variables.iter().any(|it| it.name == "packageId"))
}

/// What else it gets: patterns that speak of none of [`types`].
fn others(registered: Option<&Callback>) -> Vec<String> {
    let Some(callback) = registered else { return Vec::new() };
    let mut others = callback.events.patterns();
    others.retain(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => !types().any(|kind| kind.name.as_str().starts_with(prefix)),
        None => !types().any(|kind| kind.name.as_str() == pattern),
    });
    others
}

/// What is ticked for what is registered; all types where there is nothing yet.
fn stored_ticks(registered: Option<&Callback>) -> Vec<String> {
    let is_sent = |kind: &EventType| registered.is_none_or(|it| it.events.matches(&kind.name));
    let names = types().filter(|kind| is_sent(kind)).map(|kind| kind.name.to_string());
    names.chain(others(registered)).collect()
}

/// The fields of what is registered.
pub(super) fn of(registered: Option<&Callback>) -> Fields {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    if let Some(callback) = registered {
        put(URL, callback.url.as_str());
        put(AUTH_TYPE, type_of(&callback.authorization));
        if let Authorization::Basic { username, .. } = &callback.authorization {
            put("username", username);
        }
    }
    for name in stored_ticks(registered) {
        put(EVENT, &name);
    }
    fields.into_iter().collect()
}

/// The same, with all types ticked or none.
pub(super) fn ticked(fields: Fields, registered: Option<&Callback>) -> Fields {
    let all = fields.text(TICK) == "all";
    let rest = fields.without(EVENT).without(TICK);
    let types = types().map(|kind| kind.name.to_string()).chain(others(registered));
    rest.with(types.filter(|_| all).map(|name| (EVENT.to_owned(), name)))
}

/// What the API takes for these fields. Of a secret that is left empty the stored one is kept.
pub(super) fn registration(fields: &Fields, registered: Option<&Callback>) -> Registration {
    let text = |name: &str| fields.text(name).trim().to_owned();
    let chosen = fields.text(AUTH_TYPE);
    let auth_type = match chosen {
        "basic" => "Basic",
        "bearer" => "Bearer",
        "" | "none" | "callback_key" => "None",
        other => other,
    };
    if fields.has(OFF) {
        return read(json!({ "callbackUrl": "", "authType": "None" }));
    }
    let mut json = Map::new();
    json.insert(AUTH_TYPE.to_owned(), auth_type.into());
    // An empty URL would switch it off, which has a button of its own.
    if !text(URL).is_empty() {
        json.insert(URL.to_owned(), text(URL).into());
    }
    let secret = match chosen {
        "basic" => Some("password"),
        "bearer" => Some("bearerToken"),
        "callback_key" => Some("callbackKey"),
        _ => None,
    };
    if chosen == "basic" {
        json.insert("username".to_owned(), fields.text("username").into());
    }
    if let Some(secret) = secret {
        let typed = fields.text(secret);
        let is_stored = registered.is_some_and(|it| type_of(&it.authorization) == chosen);
        let value = if typed.is_empty() && is_stored { Secret::MASK } else { typed };
        json.insert(secret.to_owned(), value.into());
    }
    let ticks: Vec<_> = fields.all(EVENT).collect();
    // Prefixes stay prefixes while nobody changes what they stand for.
    if registered.is_none() || ticks != stored_ticks(registered) {
        json.insert("events".to_owned(), ticks.into());
    }
    read(json.into())
}

fn read(json: Value) -> Registration {
    serde_json::from_value(json).expect("all members are texts")
}

/// What is wrong, at the fields of the form.
pub(super) fn mistakes(errors: &[FieldError]) -> Mistakes {
    Mistakes::of(errors, |FieldError { pointer, detail }| {
        let place = pointer.strip_prefix('/').unwrap_or(pointer);
        let place = place.split('/').next().unwrap_or_default();
        let detail = match place {
            "events" if detail.starts_with("at least") => {
                "tick at least one, or switch notifications off"
            }
            _ if detail.starts_with("is required") => "is required",
            _ => detail,
        };
        (place.to_owned(), detail.to_owned())
    })
}

/// The word that the form has for a type of authorization.
const fn type_of(authorization: &Authorization) -> &'static str {
    match authorization {
        // One that can't be told here is kept out of the form: saving it takes its place.
        Authorization::None | Authorization::Header { .. } => "none",
        Authorization::Basic { .. } => "basic",
        Authorization::Bearer { .. } => "bearer",
        Authorization::CallbackKey { .. } => "callback_key",
    }
}

fn label_of(name: &str) -> &'static str {
    match name {
        URL => "URL",
        AUTH_TYPE => "Authorization",
        "username" => "User name",
        "password" => "Password",
        "bearerToken" => "Bearer token",
        "callbackKey" => "Callback key",
        "events" => "Events",
        _ => "This form",
    }
}

impl Form<'_> {
    pub(super) fn markup(&self) -> Markup {
        let is_on = self.registered.is_some_and(|callback| callback.state.is_enabled());
        let inputs = self.inputs();
        html! {
            (inputs.summary())
            form.card method="post" action={ (ROOT) (PATH) } {
                h2 { @if self.registered.is_some() { "Change it" } @else { "Register" } }
                (token(self.visitor))
                (Inputs::default_button())
                (inputs.as_of(self.registered))
                input type="hidden" name="account" value=(self.account);
                @if self.registered.is_some() && !is_on {
                    div.banner.busy { p { "Notifications are off. Saving switches them on." } }
                }
                (inputs.text(URL, "Where notifications go: http or https."))
                (self.authorization())
                (self.events())
                div.actions {
                    button.primary type="submit" { @if self.registered.is_some() { "Save" } @else { "Register" } }
                    @if is_on {
                        a.button.danger href=(off_address(self.account)) data-dialog { "Switch notifications off" }
                    }
                }
            }
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs { fields: self.fields, mistakes: self.mistakes, label_of }
    }

    fn authorization(&self) -> Markup {
        let inputs = self.inputs();
        let secret = |name: &str, of: &str| {
            let stored = self.registered.map(|callback| type_of(&callback.authorization));
            let hint = if stored == Some(of) {
                "Leave it empty to keep the one that is stored."
            } else {
                ""
            };
            inputs.secret(name, hint)
        };
        html! {
            fieldset.authorization {
                legend { "Authorization" }
                @if self.registered.is_some_and(|it| matches!(it.authorization, Authorization::Header { .. })) {
                    div.banner.busy { p { "It sends a header of its own, set on the callback’s page. Saving here takes its place." } }
                }
                (inputs.choice(AUTH_TYPE, "", &[
                    ("none", "None"), ("callback_key", "None, with a callback key"), ("basic", "Basic"), ("bearer", "Bearer"),
                ]))
                div.of-basic.pair { (inputs.text("username", "Without a colon.")) (secret("password", "basic")) }
                div.of-bearer { (secret("bearerToken", "bearer")) }
                div.of-callback-key { (secret("callbackKey", "callback_key")) }
            }
        }
    }

    fn events(&self) -> Markup {
        let ticked: Vec<_> = self.fields.all(EVENT).collect();
        let is_all = self.registered.is_some_and(|callback| callback.events.matches_all());
        html! {
            fieldset #f-events tabindex="-1" {
                legend { "Events" }
                (self.inputs().wrong("events"))
                @if is_all {
                    p.hint { "It gets all events of the account, others than these among them, until you change what is ticked." }
                }
                p.actions {
                    button.small type="submit" name=(TICK) value="all" formnovalidate { "All on" }
                    button.small type="submit" name=(TICK) value="none" formnovalidate { "All off" }
                }
                div.types.tall {
                    @for kind in types() { (event_box(kind.name.as_str(), &kind.description.replace('`', ""), &ticked)) }
                    @for pattern in others(self.registered) { (event_box(&pattern, "No type of Conga Sign’s.", &ticked)) }
                }
            }
        }
    }
}

fn event_box(name: &str, description: &str, ticked: &[&str]) -> Markup {
    html! {
        label.check {
            input type="checkbox" name=(EVENT) value=(name) checked[ticked.contains(&name)];
            span.named { code { (name) } span.hint { (description) } }
        }
    }
}
