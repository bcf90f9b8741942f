//! Callbacks: their signing secret, replaced while receivers still know the one before.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ringback_api::{Caller, OptionalJsonBody, PathId, Problem};
use ringback_core::callback::Callback;
use ringback_core::signature::{PreviousSecret, SigningSecret};
use ringback_core::{CallbackId, Timestamp};

use crate::callbacks::change_stored;
use crate::state::{Console, random};
use crate::wire::rotation::{RotatedSecret, SecretRotation};

/// Why a secret is not replaced, for who has asked for it on a page that is out of date.
pub(crate) const CHANGED: &str = "the callback was changed after this page was opened, and its secret may have been \
    replaced meanwhile";

/// What a rotation gives.
pub(crate) struct Rotated {
    /// The new secret.
    pub(crate) secret: SigningSecret,
    /// Until when the one before signs too; none: it does not.
    pub(crate) previous_until: Option<Timestamp>,
}

/// Draw a new secret that signs a callback's requests; the one before signs too for a while.
///
/// Meanwhile `webhook-signature` holds two signatures, the new secret's first, so that the receiver can change over
/// without refusing a request. Called again meanwhile, the secret before the last one ends at once: whoever got no answer
/// asks for the secret instead of calling again.
#[utoipa::path(
    post, path = "/v1/callbacks/{id}/secret/rotate", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    request_body(content = Option<SecretRotation>),
    responses((status = 200, description = "The new secret", body = RotatedSecret), Problem)
)]
pub(crate) async fn rotate_secret(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
    OptionalJsonBody(wanted): OptionalJsonBody<SecretRotation>,
) -> Result<Response, Problem> {
    let grace = wanted.grace().map_err(Problem::invalid)?;
    let rotated = rotate(&console, &caller, id, (grace, None)).await?;
    let answer = RotatedSecret {
        secret: rotated.secret.reveal().reveal().to_owned(),
        previous_until: rotated.previous_until,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Gives a callback a new secret. The one that counted becomes the one before for `grace`, or ends at once if that is
/// zero; what was the one before ends either way.
///
/// `as_of` is when the callback was last changed as far as the caller knows; none: that does not matter.
///
/// # Errors
/// 404 if the caller manages no such callback, 409 if others change it all the time, and with [`CHANGED`] if it was
/// changed since `as_of`.
pub(crate) async fn rotate(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
    (grace, as_of): (Duration, Option<&str>),
) -> Result<Rotated, Problem> {
    let secret = SigningSecret::from_random(random()?);
    let changed = change_stored(console, caller, id, |stored, now| {
        // Twice is once too often: the secret that receivers hold would be neither of the two that sign then.
        if as_of.is_some_and(|as_of| stored.updated_at.to_string() != as_of) {
            return Err(Problem::conflict(CHANGED));
        }
        let previous =
            || PreviousSecret { secret: stored.signing_secret.clone(), until: now + grace };
        Ok(Some(Callback {
            signing_secret: secret.clone(),
            previous_secret: (!grace.is_zero()).then(previous),
            updated_at: now,
            ..stored.clone()
        }))
    });
    let callback = changed.await?;
    let previous_until = callback.previous_secret.map(|previous| previous.until);
    Ok(Rotated { secret: callback.signing_secret, previous_until })
}
