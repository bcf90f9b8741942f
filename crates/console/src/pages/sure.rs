//! Asking once more before something is done that can't be taken back.

use maud::{Markup, html};

use super::layout::{Section, page};
use super::parts::token;
use super::visitor::Visitor;

/// What is to be done, and what comes of it.
pub(super) struct Sure<'a> {
    pub(super) title: &'a str,
    /// What comes of it.
    pub(super) said: Markup,
    /// Where the form is sent.
    pub(super) action: &'a str,
    /// What it carries along besides the token.
    pub(super) carried: &'a [(&'a str, &'a str)],
    /// On the button that does it.
    pub(super) label: &'a str,
    /// Where somebody goes on who leaves it: an address, and what is there.
    pub(super) back: (&'a str, &'a str),
}

impl Sure<'_> {
    /// The page that asks.
    pub(super) fn page(self, visitor: &Visitor, section: Section) -> Markup {
        let (back, what) = self.back;
        let body = html! {
            p.crumbs { a href=(back) { (what) } }
            div.head { h1 { (self.title) } }
            (self.said)
            form method="post" action=(self.action) {
                (token(visitor))
                @for (name, value) in self.carried { input type="hidden" name=(name) value=(value); }
                div.actions {
                    button.danger type="submit" { (self.label) }
                    a.button href=(back) { "Leave it" }
                }
            }
        };
        page(visitor, section, self.title, body)
    }
}
