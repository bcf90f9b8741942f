//! What was done, said on the page that comes after it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Redirect;
use ringback_api::Query;

/// The parameter of a page's address in which it stands.
const NAME: &str = "said";

/// What was done. A word in the address stands for it, so that nobody can make a page say something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    CallbackAdded,
    CallbackAddedForAll,
    CallbackSaved,
    CallbackSavedForAll,
    CallbackEnabled,
    CallbackDisabled,
    CallbackPaused,
    CallbackResumed,
    CallbackDeleted,
    SecretRotated,
    Registered,
    Unregistered,
    RetryAsked,
    DeliveryCancelled,
    EventReplayed,
    EventCancelled,
    NothingPending,
    ReplayBegun,
    ReplayCancelled,
    KeyRemoved,
    AccountStrict,
    AccountLenient,
}

impl Said {
    const ALL: &[Self] = &[
        Self::CallbackAdded,
        Self::CallbackAddedForAll,
        Self::CallbackSaved,
        Self::CallbackSavedForAll,
        Self::CallbackEnabled,
        Self::CallbackDisabled,
        Self::CallbackPaused,
        Self::CallbackResumed,
        Self::CallbackDeleted,
        Self::SecretRotated,
        Self::Registered,
        Self::Unregistered,
        Self::RetryAsked,
        Self::DeliveryCancelled,
        Self::EventReplayed,
        Self::EventCancelled,
        Self::NothingPending,
        Self::ReplayBegun,
        Self::ReplayCancelled,
        Self::KeyRemoved,
        Self::AccountStrict,
        Self::AccountLenient,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::CallbackAdded => "callback-added",
            Self::CallbackAddedForAll => "callback-added-for-all",
            Self::CallbackSaved => "callback-saved",
            Self::CallbackSavedForAll => "callback-saved-for-all",
            Self::CallbackEnabled => "callback-enabled",
            Self::CallbackDisabled => "callback-disabled",
            Self::CallbackPaused => "callback-paused",
            Self::CallbackResumed => "callback-resumed",
            Self::CallbackDeleted => "callback-deleted",
            Self::SecretRotated => "secret-rotated",
            Self::Registered => "registered",
            Self::Unregistered => "unregistered",
            Self::RetryAsked => "retry-asked",
            Self::DeliveryCancelled => "delivery-cancelled",
            Self::EventReplayed => "event-replayed",
            Self::EventCancelled => "event-cancelled",
            Self::NothingPending => "nothing-pending",
            Self::ReplayBegun => "replay-begun",
            Self::ReplayCancelled => "replay-cancelled",
            Self::KeyRemoved => "key-removed",
            Self::AccountStrict => "account-strict",
            Self::AccountLenient => "account-lenient",
        }
    }

    /// The sentence.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::CallbackAdded => "The callback is added. Try it out with a test event.",
            Self::CallbackAddedForAll => {
                "The callback is added, and gets every event: that may overwhelm its receiver. List the events it needs, or set a rate limit."
            }
            Self::CallbackSaved => "The callback is saved.",
            Self::CallbackSavedForAll => {
                "The callback is saved, and gets every event: that may overwhelm its receiver. List the events it needs, or set a rate limit."
            }
            Self::CallbackEnabled => "The callback is enabled: new events are sent to it.",
            Self::CallbackDisabled => "The callback is disabled. What was on its way is cancelled.",
            Self::CallbackPaused => {
                "The callback is paused: what comes for it is kept until you resume it."
            }
            Self::CallbackResumed => "The callback is resumed. What was kept goes out now.",
            Self::CallbackDeleted => "The callback is deleted. Its history stays.",
            Self::SecretRotated => {
                "The callback has a new signing secret. Give it to the receiver now."
            }
            Self::Registered => "Saved: notifications are sent as shown here.",
            Self::Unregistered => {
                "Notifications are off. Nothing is sent until you switch them on again."
            }
            Self::RetryAsked => "Another attempt is on its way.",
            Self::DeliveryCancelled => "The delivery is cancelled: no further attempt is made.",
            Self::EventReplayed => {
                "The event is on its way again. The new deliveries show here once something comes of them."
            }
            Self::EventCancelled => "What was pending of this event is cancelled.",
            Self::NothingPending => "Nothing of this event was pending, so nothing was cancelled.",
            Self::ReplayBegun => "The replay has begun. You may leave this page: it goes on.",
            Self::ReplayCancelled => {
                "The replay is cancelled. What it has sent off already is delivered."
            }
            Self::KeyRemoved => {
                "The API key is removed. Programs that use it are refused from now on."
            }
            Self::AccountStrict => {
                "The account is strict: its events of types that the catalog does not know are refused."
            }
            Self::AccountLenient => "Events of all types are accepted of the account again.",
        }
    }

    /// How the sentence looks: what may yet do harm is no good news.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::CallbackAddedForAll | Self::CallbackSavedForAll => "busy",
            _ => "good",
        }
    }

    /// Goes to a page that says it.
    pub(super) fn at(self, path: &str) -> Redirect {
        let sign = if path.contains('?') { '&' } else { '?' };
        Redirect::to(&format!("{path}{sign}{NAME}={}", self.word()))
    }

    /// What the address of this request has to say.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let (_, word) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == NAME)?;
        Self::ALL.iter().copied().find(|said| said.word() == word)
    }
}

/// The query of a page, but for what is [`Said`].
pub(super) struct Asked(pub(super) Query);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != NAME);
        let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Ok(Self(Query::parse(&rest)))
    }
}
