//! Events as they come in, and the answers to them.

use std::borrow::Cow;
use std::time::Duration;

use ringback_api::FieldError;
use ringback_core::{Account, EventId, EventName, Timestamp, TraceContext, Variables, operational};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far ahead an event may be sent: a year, be it a leap year.
const DELIVER_AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// An event, as a producer sends it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvent {
    /// A UUID, if the producer has one: the same twice for one account is one event. Made up if absent.
    #[serde(default)]
    #[schema(format = "uuid", example = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21")]
    id: Option<String>,
    /// Which kind of event.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,128}$", example = "COMMENT_CREATED")]
    name: String,
    /// The tenant it belongs to. May be left out with a key that is bound to an account.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "acme")]
    account: Option<String>,
    /// When it happened. Now, if absent.
    #[serde(default)]
    #[schema(format = "date-time")]
    time: Option<String>,
    /// What is known of it: at most 1,000 members of any JSON value.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Variables,
    /// When its deliveries begin: up to 366 days from now. At once, if absent or past.
    #[serde(default)]
    #[schema(format = "date-time")]
    deliver_at: Option<String>,
}

/// A CloudEvent 1.0 in its JSON format. Attributes that are not named here are taken, and nothing is made of them.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is read as attributes, and described here")]
pub(crate) struct CloudEvent {
    #[schema(example = "1.0")]
    specversion: String,
    /// With `source`, which event it is: a UUID is the event's id; of anything else and `source` one is made.
    id: String,
    #[schema(example = "https://example.com/comments")]
    source: String,
    /// The event's name.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,128}$", example = "COMMENT_CREATED")]
    r#type: String,
    #[schema(format = "date-time")]
    time: Option<String>,
    /// The tenant it belongs to. May be left out with a key that is bound to an account.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "acme")]
    account: Option<String>,
    /// When its deliveries begin: `deliver_at` of an event.
    #[schema(format = "date-time")]
    deliverat: Option<String>,
    /// JSON, if it is said at all.
    #[schema(example = "application/json")]
    datacontenttype: Option<String>,
    /// The event's variables.
    #[schema(value_type = Option<Object>)]
    data: Option<Variables>,
    /// The same as base64 of JSON, in the place of `data`.
    data_base64: Option<String>,
}

/// An event that is well-formed. Its account is checked against the caller's afterwards.
#[derive(Debug)]
pub(crate) struct WellFormed {
    pub(crate) id: Option<EventId>,
    pub(crate) name: EventName,
    /// Where its name stands.
    pub(crate) name_at: Cow<'static, str>,
    pub(crate) account: Option<Account>,
    /// Where its account stands, or would.
    pub(crate) account_at: Cow<'static, str>,
    pub(crate) time: Option<Timestamp>,
    /// None: at once.
    pub(crate) deliver_at: Option<Timestamp>,
    pub(crate) variables: Variables,
    /// Where its variables stand.
    pub(crate) variables_at: &'static str,
    /// Where in a trace it stands, says whoever sent it.
    pub(crate) trace: Option<TraceContext>,
}

impl NewEvent {
    /// Checks every field and says all that is wrong.
    pub(crate) fn check(self, now: Timestamp) -> Result<WellFormed, Vec<FieldError>> {
        let mut checks = Checks::at(now);
        let id = checks.parsed("/id", self.id.as_deref());
        let account = checks.account("/account", self.account.as_deref());
        let time = checks.parsed("/time", self.time.as_deref());
        let name = checks.name("/name", Some(&self.name));
        let deliver_at = checks.deliver_at("/deliver_at", self.deliver_at.as_deref());
        let (account_at, variables) = (Cow::Borrowed("/account"), self.variables);
        match name {
            Some(name) => checks.all_well(WellFormed {
                id,
                name,
                name_at: Cow::Borrowed("/name"),
                account,
                account_at,
                time,
                deliver_at,
                variables,
                variables_at: "/variables",
                trace: None,
            }),
            None => Err(checks.errors),
        }
    }
}

/// The rules that an event keeps to however it is written, and what breaks them.
pub(crate) struct Checks {
    now: Timestamp,
    pub(crate) errors: Vec<FieldError>,
}

impl Checks {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { now, errors: Vec::new() }
    }

    pub(crate) fn wrong(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    pub(crate) fn all_well(self, event: WellFormed) -> Result<WellFormed, Vec<FieldError>> {
        if self.errors.is_empty() { Ok(event) } else { Err(self.errors) }
    }

    pub(crate) fn parsed<T>(&mut self, pointer: &str, text: Option<&str>) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let parsed = text?.parse();
        parsed.map_err(|error: T::Err| self.wrong(pointer, error.to_string())).ok()
    }

    pub(crate) fn name(&mut self, pointer: &str, text: Option<&str>) -> Option<EventName> {
        let name = self.parsed(pointer, text)?;
        if operational::is_reserved(&name) {
            let detail =
                format!("names that begin with `{}` are Ringback's own", operational::NAME_PREFIX);
            self.wrong(pointer, detail);
            return None;
        }
        Some(name)
    }

    pub(crate) fn account(&mut self, pointer: &str, text: Option<&str>) -> Option<Account> {
        let account: Account = self.parsed(pointer, text)?;
        if account.is_reserved() {
            self.wrong(pointer, format!("the account `{account}` is Ringback's own"));
            return None;
        }
        Some(account)
    }

    /// What is past is none: at once.
    pub(crate) fn deliver_at(&mut self, pointer: &str, text: Option<&str>) -> Option<Timestamp> {
        let at: Timestamp = self.parsed(pointer, text)?;
        if at > self.now + DELIVER_AHEAD_MAX {
            let days = DELIVER_AHEAD_MAX.as_secs() / (24 * 60 * 60);
            self.wrong(pointer, format!("at most {days} days from now"));
            return None;
        }
        (at > self.now).then_some(at)
    }
}

/// What became of one event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", tag = "status")]
pub(crate) enum Answer {
    /// It is durable, and on its way.
    Accepted {
        /// Its id.
        #[schema(value_type = String, format = "uuid")]
        id: EventId,
        /// True if it had been accepted before, and nothing is sent again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    /// It is not taken.
    Rejected {
        /// What is wrong with it.
        errors: Vec<FieldError>,
    },
}

/// The answers to an array of events, in the same order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Answers {
    /// One for each.
    pub(crate) data: Vec<Answer>,
}

/// One event, or several: as the document describes a request's body.
#[derive(ToSchema)]
#[schema(description = "One event, or an array of 1 to 1,000")]
#[serde(untagged)]
#[expect(dead_code, reason = "only described: a request is read event by event")]
pub(crate) enum NewEvents {
    One(NewEvent),
    Several(Vec<NewEvent>),
}

/// To one event, or to several: as the document describes an answer.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
pub(crate) enum OneOrSeveral {
    One(Answer),
    Several(Answers),
}
