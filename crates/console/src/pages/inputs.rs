//! The fields of a form, each with its label, its hint and what is wrong with it.

pub(super) mod once;

use maud::{Markup, html};
use ringback_api::FieldError;
use ringback_core::Callback;

use super::posted::Fields;
use super::problem::sentence;

/// The field that holds when the callback was last changed, as of what the form showed at first; empty: there was none.
pub(super) const AS_OF: &str = "as-of";

/// What is wrong with what was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mistakes(Vec<Mistake>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mistake {
    /// The name of the field; empty: the whole form.
    field: String,
    detail: String,
}

/// Makes the fields of a form out of what was typed, or is stored.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) fields: &'a Fields,
    pub(super) mistakes: &'a Mistakes,
    /// What people call a field of this name.
    pub(super) label_of: fn(&str) -> &'static str,
}

/// What ties a control to what is said of it.
pub(super) struct Ties<'a> {
    /// The control's.
    pub(super) id: String,
    described_by: Option<String>,
    wrong: Vec<&'a str>,
}

impl Mistakes {
    /// Finds the field of each error, and what to say there.
    pub(super) fn of(
        errors: &[FieldError],
        place: impl Fn(&FieldError) -> (String, String),
    ) -> Self {
        let mistakes = errors.iter().map(|error| {
            let (field, detail) = place(error);
            Mistake { field, detail }
        });
        Self(mistakes.collect())
    }

    /// Each at the field whose name is the place that it speaks of, without the first slash.
    pub(super) fn in_place(errors: &[FieldError]) -> Self {
        let name = |pointer: &str| pointer.strip_prefix('/').unwrap_or(pointer).to_owned();
        Self::of(errors, |error| (name(&error.pointer), error.detail.clone()))
    }

    pub(super) fn are_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The id of the control of this name.
    fn id_of(name: &str) -> String {
        // Apart from those of the page that a dialog with this form may stand on.
        format!("f-{}", name.replace(['/', '_'], "-"))
    }

    fn at(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |mistake| mistake.field == name).map(|mistake| &*mistake.detail)
    }
}

impl Inputs<'_> {
    /// All that is wrong, each with a link to its field.
    pub(super) fn summary(&self) -> Markup {
        let mistakes = &self.mistakes.0;
        html! {
            @if !mistakes.is_empty() {
                div.banner.bad role="alert" {
                    p { strong {
                        @match mistakes.len() {
                            // Of the whole form: what was typed is well as it is.
                            _ if mistakes.iter().all(|mistake| mistake.field.is_empty()) => "This was not saved.",
                            1 => "This was not saved: one thing needs a change.",
                            _ => "This was not saved: some things need a change.",
                        }
                    } }
                    ul {
                        @for Mistake { field, detail } in mistakes {
                            li {
                                @if field.is_empty() { (detail) } @else {
                                    a href={ "#" (Mistakes::id_of(field)) } { ((self.label_of)(field)) } ": " (detail)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Carries along when what is changed here was last changed: as it was when the form was opened, however often it is
    /// shown again.
    pub(super) fn as_of(&self, stored: Option<&Callback>) -> Markup {
        let value = match self.fields.has(AS_OF) {
            true => self.fields.text(AS_OF).to_owned(),
            false => stored.map(|stored| stored.updated_at.to_string()).unwrap_or_default(),
        };
        html! { input type="hidden" name=(AS_OF) value=(value); }
    }

    pub(super) fn text(&self, name: &str, hint: &str) -> Markup {
        self.line(name, hint, "text", None)
    }

    /// A number; a text field all the same, so that what is no number is seen and told.
    pub(super) fn number(&self, name: &str, hint: &str) -> Markup {
        self.line(name, hint, "text", Some("decimal"))
    }

    fn line(&self, name: &str, hint: &str, kind: &str, mode: Option<&str>) -> Markup {
        let value = self.fields.text(name);
        self.field(name, hint, |ties| html! {
            input id=(ties.id) type=(kind) name=(name) value=(value) inputmode=[mode] autocomplete="off" spellcheck="false"
                aria-describedby=[ties.described_by()] aria-invalid=[ties.invalid()];
        })
    }

    /// A secret: it is taken and never shown. What was typed before is asked for once more.
    pub(super) fn secret(&self, name: &str, hint: &str) -> Markup {
        let was_typed = !self.fields.text(name).is_empty();
        let hint = if was_typed { "Type it once more: secrets are not sent back." } else { hint };
        self.field(name, hint, |ties| html! {
            input id=(ties.id) type="password" name=(name) autocomplete="new-password" spellcheck="false"
                aria-describedby=[ties.described_by()] aria-invalid=[ties.invalid()];
        })
    }

    pub(super) fn area(&self, name: &str, hint: &str) -> Markup {
        let value = self.fields.text(name);
        // The first line break of a text area is not part of it.
        self.field(name, hint, |ties| html! {
            textarea.mono id=(ties.id) name=(name) rows="3" spellcheck="false" autocapitalize="off"
                aria-describedby=[ties.described_by()] aria-invalid=[ties.invalid()] { "\n" (value) }
        })
    }

    /// One of these: value and name of each. What was typed and is none of them stays to be seen.
    pub(super) fn choice(&self, name: &str, hint: &str, choices: &[(&str, &str)]) -> Markup {
        let chosen = self.fields.text(name);
        let is_known = chosen.is_empty() || choices.iter().any(|(value, _)| *value == chosen);
        self.field(name, hint, |ties| html! {
            select id=(ties.id) name=(name) aria-describedby=[ties.described_by()] aria-invalid=[ties.invalid()] {
                @if !is_known { option value=(chosen) selected { (chosen) } }
                @for (value, shown) in choices {
                    option value=(value) selected[*value == chosen] { (shown) }
                }
            }
        })
    }

    /// A box to tick.
    pub(super) fn tick(&self, name: &str, hint: &str) -> Markup {
        let ties = self.ties(name, hint);
        html! {
            div.field {
                div.check {
                    input id=(ties.id) type="checkbox" name=(name) value="yes" checked[self.fields.has(name)]
                        aria-describedby=[ties.described_by()] aria-invalid=[ties.invalid()];
                    label for=(ties.id) { ((self.label_of)(name)) }
                }
                (ties.said(hint))
            }
        }
    }

    /// What the enter key presses, in a form that has other buttons before the one that saves.
    pub(super) fn default_button() -> Markup {
        html! { button.visually-hidden type="submit" tabindex="-1" aria-hidden="true" { "Save" } }
    }

    /// What is wrong with a group of boxes, where there is no one control to tie it to.
    pub(super) fn wrong(&self, name: &str) -> Markup {
        html! { @for wrong in self.mistakes.at(name) { p.error { (sentence(wrong)) } } }
    }

    fn field(&self, name: &str, hint: &str, control: impl FnOnce(&Ties<'_>) -> Markup) -> Markup {
        field(&self.ties(name, hint), (self.label_of)(name), hint, control)
    }

    fn ties(&self, name: &str, hint: &str) -> Ties<'_> {
        Ties::of(Mistakes::id_of(name), self.mistakes.at(name), hint)
    }
}

/// A control with its label, what is wrong with it, and its hint, which may be empty.
pub(super) fn field(
    ties: &Ties<'_>,
    label: &str,
    hint: &str,
    control: impl FnOnce(&Ties<'_>) -> Markup,
) -> Markup {
    html! {
        div.field {
            label for=(ties.id) { (label) }
            (control(ties))
            (ties.said(hint))
        }
    }
}

impl<'a> Ties<'a> {
    /// Those of the control with this id.
    pub(super) fn of(id: String, wrong: impl IntoIterator<Item = &'a str>, hint: &str) -> Self {
        let wrong: Vec<_> = wrong.into_iter().collect();
        let parts = [("error", !wrong.is_empty()), ("hint", !hint.is_empty())];
        let parts = parts.iter().filter(|(_, is_there)| *is_there);
        let described_by: Vec<_> = parts.map(|(part, _)| format!("{id}-{part}")).collect();
        let described_by = (!described_by.is_empty()).then(|| described_by.join(" "));
        Self { id, described_by, wrong }
    }
}

impl Ties<'_> {
    /// `aria-invalid` of the control.
    pub(super) fn invalid(&self) -> Option<&'static str> {
        (!self.wrong.is_empty()).then_some("true")
    }

    /// `aria-describedby` of the control.
    pub(super) fn described_by(&self) -> Option<&str> {
        self.described_by.as_deref()
    }

    fn said(&self, hint: &str) -> Markup {
        html! {
            @if !self.wrong.is_empty() {
                @let sentences: Vec<_> = self.wrong.iter().map(|wrong| sentence(wrong)).collect();
                p.error id={ (self.id) "-error" } { (sentences.join(" ")) }
            }
            @if !hint.is_empty() { p.hint id={ (self.id) "-hint" } { (hint) } }
        }
    }
}
