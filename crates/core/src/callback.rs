//! A subscriber's registration: where to send, how, which events, and what to do when it fails.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::filter::EventFilter;
use crate::rate::RateLimit;
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::signature::{PreviousSecret, SigningSecret};
use crate::template::UrlTemplate;
use crate::{Account, CallbackId, Timestamp};

/// A subscriber's registration.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Its name.
    pub id: CallbackId,
    /// What its owner says of it.
    pub description: String,
    /// Where the requests go: an RFC 6570 template over the event's variables.
    pub url: UrlTemplate,
    /// GET or POST.
    pub method: Method,
    /// What a POST carries.
    pub format: Format,
    /// What the `Authorization` header says.
    pub authorization: Authorization,
    /// Headers sent besides, checked when the callback was saved.
    pub headers: Headers,
    /// Whether it takes deliveries, and if not, why.
    pub state: CallbackState,
    /// The one account whose events it gets; none: all accounts (an instance callback).
    pub account: Option<Account>,
    /// Which events it gets.
    pub events: EventFilter,
    /// What happens after a failure.
    pub retry: RetryPolicy,
    /// How long one attempt may take, from connecting to the last byte kept of the response.
    pub timeout: Duration,
    /// How many requests may be under way at once, in one worker.
    pub max_in_flight: NonZeroU32,
    /// How many requests a second it wants, from all workers together; none: as many as there are.
    pub rate_limit: Option<RateLimit>,
    /// When to stop trying for a while.
    pub circuit: CircuitPolicy,
    /// Signs every request (Standard Webhooks).
    pub signing_secret: SigningSecret,
    /// Signs every request as well, until its time.
    pub previous_secret: Option<PreviousSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was last resumed after a pause: what was kept meanwhile is let go since.
    pub resumed_at: Option<Timestamp>,
}

impl Callback {
    /// The value of `webhook-signature` for a request that is made at `time`: by the secret, and by the one before as long
    /// as it counts, separated by a space.
    ///
    /// # Source
    /// The Standard Webhooks specification, "Signature scheme": several signatures are for secrets that change.
    #[must_use]
    pub fn sign(&self, webhook_id: &str, time: Timestamp, body: &[u8]) -> String {
        let mut signature = self.signing_secret.sign(webhook_id, time, body);
        if let Some(previous) = self.previous_secret_at(time) {
            signature.push(' ');
            signature.push_str(&previous.sign(webhook_id, time, body));
        }
        signature
    }

    /// The secrets that count at `now`: the one, and the one before until it ends.
    pub fn signing_secrets_at(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        [Some(&self.signing_secret), self.previous_secret_at(now)].into_iter().flatten()
    }

    fn previous_secret_at(&self, now: Timestamp) -> Option<&SigningSecret> {
        let previous = self.previous_secret.as_ref()?;
        (now < previous.until).then_some(&previous.secret)
    }
}

/// How long an attempt may take unless the callback says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
/// The least and the most a callback may choose as its timeout.
pub const TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(120);
/// Requests under way at once to one callback unless it says otherwise.
pub const MAX_IN_FLIGHT_DEFAULT: NonZeroU32 = NonZeroU32::new(32).expect("32 is not zero");
/// The most requests under way at once that a callback may ask for.
pub const MAX_IN_FLIGHT_MAX: u32 = 1_000;

/// When an endpoint that fails is left alone for a while: its circuit opens.
///
/// Only failures that say something of the endpoint count (see [`Outcome::is_trouble`](crate::Outcome::is_trouble)). What
/// waits for an open circuit is not an attempt. Each worker judges for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// Whether there is a circuit at all.
    pub enabled: bool,
    /// So many failures in a row open it; so do 3 of 4 among the last 4 times as many attempts.
    pub failures: NonZeroU32,
    /// How long it stays open the first time. Doubles while the probes fail, up to ten times as long.
    pub open_for: Duration,
}

impl CircuitPolicy {
    /// The most failures in a row that a callback may ask for.
    pub const FAILURES_MAX: u32 = 1_000;
    /// The shortest and the longest time that a callback may have its circuit stay open at first.
    pub const OPEN_FOR_RANGE: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3_600);
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        let failures = NonZeroU32::new(20).expect("20 is not zero");
        Self { enabled: true, failures, open_for: Duration::from_secs(30) }
    }
}

/// Whether a callback takes deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackState {
    /// It does.
    Enabled,
    /// It does, but not now: deliveries are kept until it is resumed.
    Paused,
    /// It does not.
    Disabled(DisabledReason),
}

/// Why a callback takes no deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// Its owner switched it off.
    ByOwner,
    /// Its endpoint answered 410 Gone.
    Gone,
}

impl CallbackState {
    /// Whether new events match.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled | Self::Paused)
    }
}

impl DisabledReason {
    /// The word that stands in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByOwner => "by_owner",
            Self::Gone => "gone",
        }
    }
}

/// The method of the outgoing request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Carries only what the URL names.
    Get,
    /// Carries the event in its body, see [`Format`].
    Post,
}

impl Method {
    /// As it stands in the request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// What the body of a POST is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/x-www-form-urlencoded`: each variable a field.
    Form,
    /// `application/json`: the event as an object.
    Json,
    /// `application/cloudevents+json`: the event as a structured CloudEvent 1.0, its variables as the data.
    CloudEvents,
    /// `application/json`: a notification as Conga Sign sends it.
    CongaSign,
}

impl Format {
    /// All there are, the default first.
    pub const ALL: [Self; 4] = [Self::Form, Self::Json, Self::CloudEvents, Self::CongaSign];

    /// The format that this word stands for, see [`as_str`](Self::as_str).
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// The word that stands in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Json => "json",
            Self::CloudEvents => "cloudevents",
            Self::CongaSign => "conga-sign",
        }
    }
}

/// What the `Authorization` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Nothing: no such header.
    None,
    /// HTTP Basic (RFC 7617): `Basic base64(username:password)`.
    Basic {
        /// Without a colon.
        username: String,
        /// Any text.
        password: Secret,
    },
    /// `Bearer <token>` (RFC 6750).
    Bearer {
        /// The token.
        token: Secret,
    },
    /// Any value, sent as it is.
    Header {
        /// The whole value.
        value: Secret,
    },
    /// `Basic <key>`: the key as it is, not encoded.
    CallbackKey {
        /// The key.
        key: Secret,
    },
}

impl Authorization {
    /// The value of the header, if there is to be one.
    #[must_use]
    pub fn header_value(&self) -> Option<Secret> {
        use base64::Engine as _;
        match self {
            Self::None => None,
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.reveal());
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                Some(Secret::new(format!("Basic {encoded}")))
            }
            Self::Bearer { token } => Some(Secret::new(format!("Bearer {}", token.reveal()))),
            Self::Header { value } => Some(value.clone()),
            Self::CallbackKey { key } => Some(Secret::new(format!("Basic {}", key.reveal()))),
        }
    }
}

/// Headers that a callback adds to its requests, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// Why a header can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// RFC 9110, section 5.1.
    #[error("a header's name is one or more letters, digits or any of !#$%&'*+-.^_`|~")]
    Name,
    /// RFC 9110, section 5.5: a line break would let the value write headers of its own.
    #[error("a header's value has no control characters (no line break) and no space at its ends")]
    Value,
    /// The request would say something else than its connection does, or than Ringback says.
    #[error("Ringback sets this header itself")]
    Reserved,
    /// So that a request stays one that receivers take.
    #[error(
        "a header's name and value are at most 4,096 bytes together, and there are at most 32 of them"
    )]
    TooLarge,
    /// The same name twice, but for upper and lower case.
    #[error("this header stands there twice")]
    Twice,
}

impl Headers {
    const RESERVED: [&str; 15] = [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "traceparent",
    ];
    const RESERVED_PREFIXES: [&str; 2] = ["webhook-", "ringback-"];

    /// Adds one, if it may be sent.
    ///
    /// # Errors
    /// [`InvalidHeader`] says which rule it breaks.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(InvalidHeader::Name);
        }
        let visible = |b: u8| b == b' ' || b == b'\t' || (0x21..=0x7e).contains(&b);
        if !value.bytes().all(visible) || value.trim_matches([' ', '\t']) != value {
            return Err(InvalidHeader::Value);
        }
        let lower = name.to_ascii_lowercase();
        if Self::RESERVED.contains(&lower.as_str())
            || Self::RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
        {
            return Err(InvalidHeader::Reserved);
        }
        if name.len() + value.len() > 4_096 || self.0.len() == 32 {
            return Err(InvalidHeader::TooLarge);
        }
        if self.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
            return Err(InvalidHeader::Twice);
        }
        self.0.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::signature::tests::accepted;

    /// A callback like most, which signs with secrets of the byte 7.
    pub(crate) fn callback() -> Callback {
        Callback {
            id: CallbackId::from_parts(Timestamp::EPOCH, [2; 10]),
            description: String::new(),
            url: "https://example.com/".parse().expect("a URL"),
            method: Method::Post,
            format: Format::Form,
            authorization: Authorization::None,
            headers: Headers::default(),
            state: CallbackState::Enabled,
            account: None,
            events: EventFilter::all(),
            retry: RetryPolicy::default(),
            timeout: TIMEOUT_DEFAULT,
            max_in_flight: MAX_IN_FLIGHT_DEFAULT,
            rate_limit: None,
            circuit: CircuitPolicy::default(),
            signing_secret: SigningSecret::from_random([7; 32]),
            previous_secret: None,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            resumed_at: None,
        }
    }

    #[test]
    fn public_library_accepts_the_secret_before_until_it_ends_and_the_new_one_always() {
        let [new, old, other] = [7, 8, 9].map(|byte| SigningSecret::from_random([byte; 32]));
        // Now, because the library refuses what is older than five minutes.
        let now = Timestamp::from_ms(jiff::Timestamp::now().as_millisecond());
        let rotated = |until| {
            let previous_secret = Some(PreviousSecret { secret: old.clone(), until });
            Callback { previous_secret, ..callback() }
        };
        let millisecond = Duration::from_millis(1);
        for (callback, old_counts) in
            [(rotated(now + millisecond), true), (rotated(now), false), (callback(), false)]
        {
            let header = callback.sign("msg_1", now, b"body");
            let accepts = |secret| accepted(secret, "msg_1", now, b"body", &header);
            assert_eq!((accepts(&new), accepts(&old), accepts(&other)), (true, old_counts, false));
            assert_eq!(header.split(' ').count(), 1 + usize::from(old_counts), "{header}");
            assert!(header.starts_with(&new.sign("msg_1", now, b"body")), "the new one first");

            let counts: Vec<_> = callback.signing_secrets_at(now).collect();
            assert_eq!(counts, if old_counts { vec![&new, &old] } else { vec![&new] });
        }
    }

    #[test]
    fn basic_is_encoded_and_a_callback_key_is_not() {
        let basic = Authorization::Basic {
            username: "Aladdin".into(),
            password: Secret::new("open sesame"),
        };
        let value = basic.header_value().expect("a value");
        // The example of RFC 7617, section 2.
        assert_eq!(value.reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let key = Authorization::CallbackKey { key: Secret::new("k-1") };
        assert_eq!(key.header_value().expect("a value").reveal(), "Basic k-1");
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let bearer = Authorization::Bearer { token: Secret::new("hush") };
        assert!(!format!("{bearer:?}").contains("hush"));
    }

    #[test]
    fn headers_refuse_what_would_forge_a_request() {
        let mut headers = Headers::default();
        assert_eq!(headers.push("X-A", "1\r\nHost: evil"), Err(InvalidHeader::Value));
        assert_eq!(headers.push("X A", "1"), Err(InvalidHeader::Name));
        assert_eq!(headers.push("Host", "a"), Err(InvalidHeader::Reserved));
        assert_eq!(headers.push("Webhook-Id", "a"), Err(InvalidHeader::Reserved));
        assert_eq!(headers.push("X-A", "1"), Ok(()));
        assert_eq!(headers.push("x-a", "2"), Err(InvalidHeader::Twice));
    }
}
