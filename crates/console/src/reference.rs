//! The reference page: every type of event with its variables, made of the catalog that checks events as they come in.
//!
//! Open to everybody: who writes a receiver has no API key. It shows types, which belong to the whole instance, and
//! nothing of any account, callback or event.

mod html;

use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::Markup;
use ringback_api::{KnownTypes, Types};
use ringback_core::catalog::{EventType, Origin};
use ringback_core::{EventName, Variables};
use sha2::{Digest as _, Sha256};

use crate::state::Console;

/// The page, made anew when the configuration changed and not for each reader.
pub(crate) struct Reference {
    types: Arc<Types>,
    made: Mutex<Option<(Arc<KnownTypes>, Bytes)>>,
}

impl Reference {
    pub(crate) fn new(types: Arc<Types>) -> Self {
        Self { types, made: Mutex::default() }
    }

    /// The types of events that are known now.
    pub(crate) async fn types(&self) -> Arc<KnownTypes> {
        self.types.now().await
    }

    /// An example of an event's variables, if its type is known.
    pub(crate) async fn sample(&self, name: &EventName) -> Option<Variables> {
        let known = self.types.now().await;
        known.catalog().get(name).map(|(kind, _)| kind.sample())
    }

    async fn page(&self) -> Bytes {
        let known = self.types.now().await;
        let mut made = self.made.lock().expect("nobody panics holding it");
        if let Some((of, page)) = &*made
            && Arc::ptr_eq(of, &known)
        {
            return page.clone();
        }
        let page = Bytes::from(html::page(known.catalog()).into_string());
        *made = Some((known, page.clone()));
        page
    }
}

/// One type, as it stands on every page that shows it. `before` tells its anchor from other ids there.
pub(crate) fn section(kind: &EventType, origin: Origin, before: &str) -> Markup {
    html::section(kind, origin, before)
}

/// Where it is. A page, and no call of the API: the API's document does not name it.
pub(crate) const PATH: &str = "/reference";

/// The page.
pub(crate) async fn page(State(console): State<Console>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, console.reference.page().await).into_response()
}

/// Nothing is loaded, run, framed or sent; the one style sheet is named by its hash.
static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(html::STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});
