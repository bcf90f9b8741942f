//! What lists are narrowed down by: forms whose values come back, with what is wrong beside each.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use maud::{Markup, html};
use ringback_api::{Caller, Problem, Query};
use ringback_core::timestamp::InvalidTimestamp;
use ringback_core::{Callback, CallbackId, Timestamp};

use super::inputs::{Ties, field};
use super::known::Callbacks;
use super::parts::name_of;
use super::visitor::Visitor;

/// With more callbacks or accounts than this a list to choose from helps nobody.
pub(super) const CHOICES_MAX: usize = 200;

/// What was typed into a filter's form.
pub(super) struct Filter {
    query: Query,
    typed: Vec<Typed>,
}

struct Typed {
    name: &'static str,
    text: String,
    wrong: Option<String>,
}

impl Filter {
    pub(super) fn of(query: Query) -> Self {
        Self { query, typed: Vec::new() }
    }

    /// The value of a field; none if it is empty, or is not what it should be: then the field says so.
    ///
    /// # Errors
    /// 400 if it stands there twice.
    pub(super) fn take<T>(&mut self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.query.take::<String>(name)?.unwrap_or_default().trim().to_owned();
        let (value, wrong) = match text.parse() {
            _ if text.is_empty() => (None, None),
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(format!("{error}"))),
        };
        self.typed.push(Typed { name, text, wrong });
        Ok(value)
    }

    /// A callback of [`callback_field`]: by its id, or by a part of the name or URL of one of the caller's.
    ///
    /// # Errors
    /// 400 if it stands there twice.
    pub(super) fn take_callback(
        &mut self,
        callbacks: &Callbacks,
        caller: &Caller,
    ) -> Result<Option<CallbackId>, Problem> {
        /// As many are named as somebody may want to read.
        const NAMED_MAX: usize = 5;
        const NAME: &str = "callback";
        let Some(text) = self.take::<String>(NAME)? else { return Ok(None) };
        if let Ok(id) = text.parse() {
            return Ok(Some(id));
        }
        let part = text.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&part);
        let matches = |it: &&Arc<Callback>| has(&it.description) || has(it.url.as_str());
        let mut found: Vec<_> = callbacks.of(caller).filter(matches).collect();
        found.sort_by_cached_key(|callback| name_of(callback).to_lowercase());
        let named = found.iter().take(NAMED_MAX);
        let named: Vec<_> =
            named.map(|it| format!("“{}” ({})", shortened(name_of(it), 60), it.id)).collect();
        let named = named.join(", ");
        match found.len() {
            0 => self.refuse(NAME, "No callback has this in its name or URL, or as its id."),
            1 => return Ok(Some(found[0].id)),
            2..=NAMED_MAX => self.refuse(NAME, format!("Several callbacks match: {named}.")),
            more => self.refuse(NAME, format!("{more} callbacks match, among them {named}.")),
        }
        Ok(None)
    }

    /// A moment of [`time_fields`].
    ///
    /// # Errors
    /// 400 if it is none: no form of ours sends that.
    pub(super) fn moment(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        Ok(self.take_exact(name)?.map(|Moment(at)| at))
    }

    /// What no form of ours gets wrong: a span, a cursor.
    ///
    /// # Errors
    /// 400 if it is not what it should be.
    pub(super) fn take_exact<T>(&mut self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        self.query.take(name)
    }

    /// Says that all is taken.
    ///
    /// # Errors
    /// 400 if there is more.
    pub(super) fn end(&mut self) -> Result<(), Problem> {
        std::mem::take(&mut self.query).end()
    }

    /// Says what is wrong with a field.
    pub(super) fn refuse(&mut self, name: &'static str, wrong: impl Into<String>) {
        if let Some(typed) = self.typed.iter_mut().find(|typed| typed.name == name) {
            typed.wrong = Some(wrong.into());
        }
    }

    /// Whether every field is what it should be.
    pub(super) fn is_right(&self) -> bool {
        self.typed.iter().all(|typed| typed.wrong.is_none())
    }

    /// What was typed into a field.
    pub(super) fn text(&self, name: &str) -> &str {
        self.typed.iter().find(|typed| typed.name == name).map_or("", |typed| &typed.text)
    }

    fn ties(&self, name: &str) -> Ties<'_> {
        self.hinted_ties(name, "")
    }

    fn hinted_ties(&self, name: &str, hint: &str) -> Ties<'_> {
        let typed = self.typed.iter().find(|typed| typed.name == name);
        Ties::of(name.to_owned(), typed.and_then(|typed| typed.wrong.as_deref()), hint)
    }
}

/// A field to type into. `list` is the id of a `datalist` with proposals.
pub(super) fn text_field(
    filter: &Filter,
    label: &str,
    name: &'static str,
    list: Option<&str>,
) -> Markup {
    hinted_field(filter, label, name, (list, ""))
}

/// The same, with a hint of what it takes.
pub(super) fn hinted_field(
    filter: &Filter,
    label: &str,
    name: &'static str,
    (list, hint): (Option<&str>, &str),
) -> Markup {
    field(&filter.hinted_ties(name, hint), label, hint, |ties| {
        html! {
            input id=(ties.id) type="text" name=(name) value=(filter.text(name)) list=[list] autocomplete="off"
                spellcheck="false" aria-invalid=[ties.invalid()] aria-describedby=[ties.described_by()];
        }
    })
}

/// A field to choose one of these in: value and label of each. Nothing chosen is `all`.
pub(super) fn choice_field(
    filter: &Filter,
    label: &str,
    name: &'static str,
    (all, choices): (&str, &[(String, String)]),
) -> Markup {
    let chosen = filter.text(name);
    field(&filter.ties(name), label, "", |ties| {
        html! {
            select id=(ties.id) name=(name) aria-invalid=[ties.invalid()] aria-describedby=[ties.described_by()] {
                option value="" { (all) }
                @for (value, shown) in choices {
                    option value=(value) selected[value == chosen] { (shown) }
                }
            }
        }
    })
}

/// A field for an account, `account`: of those who may see more than one.
pub(super) fn account_field(filter: &Filter, visitor: &Visitor) -> Markup {
    html! {
        @if visitor.is_administrator() { (text_field(filter, "Account", "account", None)) }
    }
}

/// A field for one of the caller's callbacks, `callback`: to choose from, or to type into where there are very many.
pub(super) fn callback_field(filter: &Filter, callbacks: &Callbacks, caller: &Caller) -> Markup {
    if callbacks.of(caller).nth(CHOICES_MAX).is_some() {
        return hinted_field(
            filter,
            "Callback",
            "callback",
            (None, "Part of its name or URL, or its id"),
        );
    }
    let choice = |id: CallbackId, name: &str| (id.to_string(), shortened(name, 60));
    let mut choices: Vec<_> =
        callbacks.of(caller).map(|callback| choice(callback.id, name_of(callback))).collect();
    choices.sort_by_cached_key(|(_, name)| name.to_lowercase());
    let chosen = filter.text("callback");
    if !chosen.is_empty() && !choices.iter().any(|(id, _)| id == chosen) {
        // One that was deleted, or is not theirs, and that a link has led to.
        choices.push((chosen.to_owned(), chosen.to_owned()));
    }
    choice_field(filter, "Callback", "callback", ("All callbacks", &choices))
}

/// Fields for a time, `since` and `until`. Without script they are of UTC, with it the viewer's.
pub(super) fn time_fields(since: Option<Timestamp>, until: Option<Timestamp>) -> Markup {
    html! {
        (moment_field("Since", "since", since))
        (moment_field("Before", "until", until))
    }
}

fn moment_field(label: &str, name: &str, value: Option<Timestamp>) -> Markup {
    let shown = value.map(|at| at.to_string()).unwrap_or_default();
    // To the second, without a zone: that is all that the field takes.
    let shown = shown.split('.').next().unwrap_or_default();
    html! {
        div.field {
            label for=(name) { (label) " (" span.zone { "UTC" } ")" }
            input id=(name) type="datetime-local" name=(name) value=(shown) step="1" data-moment;
        }
    }
}

/// A moment as it comes from [`time_fields`]: with its zone, or in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment(Timestamp);

impl FromStr for Moment {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let whole = match text.len() {
            // Browsers leave the seconds out where they are none.
            16 => format!("{text}:00Z"),
            19 => format!("{text}Z"),
            _ => text.to_owned(),
        };
        whole.parse().map(Self)
    }
}

/// The beginning of a text, of at most so many characters.
pub(super) fn shortened(text: &str, len_max: usize) -> String {
    match text.char_indices().nth(len_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_without_a_zone_are_utc() {
        let expected = Timestamp::from_ms(1_767_323_040_000);
        for text in ["2026-01-02T03:04", "2026-01-02T03:04:00", "2026-01-02T04:04:00.000+01:00"] {
            assert_eq!(text.parse::<Moment>().expect("a moment").0, expected, "{text}");
        }
        assert!("yesterday".parse::<Moment>().is_err());
    }
}
