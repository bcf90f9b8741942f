//! From the settings that came to a callback: each field is checked, and all that is wrong is told at once.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use ringback_api::{FieldError, Pointer};
use ringback_core::address::AddressPolicy;
use ringback_core::callback::{
    Authorization, Callback, CallbackState, CircuitPolicy, DisabledReason, Format, Headers,
    MAX_IN_FLIGHT_MAX, Method, TIMEOUT_RANGE,
};
use ringback_core::filter::{EventFilter, InvalidFilter};
use ringback_core::rate::RateLimit;
use ringback_core::retry::{Backoff, RetryPolicy};
use ringback_core::signature::{PreviousSecret, SigningSecret};
use ringback_core::template::UrlTemplate;
use ringback_core::{Account, CallbackId, Timestamp, operational};

use super::authorization::authorization;
use super::callback::{CallbackSettings, RetrySettings, Seconds};
use super::limits::from_1_to;

const DESCRIPTION_CHARS_MAX: usize = 1_000;
const FACTOR_RANGE: RangeInclusive<f64> = 1.0..=10.0;
const FACTOR_DEFAULT: f64 = 2.0;
pub(super) const NOT_YET: &str = "is not available yet";

/// What settings have to obey besides being well-formed.
pub(crate) struct Rules<'a> {
    pub(crate) address_policy: &'a AddressPolicy,
}

/// What a callback has that is not among its settings.
pub(crate) struct Base {
    pub(crate) id: CallbackId,
    pub(crate) account: Option<Account>,
    /// As it was before.
    pub(crate) state: CallbackState,
    /// As it was before; none: the callback is new.
    pub(crate) authorization: Option<Authorization>,
    pub(crate) signing_secret: SigningSecret,
    pub(crate) previous_secret: Option<PreviousSecret>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// As it was before.
    pub(crate) resumed_at: Option<Timestamp>,
}

/// What is wrong, gathered.
#[derive(Default)]
pub(super) struct Errors(pub(super) Vec<FieldError>);

impl Errors {
    pub(super) fn say(&mut self, pointer: impl Into<String>, detail: impl Display) {
        self.0.push(FieldError::new(pointer, detail.to_string()));
    }

    /// Keeps the value, or says what is wrong with it.
    pub(super) fn keep<T>(&mut self, pointer: &str, checked: Result<T, impl Display>) -> Option<T> {
        checked.map_err(|error| self.say(pointer, error)).ok()
    }
}

impl Rules<'_> {
    /// The callback of these settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn apply(
        &self,
        settings: &CallbackSettings,
        base: Base,
    ) -> Result<Callback, Vec<FieldError>> {
        let mut errors = Errors::default();
        let description = errors.keep("/description", description(&settings.description));
        let url = errors.keep("/url", self.url(&settings.url));
        let method = errors.keep("/method", method(&settings.method));
        let format = errors.keep("/format", format(&settings.format, method));
        let authorization =
            authorization(&settings.authorization, base.authorization.as_ref(), &mut errors);
        let headers = headers(settings, &mut errors);
        let events = events(&settings.events, &mut errors);
        let retry = retry(&settings.retry, &mut errors);
        let limits = Limits::check(settings, &mut errors);
        errors.keep("/paused", paused(settings.paused, base.state));
        let (Some(description), Some(url), Some(method), Some(format)) =
            (description, url, method, format)
        else {
            return Err(errors.0);
        };
        let (Some(authorization), Some(events), Some(retry)) = (authorization, events, retry)
        else {
            return Err(errors.0);
        };
        let (Some(limits), []) = (limits, errors.0.as_slice()) else {
            return Err(errors.0);
        };
        let state = state(settings, base.state);
        Ok(Callback {
            id: base.id,
            description,
            url,
            method,
            format,
            authorization,
            headers,
            state,
            account: base.account,
            events,
            retry,
            timeout: limits.timeout,
            max_in_flight: limits.max_in_flight,
            rate_limit: limits.rate_limit,
            circuit: limits.circuit,
            signing_secret: base.signing_secret,
            previous_secret: base.previous_secret,
            created_at: base.created_at,
            updated_at: base.updated_at,
            // Whoever is enabled again begins as one that is resumed: should something have been kept all the same, by a
            // worker that did not know yet that it was disabled, it must not be kept for ever.
            resumed_at: match (base.state, state) {
                (CallbackState::Disabled(_), CallbackState::Enabled) => Some(base.updated_at),
                _ => base.resumed_at,
            },
        })
    }

    /// A callback's URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn url(&self, text: &str) -> Result<UrlTemplate, String> {
        let template: UrlTemplate = text.parse().map_err(|error| format!("{error}"))?;
        self.address_policy.check_template(&template).map_err(|error| error.to_string())?;
        Ok(template)
    }
}

/// A callback that is switched off stays so for the reason it has, and one that is paused stays paused.
fn state(settings: &CallbackSettings, before: CallbackState) -> CallbackState {
    match (settings.enabled, before) {
        (true, CallbackState::Paused) => CallbackState::Paused,
        (true, CallbackState::Enabled | CallbackState::Disabled(_)) => CallbackState::Enabled,
        (false, CallbackState::Disabled(reason)) => CallbackState::Disabled(reason),
        (false, CallbackState::Enabled | CallbackState::Paused) => {
            CallbackState::Disabled(DisabledReason::ByOwner)
        }
    }
}

/// What an answer showed can be put back. Pausing has calls of its own, so that settings which were written down long ago
/// let nothing go by the way.
fn paused(given: Option<bool>, before: CallbackState) -> Result<(), &'static str> {
    let is_paused = before == CallbackState::Paused;
    if given.is_none_or(|given| given == is_paused) {
        return Ok(());
    }
    Err("is not changed here: POST /v1/callbacks/{id}/pause and /resume do that")
}

/// How much it takes.
struct Limits {
    timeout: Duration,
    max_in_flight: NonZeroU32,
    rate_limit: Option<RateLimit>,
    circuit: CircuitPolicy,
}

impl Limits {
    fn check(settings: &CallbackSettings, errors: &mut Errors) -> Option<Self> {
        let timeout = errors.keep("/timeout_ms", timeout(settings.timeout_ms));
        let rate_limit = settings.rate_limit.as_ref().map(|limit| limit.check(errors));
        let max_in_flight = from_1_to(MAX_IN_FLIGHT_MAX, settings.max_in_flight);
        let max_in_flight = errors.keep("/max_in_flight", max_in_flight);
        let circuit = settings.circuit.check(errors);
        Some(Self {
            timeout: timeout?,
            max_in_flight: max_in_flight?,
            rate_limit: match rate_limit {
                Some(checked) => Some(checked?),
                None => None,
            },
            circuit: circuit?,
        })
    }
}

fn description(text: &str) -> Result<String, String> {
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(format!("at most {DESCRIPTION_CHARS_MAX} characters"));
    }
    Ok(text.to_owned())
}

fn method(text: &str) -> Result<Method, &'static str> {
    match text {
        "GET" => Ok(Method::Get),
        "POST" => Ok(Method::Post),
        _ => Err("GET or POST"),
    }
}

fn format(text: &str, method: Option<Method>) -> Result<Format, &'static str> {
    let format = Format::of_word(text).ok_or("form, json, cloudevents or conga-sign")?;
    // `form` is what stands there if nothing is said, so it can't be refused.
    if method == Some(Method::Get) && format != Format::Form {
        return Err("a GET has no body: leave the format out, or choose POST");
    }
    Ok(format)
}

fn headers(settings: &CallbackSettings, errors: &mut Errors) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in &settings.headers {
        if let Err(error) = headers.push(name, value) {
            errors.say(Pointer::root().join("headers").join(name), error);
        }
    }
    headers
}

fn events(patterns: &[String], errors: &mut Errors) -> Option<EventFilter> {
    // A slip in such a name would never be heard of.
    for (index, pattern) in patterns.iter().enumerate() {
        let is_own = pattern.starts_with(operational::NAME_PREFIX) && !pattern.ends_with('*');
        if is_own && !operational::NAMES.contains(&pattern.as_str()) {
            let known = operational::NAMES.join(", ");
            errors.say(
                format!("/events/{index}"),
                format!("no event has this name; there are {known}"),
            );
            return None;
        }
    }
    match EventFilter::parse(patterns) {
        Ok(filter) => Some(filter),
        Err(error @ (InvalidFilter::Empty | InvalidFilter::TooMany)) => {
            errors.say("/events", error);
            None
        }
        Err(InvalidFilter::Pattern { .. }) => {
            for (index, pattern) in patterns.iter().enumerate() {
                if let Err(error) = EventFilter::parse(&[pattern]) {
                    errors.say(format!("/events/{index}"), error);
                }
            }
            None
        }
    }
}

fn timeout(ms: i64) -> Result<Duration, String> {
    let timeout = u64::try_from(ms).ok().map(Duration::from_millis);
    timeout.filter(|timeout| TIMEOUT_RANGE.contains(timeout)).ok_or_else(|| {
        let (min, max) = (TIMEOUT_RANGE.start().as_millis(), TIMEOUT_RANGE.end().as_millis());
        format!("a whole number of milliseconds from {min} to {max}")
    })
}

fn retry(settings: &RetrySettings, errors: &mut Errors) -> Option<RetryPolicy> {
    let delay = errors.keep("/retry/delay_seconds", delay(settings.delay_seconds));
    let max_retries = u32::try_from(settings.max_retries).ok();
    let max_retries = max_retries.filter(|number| *number <= RetryPolicy::MAX_RETRIES_MAX);
    let max_retries = max_retries
        .ok_or_else(|| format!("a whole number from 0 to {}", RetryPolicy::MAX_RETRIES_MAX));
    let max_retries = errors.keep("/retry/max_retries", max_retries);
    let backoff = match settings.backoff.as_str() {
        "fixed" => fixed(settings, errors),
        "exponential" => exponential(settings, delay, errors),
        _ => {
            errors.say("/retry/backoff", "fixed or exponential");
            None
        }
    };
    Some(RetryPolicy {
        enabled: settings.enabled,
        delay: delay?,
        max_retries: max_retries?,
        backoff: backoff?,
    })
}

fn fixed(settings: &RetrySettings, errors: &mut Errors) -> Option<Backoff> {
    let with_fixed = "a fixed backoff does not grow: leave it out, or choose exponential";
    if settings.factor.is_some() {
        errors.say("/retry/factor", with_fixed);
    }
    if settings.max_delay_seconds.is_some() {
        errors.say("/retry/max_delay_seconds", with_fixed);
    }
    Some(Backoff::Fixed)
}

fn exponential(
    settings: &RetrySettings,
    delay_min: Option<Duration>,
    errors: &mut Errors,
) -> Option<Backoff> {
    let factor = settings.factor.unwrap_or(FACTOR_DEFAULT);
    let factor =
        if FACTOR_RANGE.contains(&factor) { Ok(factor) } else { Err("a number from 1 to 10") };
    let factor = errors.keep("/retry/factor", factor);
    let delay_max = match settings.max_delay_seconds {
        None => Ok(RetryPolicy::DELAY_MAX),
        Some(seconds) => delay(seconds).and_then(|max| {
            if delay_min.is_some_and(|min| max < min) {
                return Err("not less than delay_seconds".to_owned());
            }
            Ok(max)
        }),
    };
    let delay_max = errors.keep("/retry/max_delay_seconds", delay_max);
    Some(Backoff::Exponential { factor: factor?, delay_max: delay_max? })
}

fn delay(seconds: Seconds) -> Result<Duration, String> {
    duration(seconds, &(Duration::ZERO..=RetryPolicy::DELAY_MAX))
}

/// Checks a number of seconds, to the millisecond.
pub(super) fn duration(
    Seconds(seconds): Seconds,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, String> {
    // The nearest millisecond has to be the number that was meant: 0.0004 must not become a wait of nothing.
    let ms = (seconds * 1_000.0).round();
    if (seconds * 1_000.0 - ms).abs() > 1e-4 {
        return Err("at most three digits after the point: milliseconds".to_owned());
    }
    let duration = Duration::try_from_secs_f64(ms / 1_000.0).ok();
    duration.filter(|duration| range.contains(duration)).ok_or_else(|| {
        let (min, max) = (range.start().as_secs(), range.end().as_secs());
        format!("a number of seconds from {min} to {max}")
    })
}
