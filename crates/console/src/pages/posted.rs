//! What a form of ours has sent.
//!
//! Somebody else's page can make a browser send a form here, session and all. So each form carries a token that only our
//! pages know, and what the browser says to come from another site is not looked at.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use ringback_api::Problem;

use super::visitor::Visitor;
use crate::Console;

/// The field that holds [`Visitor::form_token`].
pub(super) const TOKEN: &str = "form-token";
/// An event's variables fit in, and much more than a callback's settings.
const BYTES_MAX: usize = 1024 * 1024;

/// A form, and who sent it.
pub(super) struct Posted {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

/// The fields of a form, in the order they stand in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    /// The value of a field, as it was typed; empty if it is not there.
    pub(super) fn text<'a>(&'a self, name: &str) -> &'a str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// The values of all fields of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The others.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(n, _)| n != name);
        self
    }

    /// These besides.
    pub(super) fn with(mut self, more: impl IntoIterator<Item = (String, String)>) -> Self {
        self.0.extend(more);
        self
    }

    /// Whether a box is ticked, or a button of this name was pressed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl FromRequest<Console> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, console).await?;
        refuse_other_sites(&parts.headers).map_err(Problem::into_response)?;
        let body = to_bytes(body, BYTES_MAX).await;
        let body = body.map_err(|_| Problem::too_large(BYTES_MAX).into_response())?;
        let fields = Fields::parse(&body);
        if fields.text(TOKEN) != visitor.form_token() {
            return Err(not_ours().into_response());
        }
        Ok(Self { visitor, fields })
    }
}

/// Refuses what a browser says to have been sent by another site's page.
///
/// # Errors
/// 403.
pub(super) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    match site {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(not_ours()),
    }
}

fn not_ours() -> Problem {
    Problem::forbidden(
        "this form was not sent by a page of yours, or you have signed in anew since: go back, load the page again and send it once more",
    )
}
