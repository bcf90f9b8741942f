//! The secret that signs a callback's requests: shown to who asks for it, and replaced.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::{FieldError, PathId, Problem};
use ringback_core::signature::PreviousSecret;
use ringback_core::{Callback, CallbackId};

use super::{address_of, crumb, section_of};
use crate::callbacks::own;
use crate::pages::inputs::{AS_OF, Inputs, Mistakes};
use crate::pages::layout::page;
use crate::pages::parts::{time, token};
use crate::pages::posted::{Fields, Posted};
use crate::pages::problem::not_possible;
use crate::pages::said::Said;
use crate::pages::visitor::Visitor;
use crate::rotation::{CHANGED, rotate};
use crate::state::Console;
use crate::wire::rotation::SecretRotation;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/callbacks/{id}/secret", get(show).post(reveal))
        .route("/callbacks/{id}/secret/rotate", get(rotating).post(replace))
}

/// The field for how long the secret before counts, in hours.
const GRACE: &str = "grace-hours";
const GRACE_DEFAULT: &str = "24";

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<CallbackId>,
) -> Result<Markup, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let hidden = html! {
        form method="post" action={ (address_of(&callback)) "/secret" } {
            (token(&visitor))
            button.primary type="submit" { "Show the secret" }
        }
    };
    Ok(secret_page(&console, &visitor, &callback, &hidden))
}

async fn reveal(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, .. }: Posted,
) -> Result<Markup, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let secret = callback.signing_secret.reveal();
    let shown = html! {
        p { "Whoever knows it can send requests that look like ours. Give it to the receiver alone." }
        pre #signing-secret { (secret.reveal()) }
        p.actions { button type="button" hidden data-copy="signing-secret" { "Copy" } }
    };
    Ok(secret_page(&console, &visitor, &callback, &shown))
}

fn secret_page(
    console: &Console,
    visitor: &Visitor,
    callback: &Callback,
    secret: &Markup,
) -> Markup {
    let previous = previous(console, callback);
    let body = html! {
        (crumb(callback))
        div.head { h1 { "Signing secret" } }
        p { "Each request is signed with it (Standard Webhooks), so that the receiver can tell that it is ours." }
        (secret)
        h2 { "Another secret" }
        @if let Some(previous) = previous {
            p { "It was replaced: the secret before signs too until " (time(previous.until)) "." }
        }
        p { "Take a new one if somebody may know this one. The one before can go on for a while, so that the receiver has \
            time to change over." }
        p.actions { a.button href={ (address_of(callback)) "/secret/rotate" } data-dialog { "Replace the secret" } }
    };
    page(visitor, section_of(callback), "Signing secret", body)
}

/// The secret before, if it signs too as yet.
fn previous<'a>(console: &Console, callback: &'a Callback) -> Option<&'a PreviousSecret> {
    let now = console.clock.now();
    callback.previous_secret.as_ref().filter(|previous| now < previous.until)
}

async fn rotating(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<CallbackId>,
) -> Result<Markup, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let fields = Fields::from_iter([(GRACE.to_owned(), GRACE_DEFAULT.to_owned())]);
    Ok(rotation_page(&console, &visitor, &callback, (&fields, &Mistakes::default(), None)))
}

async fn replace(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let Some(grace) = rotation(&fields).and_then(|rotation| rotation.grace().ok()) else {
        let wrong = FieldError::new(GRACE, "whole hours from 0 to 168");
        let mistakes = Mistakes::in_place(&[wrong]);
        let page = rotation_page(&console, &visitor, &callback, (&fields, &mistakes, None));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    match rotate(&console, &visitor.caller, id, (grace, Some(fields.text(AS_OF)))).await {
        Ok(_) => {
            let there = format!("{}/secret", address_of(&callback));
            Ok(Said::SecretRotated.at(&there).into_response())
        }
        Err(problem) if problem.detail() == CHANGED => {
            let callback = own(&console, &visitor.caller, id).await?;
            // Who replaces it all the same has been told: that form is of the callback as it is by now.
            let fields = fields.without(AS_OF);
            let shown = (&fields, &Mistakes::default(), Some(CHANGED));
            let page = rotation_page(&console, &visitor, &callback, shown);
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(problem) => Err(problem),
    }
}

fn rotation(fields: &Fields) -> Option<SecretRotation> {
    let hours: i64 = fields.text(GRACE).trim().parse().ok()?;
    Some(SecretRotation::lasting(hours.checked_mul(3_600)?))
}

fn rotation_page(
    console: &Console,
    visitor: &Visitor,
    callback: &Callback,
    (fields, mistakes, refused): (&Fields, &Mistakes, Option<&str>),
) -> Markup {
    let label_of = |_: &str| "Hours that the secret before goes on";
    let inputs = Inputs { fields, mistakes, label_of };
    let body = html! {
        (crumb(callback))
        @if let Some(refused) = refused { (not_possible(refused)) }
        div.head { h1 { "Replace the signing secret?" } }
        p { "A new secret is drawn. For a while requests bear two signatures, by the new secret and by the one before, so \
            that the receiver refuses none while it changes over." }
        @if let Some(previous) = previous(console, callback) {
            div.banner.busy {
                p {
                    strong { "It was replaced already: " } "the secret before that signs too until " (time(previous.until))
                    ". Replacing it again now ends that one at once, so a receiver that still goes by it refuses every request."
                }
            }
        }
        form method="post" action={ (address_of(callback)) "/secret/rotate" } {
            (token(visitor))
            (inputs.as_of(Some(callback)))
            (inputs.number(GRACE, "0 to 168. 0: it ends at once, and who still goes by it refuses every request."))
            div.actions {
                button.danger type="submit" { "Replace it" }
                a.button href={ (address_of(callback)) } { "Leave it" }
            }
        }
    };
    page(visitor, section_of(callback), "Replace the signing secret?", body)
}
