//! Callbacks as they come and go.

use std::collections::BTreeMap;

use ringback_api::{Caller, FieldError, Problem};
use ringback_core::callback::{self, Callback, CallbackState};
use ringback_core::retry::{Backoff, RetryPolicy};
use ringback_core::{Account, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::authorization::AuthorizationSettings;
use super::limits::{CircuitSettings, RateLimitSettings};

/// The settings of a callback.
///
/// Words and numbers come as they are, even those that are not taken: so that all that is wrong can be told at once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallbackSettings {
    /// What its owner says of it: at most 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub(crate) description: String,
    /// Where the requests go: http or https, with RFC 6570 tags that event variables replace. No tags in the scheme,
    /// host or port.
    #[schema(example = "https://receiver.example/hook/{PROJECT_ID}")]
    pub(crate) url: String,
    /// `GET` carries only what the URL names, `POST` the whole event.
    #[serde(default = "post")]
    #[schema(default = "POST", pattern = "^(GET|POST)$")]
    pub(crate) method: String,
    /// What a `POST` carries: `form`, `json`, `cloudevents` or `conga-sign`. With `GET` there is no body.
    #[serde(default = "form")]
    #[schema(default = "form", pattern = "^(form|json|cloudevents|conga-sign)$")]
    pub(crate) format: String,
    #[serde(default)]
    pub(crate) authorization: AuthorizationSettings,
    /// Headers sent besides: at most 32.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Off: new events do not match, and deliveries that are under way are cancelled. Pausing keeps them.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(crate) enabled: bool,
    /// Whether deliveries are kept and not sent. Changed by `/pause` and `/resume` alone: given here, it has to be as it
    /// is.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, read_only)]
    pub(crate) paused: Option<bool>,
    /// The account whose events it gets; null: all accounts. Set once, when it is made.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub(crate) account: Option<Option<String>>,
    /// Event names, prefixes such as `PACKAGE_*`, or `*` for all.
    #[serde(default = "all_events")]
    #[schema(default = json!(["*"]), min_items = 1, max_items = 1000)]
    pub(crate) events: Vec<String>,
    #[serde(default)]
    pub(crate) retry: RetrySettings,
    /// How long an attempt may take: 100 to 120000.
    #[serde(default = "timeout_ms")]
    #[schema(default = 15000, minimum = 100, maximum = 120000)]
    pub(crate) timeout_ms: i64,
    /// How many requests a second it wants at the most; null: as many as there are.
    #[serde(default)]
    pub(crate) rate_limit: Option<RateLimitSettings>,
    /// Requests that may be under way at once in one worker: 1 to 1000.
    #[serde(default = "max_in_flight")]
    #[schema(default = 32, minimum = 1, maximum = 1000)]
    pub(crate) max_in_flight: i64,
    #[serde(default)]
    pub(crate) circuit: CircuitSettings,
}

/// What happens after a failure.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetrySettings {
    /// Off: one attempt and no more.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(crate) enabled: bool,
    /// The wait before a retry, in seconds, to the millisecond: 0 to 604800.
    #[serde(default = "delay_seconds")]
    #[schema(value_type = f64, default = 300, minimum = 0, maximum = 604800)]
    pub(crate) delay_seconds: Seconds,
    /// Retries before giving up: 0 to 100.
    #[serde(default = "max_retries")]
    #[schema(default = 3, minimum = 0, maximum = 100)]
    pub(crate) max_retries: i64,
    /// How the wait grows: `fixed`, not at all; `exponential`, by `factor` up to `max_delay_seconds`, with full jitter.
    #[serde(default = "fixed")]
    #[schema(default = "fixed", pattern = "^(fixed|exponential)$")]
    pub(crate) backoff: String,
    /// For `exponential`: 1 to 10; 2 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    pub(crate) factor: Option<f64>,
    /// For `exponential`: the longest wait, from `delay_seconds` to 604800, which it is unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 604800)]
    pub(crate) max_delay_seconds: Option<Seconds>,
}

/// A callback, its secrets masked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CallbackAnswer {
    #[schema(format = "uuid")]
    id: String,
    #[serde(flatten)]
    settings: CallbackSettings,
    /// Why it is not enabled: `by_owner`, or `gone` (its endpoint answered 410).
    #[schema(required)]
    disabled_reason: Option<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A callback as it was just saved.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SavedCallback {
    #[serde(flatten)]
    callback: CallbackAnswer,
    /// What is allowed and may yet do harm.
    warnings: Vec<&'static str>,
}

/// What signs a callback's requests.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretAnswer {
    #[schema(example = "whsec_…")]
    pub(crate) secret: String,
}

/// Seconds, as a JSON number with or without a fraction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) f64);

const ALL_EVENTS: &str = "all events are chosen: they may overwhelm the receiver. List those it needs, lower max_in_flight, or set a rate_limit";

impl CallbackAnswer {
    pub(crate) fn of(callback: &Callback) -> Self {
        let disabled_reason = match callback.state {
            CallbackState::Enabled | CallbackState::Paused => None,
            CallbackState::Disabled(reason) => Some(reason.as_str()),
        };
        Self {
            id: callback.id.to_string(),
            settings: CallbackSettings::of(callback),
            disabled_reason,
            created_at: callback.created_at,
            updated_at: callback.updated_at,
        }
    }
}

impl SavedCallback {
    pub(crate) fn of(callback: &Callback) -> Self {
        let warnings = if callback.events.matches_all() { vec![ALL_EVENTS] } else { Vec::new() };
        Self { callback: CallbackAnswer::of(callback), warnings }
    }
}

impl CallbackSettings {
    /// The settings of a callback, its secrets masked.
    pub(crate) fn of(callback: &Callback) -> Self {
        let headers =
            callback.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            description: callback.description.clone(),
            url: callback.url.as_str().to_owned(),
            method: callback.method.as_str().to_owned(),
            format: callback.format.as_str().to_owned(),
            authorization: AuthorizationSettings::of(&callback.authorization),
            headers: headers.collect(),
            enabled: callback.state.is_enabled(),
            paused: Some(callback.state == CallbackState::Paused),
            account: Some(callback.account.as_ref().map(Account::to_string)),
            events: callback.events.patterns(),
            retry: RetrySettings::of(&callback.retry),
            timeout_ms: i64::try_from(callback.timeout.as_millis()).unwrap_or(i64::MAX),
            rate_limit: callback.rate_limit.map(RateLimitSettings::of),
            max_in_flight: callback.max_in_flight.get().into(),
            circuit: CircuitSettings::of(callback.circuit),
        }
    }

    /// The account of a new callback.
    pub(crate) fn account_for(&self, caller: &Caller) -> Result<Option<Account>, Problem> {
        let invalid = |detail: String| Problem::invalid(vec![FieldError::new("/account", detail)]);
        if self.account == Some(None) && caller.account().is_some() {
            return Err(Problem::forbidden("a callback for all accounts takes an instance key"));
        }
        let requested = self.account.clone().flatten().map(|text| text.parse::<Account>());
        let requested = requested.transpose().map_err(|error| invalid(error.to_string()))?;
        if let Some(reserved) = requested.as_ref().filter(|account| account.is_reserved()) {
            return Err(invalid(format!("the account `{reserved}` is Ringback's own")));
        }
        caller.account_for(requested)
    }

    /// Refuses another account than the callback has: its events would go where they were never meant to.
    pub(crate) fn keeps_account(&self, stored: Option<&Account>) -> Result<(), FieldError> {
        let Some(given) = &self.account else {
            return Ok(());
        };
        if given.as_deref() == stored.map(Account::as_str) {
            return Ok(());
        }
        Err(FieldError::new(
            "/account",
            "can't be changed: make another callback for another account",
        ))
    }
}

impl RetrySettings {
    fn of(policy: &RetryPolicy) -> Self {
        let (backoff, factor, max_delay_seconds) = match policy.backoff {
            Backoff::Fixed => (fixed(), None, None),
            Backoff::Exponential { factor, delay_max } => {
                ("exponential".to_owned(), Some(factor), Some(Seconds(delay_max.as_secs_f64())))
            }
        };
        Self {
            enabled: policy.enabled,
            delay_seconds: Seconds(policy.delay.as_secs_f64()),
            max_retries: policy.max_retries.into(),
            backoff,
            factor,
            max_delay_seconds,
        }
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self::of(&RetryPolicy::default())
    }
}

impl Serialize for Seconds {
    /// A whole number without a fraction: `300`, not `300.0`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            #[expect(clippy::cast_possible_truncation, reason = "a week at the most, and whole")]
            return serializer.serialize_i64(self.0 as i64);
        }
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self)
    }
}

/// Tells a member that is null from one that is not there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Tells a member that is null, which is refused, from one that is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(deserializer).map(Some)
}

fn post() -> String {
    callback::Method::Post.as_str().to_owned()
}

fn form() -> String {
    callback::Format::Form.as_str().to_owned()
}

fn fixed() -> String {
    "fixed".to_owned()
}

fn all_events() -> Vec<String> {
    vec!["*".to_owned()]
}

pub(super) const fn yes() -> bool {
    true
}

fn delay_seconds() -> Seconds {
    RetrySettings::default().delay_seconds
}

fn max_retries() -> i64 {
    RetrySettings::default().max_retries
}

fn timeout_ms() -> i64 {
    i64::try_from(callback::TIMEOUT_DEFAULT.as_millis()).unwrap_or(i64::MAX)
}

fn max_in_flight() -> i64 {
    callback::MAX_IN_FLIGHT_DEFAULT.get().into()
}
