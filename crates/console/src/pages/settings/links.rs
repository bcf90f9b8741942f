//! Links that let somebody in without an API key.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use maud::{Markup, html};
use ringback_api::Problem;

use super::{PATH, form_page, inputs, refused, shown_once, whose, whose_fields};
use crate::Console;
use crate::console_links;
use crate::pages::inputs::{Mistakes, once};
use crate::pages::posted::{Fields, Posted};
use crate::pages::visitor::Visitor;
use crate::pages::{ROOT, parts};
use crate::wire::console_link::{MadeConsoleLink, NewConsoleLink};

/// How long a link may be good: what is sent, and what is read.
const TIMES: [(&str, &str); 3] = [("3600", "An hour"), ("86400", "A day"), ("604800", "A week")];

/// What leads to them.
pub(super) fn card() -> Markup {
    html! {
        section aria-labelledby="links" {
            div.head {
                h2 #links { "Links to the console" }
                a.button href={ (ROOT) (PATH) "/links/new" } { "Make a link" }
                p.lead { "A link lets somebody in without a key, once: a customer to the console of their account." }
            }
        }
    }
}

/// The form to make one.
pub(super) async fn form(
    State(console): State<Console>,
    visitor: Visitor,
) -> Result<Markup, Problem> {
    visitor.require_administrator()?;
    Ok(form_with(&console, &visitor, &Fields::default(), &Mistakes::default()))
}

fn form_with(console: &Console, visitor: &Visitor, fields: &Fields, mistakes: &Mistakes) -> Markup {
    let inputs = inputs(fields, mistakes);
    let form = html! {
        (inputs.summary())
        (once::field(fields, console.clock.now()))
        (whose_fields(&inputs))
        (inputs.choice("expires_in_seconds", "Whoever opens it within this time is signed in for 12 hours.", &TIMES))
    };
    form_page(visitor, "Make a link to the console", "/settings/links/new", form, "Make the link")
}

/// Makes one and shows it.
pub(super) async fn make(
    State(console): State<Console>,
    headers: HeaderMap,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    visitor.require_administrator()?;
    let making = async {
        let new = NewConsoleLink::of_form(whose(&fields)?, fields.text("expires_in_seconds"));
        console_links::make(&console, &visitor.caller, new).await
    };
    let made = console.shown_once.make((&visitor, &fields), console.clock.now(), making).await;
    match made {
        Ok(made) => Ok(made_page(&visitor, &headers, &made)),
        Err(problem) => {
            refused(problem, |mistakes| form_with(&console, &visitor, &fields, mistakes))
        }
    }
}

fn made_page(visitor: &Visitor, headers: &HeaderMap, made: &MadeConsoleLink) -> Response {
    let hint = html! {
        p {
            "It opens the console once, until " (parts::time(made.expires_at)) ", for whoever has it: send it to the one person "
            "it is for. It is worth nothing any more once the key is removed that you came by."
        }
    };
    // An instance that does not know its own address is asked at the one that the visitor's browser knows.
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let whole = match &made.url {
        Some(url) => url.clone(),
        None => format!("{}{}", origin.unwrap_or_default(), made.path),
    };
    shown_once(visitor, "The link is made", &whole, hint)
}
