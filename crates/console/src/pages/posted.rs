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
/// As much as the API takes: a callback's settings fit in many times.
const BYTES_MAX: usize = 256 * 1024;

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

    /// All of them, as one text.
    pub(super) fn typed(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
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
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_ours = match (value("sec-fetch-site"), value("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Browsers of before, and those over plain HTTP, say whose page it is and not how it stands to us.
        (None, Some(origin)) => {
            origin.split_once("://").is_some_and(|(_, host)| Some(host) == value("host"))
        }
        // No browser.
        (None, None) => true,
    };
    if is_ours { Ok(()) } else { Err(not_ours()) }
}

fn not_ours() -> Problem {
    Problem::forbidden(
        "this form was not sent by a page of yours, or you have signed in anew since: go back, load the page again and send it once more",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_are_told_by_whatever_the_browser_says() {
        let is_taken = |headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), value.parse().expect("a value"))
            });
            refuse_other_sites(&headers.collect()).is_ok()
        };
        let host = ("host", "console.example:8080");
        assert!(is_taken(&[host]));
        assert!(is_taken(&[host, ("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(!is_taken(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(is_taken(&[host, ("origin", "http://console.example:8080")]));
        for other in ["http://console.example", "https://evil.example", "null"] {
            assert!(!is_taken(&[host, ("origin", other)]), "{other}");
        }
        assert!(!is_taken(&[("origin", "null")]));
    }
}
