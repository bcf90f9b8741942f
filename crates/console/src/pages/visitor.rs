//! Who looks at a page: somebody with a session, which an API key or a link has opened.
//!
//! The browser holds 32 random bytes in a cookie, the store their hash. A session ends with its time, when its visitor signs
//! out, and with the API key that it came from.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef as _, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringback_api::{Caller, Keys, Problem};
use ringback_core::Account;
use ringback_core::secret::Secret;
use ringback_store::{KeyHash, Pass};
use sha2::{Digest as _, Sha256};

use super::ROOT;
use super::said::Said;
use super::signing_in::ENDED;
use crate::state::{Console, random};

/// `__Host-`: a browser takes it from this host alone, for all of it, and with `Secure`.
const COOKIE: &str = "__Host-ringback";
/// Nobody guesses as many.
const TOKEN_BYTES: usize = 32;
/// How long a session lasts.
pub(super) const SESSION_LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// Who looks at a page. A handler that asks for it sends all others to sign in.
pub(super) struct Visitor {
    /// What they may see and do: as with the key that they came by, or less.
    pub(super) caller: Caller,
    /// What was done just before, for the page to say.
    pub(super) said: Option<Said>,
    token: Secret,
}

impl Visitor {
    /// Opens a session, and returns the header that gives it to the browser.
    ///
    /// # Errors
    /// If it can't be kept.
    pub(super) async fn arrives(console: &Console, caller: &Caller) -> Result<String, Problem> {
        let (now, token) = (console.clock.now(), new_token()?);
        let session = Pass {
            hash: KeyHash::of(&token),
            key: caller.key,
            scope: caller.scope.clone(),
            created_at: now,
            expires_at: now + SESSION_LASTS,
        };
        console.store.create_session(&session).await?;
        Ok(cookie(token.reveal(), SESSION_LASTS))
    }

    /// Ends the session, and returns the header that takes it from the browser.
    ///
    /// # Errors
    /// If it can't be forgotten.
    pub(super) async fn leaves(self, console: &Console) -> Result<String, Problem> {
        console.store.delete_session(KeyHash::of(&self.token)).await?;
        Ok(cookie("", Duration::ZERO))
    }

    /// Whether the session is still good, for whoever looks on for long.
    pub(super) async fn is_still_there(&self, console: &Console) -> Result<bool, Problem> {
        Ok(Self::of(console, self.token.clone()).await?.is_some())
    }

    /// What each form has to send along: it can't be known to a page of somebody else's, and can't be turned into the
    /// session that it is made of.
    pub(super) fn form_token(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"ringback form ");
        hash.update(self.token.reveal());
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }

    /// Whether the whole instance is theirs.
    pub(super) fn is_administrator(&self) -> bool {
        self.caller.account().is_none()
    }

    /// Refuses everybody else: to them there is no such page.
    ///
    /// # Errors
    /// 404.
    pub(super) fn require_administrator(&self) -> Result<(), Problem> {
        if self.is_administrator() { Ok(()) } else { Err(Problem::not_found("page")) }
    }

    /// The account whose things are shown: the one that was asked for, of those that are theirs; none: of all.
    ///
    /// # Errors
    /// 404 if it is another than their own: what is somebody else's sounds like what is not there.
    pub(super) fn account_for(&self, asked: Option<Account>) -> Result<Option<Account>, Problem> {
        self.caller.account_for(asked).map_err(|_| Problem::not_found("account"))
    }

    /// The visitor of this session, if there is one.
    async fn of(console: &Console, token: Secret) -> Result<Option<Self>, Problem> {
        let found = console.store.session(KeyHash::of(&token), console.clock.now()).await?;
        let Some(Pass { key, scope, .. }) = found else { return Ok(None) };
        let is_known = Arc::<Keys>::from_ref(console).scope_of(&key).await?.is_some();
        Ok(is_known.then_some(Self { caller: Caller { scope, key }, said: None, token }))
    }

    /// The visitor that sends this request, if it is one.
    pub(super) async fn sends(
        console: &Console,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Problem> {
        match token(headers) {
            Some(token) => Self::of(console, token).await,
            None => Ok(None),
        }
    }
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let sends = Self::sends(console, &parts.headers).await;
        if let Some(visitor) = sends.map_err(Problem::into_response)? {
            return Ok(Self { said: Said::of(parts), ..visitor });
        }
        // What was sent is lost, but not where: there is no going on after a form that came too late.
        let path = match (&parts.method, parts.uri.path_and_query()) {
            // Without the part that they are nested in; of the root itself a slash is left.
            (&Method::GET, Some(asked)) => match asked.as_str().strip_prefix('/') {
                Some(rest) if rest.is_empty() || rest.starts_with('?') => format!("{ROOT}{rest}"),
                _ => format!("{ROOT}{asked}"),
            },
            _ => ROOT.to_owned(),
        };
        let next = form_urlencoded::byte_serialize(path.as_bytes()).collect::<String>();
        let ended =
            if token(&parts.headers).is_some() { format!("&{ENDED}=1") } else { String::new() };
        Err(Redirect::to(&format!("{ROOT}/login?next={next}{ended}")).into_response())
    }
}

/// What nobody can guess, and what opens something for whoever has it.
pub(crate) fn new_token() -> Result<Secret, Problem> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?)))
}

fn cookie(value: &str, lasts: Duration) -> String {
    let seconds = lasts.as_secs();
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax")
}

fn token(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|c| c.split_once('='));
    let (_, token) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    Some(token.trim()).filter(|token| is_token(token)).map(Secret::new)
}

/// Whether it could be one of ours: what can't be is not looked for in the store.
pub(super) fn is_token(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == TOKEN_BYTES)
}
